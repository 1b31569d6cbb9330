"""A Hugging Face Hub on this machine's loopback, which serves folders with the real API's answers and headers.

Written from huggingface_hub 2.4 (hf_api.py, file_download.py) and pages of the Hub's API. LFS files are redirected to
another host, as the Hub redirects to its CDN. Private and gated repositories are given for `TOKEN`.
"""

import contextlib
import hashlib
import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

from segmentation.models import hub_known, hub_search

TOKEN = "hf_operator"
_LFS = (".onnx", ".onnx_data", ".data", ".safetensors", ".bin", ".onnx.data")


@dataclass
class Commit:
    """A repository's files at one commit: path -> content."""

    files: dict[str, bytes]
    id: str = ""

    def __post_init__(self) -> None:
        digest = hashlib.sha1(b"commit")
        for path, content in sorted(self.files.items()):
            digest.update(path.encode() + b"\0" + hashlib.sha1(content).digest())
        self.id = digest.hexdigest()


@dataclass
class Repository:
    """A repository on the loopback Hub."""

    id: str
    branches: dict[str, Commit]
    private: bool = False
    gated: bool = False
    tags: list[str] = field(default_factory=list)
    pipeline: str = "image-segmentation"
    downloads: int = 100
    sizes: dict[str, int] = field(default_factory=dict)
    """Path -> bytes to list instead of the true ones, for files too large for a test."""
    spoilt: set[str] = field(default_factory=set)
    """Paths of files that arrive with other bytes than listed."""

    @property
    def main(self) -> Commit:
        return self.branches["main"]

    def commit(self, revision: str) -> Commit | None:
        by_id = {commit.id: commit for commit in self.branches.values()}
        return self.branches.get(revision) or by_id.get(revision)


class LoopbackHub:
    """The repositories, and what was asked for."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}  # former id -> id
        self.asked: Counter[str] = Counter()  # "GET /path"
        self.tokens: set[str] = set()  # that were sent along
        self.address = ""
        self.down = False  # answers 503 to everything
        self.slow = threading.Event()  # while set, GET of LFS files waits for it to be cleared
        self.held: set[str] = set()  # ids of repositories whose files waited for that
        self._lfs: dict[str, bytes] = {}

    def add(self, repo_id: str, source: Path | dict[str, bytes], branch: str = "main", **options: Any) -> Repository:
        """Serve a folder, or files given as path -> content, as a branch of a repository."""
        files = source if isinstance(source, dict) else {
            str(path.relative_to(source).as_posix()): path.read_bytes() for path in source.rglob("*") if path.is_file()
        }  # fmt: skip
        repository = self.repositories.setdefault(repo_id, Repository(repo_id, {}, **options))
        repository.branches[branch] = Commit(files)
        return repository

    def downloads(self, name: str) -> int:
        """How often a file was downloaded from the CDN or directly, by the end of its path."""
        return sum(n for key, n in self.asked.items() if key.startswith("GET ") and key.endswith(name))

    def listing(self, repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
        """What `/api/models/{id}` answers."""
        return {
            "_id": "0", "id": repository.id, "modelId": repository.id, "author": repository.id.split("/")[0],
            "sha": commit.id, "private": repository.private, "gated": "auto" if repository.gated else False,
            "disabled": False, "tags": repository.tags, "pipeline_tag": repository.pipeline,
            "downloads": repository.downloads, "likes": 1, "library_name": "transformers.js",
            "lastModified": "2025-01-01T00:00:00.000Z", "createdAt": "2025-01-01T00:00:00.000Z",
            "cardData": card(commit), "spaces": [],
            "siblings": [self.sibling(repository, commit, path, blobs) for path in sorted(commit.files)],
        }  # fmt: skip

    def sibling(self, repository: Repository, commit: Commit, path: str, blobs: bool) -> dict[str, Any]:
        content = commit.files[path]
        if not blobs:
            return {"rfilename": path}
        size = repository.sizes.get(path, len(content))
        answer: dict[str, Any] = {"rfilename": path, "size": size, "blobId": git_blob(content)}
        if path.endswith(_LFS):
            answer["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return answer

    @contextlib.contextmanager
    def serving(self) -> Iterator["LoopbackHub"]:
        """Answer until the block ends."""
        handler = type("Handler", (_Handler,), {"hub": self})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self.slow.clear()
            server.shutdown()
            thread.join()
            server.server_close()

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that make this the Hub of another process."""
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_TOKEN": "", "HF_HUB_OFFLINE": "0"}

    def use(self, patch: pytest.MonkeyPatch, home: Path) -> None:
        """Make this the Hub of this process, with an empty cache of its own, although huggingface_hub is imported."""
        patch.setattr(constants, "ENDPOINT", self.address)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.delenv("HF_TOKEN", raising=False)
        hub_known.forget()
        hub_search.forget()


def card(commit: Commit) -> dict[str, Any]:
    """The front matter of README.md."""
    _, _, rest = commit.files.get("README.md", b"").decode().partition("---\n")
    return yaml.safe_load(rest.partition("---")[0]) or {}


def git_blob(content: bytes) -> str:
    """Git's hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Handler(Quiet):
    hub: LoopbackHub

    def respond(self) -> None:
        url = urlsplit(self.path)
        self.hub.asked[f"{self.command} {url.path}"] += 1
        if token := self.headers.get("Authorization"):
            self.hub.tokens.add(token)
        path, query = url.path, parse_qs(url.query)
        if self.hub.down:
            self.answer(503)
        elif path == "/api/models":
            self.search(query)
        elif path.startswith("/api/models/"):
            repo_id, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self.info(repo_id, unquote(revision) or "main", "blobs" in query)
        elif path.startswith("/cdn/"):
            self.cdn(path)
        else:
            repo_id, _, rest = path[1:].partition("/resolve/")
            revision, _, file = rest.partition("/")
            self.resolve(repo_id, unquote(revision), unquote(file))

    do_GET = do_HEAD = respond  # noqa: N815 - the base class looks for these names

    def as_json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    @property
    def trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, repo_id: str) -> Repository | None:
        repository = self.hub.repositories.get(repo_id)
        if repository is None or (repository.private and not self.trusted):
            self.answer(404 if self.trusted else 401, X_Error_Code="RepoNotFound")  # without a login it does not tell
            return None
        return repository

    def info(self, repo_id: str, revision: str, blobs: bool) -> None:
        if moved := self.hub.moved.get(repo_id):
            self.answer(307, Location=self.path.replace(repo_id, moved))
        elif repository := self.repository(repo_id):
            if commit := repository.commit(revision):
                self.as_json(self.hub.listing(repository, commit, blobs))
            else:
                self.answer(404, X_Error_Code="RevisionNotFound")

    def search(self, query: dict[str, list[str]]) -> None:
        words = " ".join(query.get("search", [])).lower()
        wanted = set(query.get("filter", []))
        pipelines = query.get("pipeline_tag", [])
        found = [
            repository
            for repository in sorted(self.hub.repositories.values(), key=lambda r: -r.downloads)
            if words in repository.id.lower()
            and wanted <= set(repository.tags)
            and (not pipelines or repository.pipeline in pipelines)
            and not repository.private
        ]
        self.as_json([
            {k: v for k, v in self.hub.listing(r, r.main, False).items() if k not in ("siblings", "sha", "cardData")}
            for r in found[: int(query.get("limit", ["1000"])[0])]
        ])  # fmt: skip

    def resolve(self, repo_id: str, revision: str, file: str) -> None:
        repository = self.repository(repo_id)
        if repository is None:
            return
        commit = repository.commit(revision)
        if commit is None:
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif repository.gated and not self.trusted:
            self.answer(401, X_Error_Code="GatedRepo", X_Repo_Commit=commit.id)
        elif file not in commit.files:
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit.id)
        else:
            content = commit.files[file]
            lfs = file.endswith(_LFS)
            etag = hashlib.sha256(content).hexdigest() if lfs else git_blob(content)
            sent = content[:-1] + bytes([content[-1] ^ 1]) if file in repository.spoilt else content
            if lfs:
                place = f"/cdn/{repo_id}/{etag}/{file}"
                cdn = self.hub.address.replace("127.0.0.1", "localhost")
                self.hub._lfs[place] = sent
                self.answer(
                    302, Location=cdn + place, X_Repo_Commit=commit.id, ETag=f'"{etag}"',
                    X_Linked_Etag=f'"{etag}"', X_Linked_Size=str(len(content)),
                )  # fmt: skip
            else:
                self.answer(200, sent, X_Repo_Commit=commit.id, ETag=f'"{etag}"')

    def cdn(self, path: str) -> None:
        content = self.hub._lfs[path]
        if self.command == "GET" and self.hub.slow.is_set():
            self.hub.held.add("/".join(path.split("/")[2:4]))
            while self.hub.slow.is_set():
                threading.Event().wait(0.02)
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        extra = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.answer(206 if start else 200, content[start:], ETag='"cdn"', **extra)
