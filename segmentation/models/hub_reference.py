"""`owner/name[@revision][:file]`, or a link from the browser's address bar -> `HubReference`."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from huggingface_hub import constants

from segmentation.errors import SettingsError
from segmentation.messages import Message

_LONGEST = 500  # characters of what is typed or pasted
_LONGEST_REPO = 96  # characters, the Hub's own limit
_PART = r"[A-Za-z0-9](?:[\w.-]*[\w])?"
_REPO = re.compile(rf"({_PART})/({_PART})", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./+-]{0,99}", re.ASCII)
_FILE = re.compile(r"(?:[\w-][\w.-]*/){0,8}[\w-][\w.-]*\.onnx", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST_FILE = 120  # characters
_HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co"}
_OTHER_KINDS = {
    "datasets",
    "spaces",
    "collections",
    "papers",
    "docs",
    "blog",
    "models",
    "api",
    "posts",
    "organizations",
}


@dataclass(frozen=True, slots=True)
class HubReference:
    """A model on the Hugging Face Hub, as far as somebody named it."""

    repo_id: str
    """Owner and name."""
    revision: str | None = None
    """Branch, tag or commit; None for the default branch."""
    file: str | None = None
    """Path of an `.onnx` file in the repository; None to leave the choice."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return self.repo_id + revision + (f":{self.file}" if self.file else "")

    @property
    def owner(self) -> str:
        """The account that publishes it."""
        return self.repo_id.partition("/")[0]

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit, so that it always means the same files."""
        return bool(self.revision and _COMMIT.fullmatch(self.revision))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What a text names on the Hub; None if it does not look like a Hub model at all.

        Raises:
            SettingsError: It is a link to the Hub that names no model, or a wrong revision or file of one.
        """
        text = text.strip()
        if not text or len(text) > _LONGEST or not text.isprintable():
            return None
        if (link := _link(text)) is not None:
            return cls._of_link(link, text)
        repo, _, file = text.partition(":")
        repo, _, revision = repo.partition("@")
        if not is_repo_id(repo):
            return None
        return cls._checked(repo, revision if "@" in text.partition(":")[0] else None, file if ":" in text else None)

    @classmethod
    def _of_link(cls, link: SplitResult, text: str) -> Self:
        parts = [unquote(part) for part in link.path.split("/") if part]
        if len(parts) < 2 or parts[0] in _OTHER_KINDS or not is_repo_id("/".join(parts[:2])):
            raise no_model(text)
        repo, view = "/".join(parts[:2]), parts[2:]
        if len(view) < 2 or view[0] not in ("tree", "blob", "resolve", "raw", "commit"):
            return cls(repo)
        revision, file = view[1], "/".join(view[2:])
        return cls._checked(repo, revision, file if file.endswith(".onnx") else None)

    @classmethod
    def _checked(cls, repo: str, revision: str | None, file: str | None) -> Self:
        if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise SettingsError(
                Message("{revision} is not a branch, tag or commit of {repo_id}.", revision=revision[:80], repo_id=repo)
            )
        if file is not None and not is_onnx_path(file):
            raise SettingsError(
                Message("{file} is not the path of an .onnx file in {repo_id}.", file=file[:80], repo_id=repo)
            )
        return cls(repo, None if revision == constants.DEFAULT_REVISION else revision, file)


def is_onnx_path(text: str) -> bool:
    """Whether this is the path of an `.onnx` file in a repository that can be named."""
    return bool(_FILE.fullmatch(text)) and ".." not in text and len(text) <= _LONGEST_FILE


def is_repo_id(text: str) -> bool:
    """Whether this can name a repository: the Hub allows neither ".." nor "--"; what ends in .onnx is a file here."""
    return len(text) <= _LONGEST_REPO and bool(_REPO.fullmatch(text)) and not re.search(r"\.\.|--|\.onnx$", text)


def no_model(link: str) -> SettingsError:
    """What a link gets that names no model on the Hub."""
    return SettingsError(
        Message(
            "{link} is not a model on the Hub. Copy the address of a model's page, such as {example}.",
            link=link[:100],
            example=f"{constants.ENDPOINT}/Xenova/modnet",
        )
    )


def _link(text: str) -> SplitResult | None:
    """The text as a link to the Hub, with or without https://; None if it is something else."""
    address = text if "://" in text else f"https://{text}"
    try:
        link = urlsplit(address)
        host, wanted = link.netloc.lower(), urlsplit(constants.ENDPOINT)
    except ValueError:
        return None
    if link.scheme not in ("http", "https") or host not in _HOSTS | {wanted.netloc.lower()}:
        return None
    return link
