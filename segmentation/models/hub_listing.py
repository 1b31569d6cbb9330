"""The Hub's own answers about a repository at one commit -> `HubRepository`.

Everything is asked with the operator's token (HF_TOKEN) or with none; visitors have no way to give one.
"""

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, but exported lazily
from pydantic import ValidationError

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.hub_errors import HUB_ANSWER_SECONDS, hub_errors
from segmentation.models.hub_licence import StatedLicence, read_card
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import CONFIG, PREPROCESSOR, HubFile, HubRepository

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_CONFIG_BYTES = 1 << 20  # the configuration of 150 classes has 10 kB
_MOST_CONFIGS = 8
_MOST_FILES = 5000


def ask_hub(reference: HubReference) -> HubRepository:
    """The repository at the commit that the reference means now, as the Hub lists it.

    Raises:
        WeightsError: The Hub has no such repository or revision, keeps it from us, or cannot be reached.
    """
    repo_id = reference.repo_id
    try:
        with hub_errors(repo_id):
            return _listed(reference)
    except WeightsError as problem:
        cause = problem.__cause__
        if isinstance(cause, GatedRepoError):
            raise WeightsError(
                Message(
                    "{repo_id} is gated: the operator must accept its terms at {url} and set HF_TOKEN to a token of "
                    "that account.",
                    repo_id=repo_id, url=f"{constants.ENDPOINT}/{repo_id}",
                )
            ) from cause  # fmt: skip
        if isinstance(cause, RepositoryNotFoundError):
            raise WeightsError(
                Message("There is no model {repo_id} on the Hub, or it is private.", repo_id=repo_id)
            ) from cause
        if isinstance(cause, RevisionNotFoundError):
            raise WeightsError(
                Message(
                    "{repo_id} has no branch, tag or commit {revision} on the Hub.",
                    repo_id=repo_id, revision=reference.revision,
                )
            ) from cause  # fmt: skip
        raise WeightsError(
            Message("{repo_id} could not be looked up: {problem}.", repo_id=repo_id, problem=problem.message)
        ) from cause


def _listed(reference: HubReference) -> HubRepository:
    from huggingface_hub import HfApi  # takes a tenth of a second

    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        info = api.model_info(
            reference.repo_id, revision=reference.revision, files_metadata=True, timeout=HUB_ANSWER_SECONDS
        )
        repository = _read(info)
    except (ValidationError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise WeightsError(Message("the Hub gave an unexpected answer")) from error
    configs, unreadable = dict[str, dict[str, Any]](), list[str]()
    for file in _declaring(repository.files):
        content = _json_object(_content(repository, file)) if file.size <= _CONFIG_BYTES else None
        if content is None:
            unreadable.append(file.path)
        else:
            configs[file.path] = content
    return repository.model_copy(update={"configs": configs, "unreadable": tuple(unreadable)})


def _read(info: "ModelInfo") -> HubRepository:
    siblings = info.siblings or []
    if len(siblings) > _MOST_FILES:
        raise WeightsError(Message("the Hub lists too many files"))
    files = [
        HubFile(
            path=sibling.rfilename,
            size=(sibling.lfs.size if sibling.lfs else sibling.size) or 0,
            blob_id=sibling.blob_id or "",
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
        )
        for sibling in siblings
    ]
    return HubRepository(
        repo_id=info.id,
        commit=info.sha or "",
        files=tuple(file for file in files if file.path.isprintable()),
        licence=read_card(vars(info.card_data)) if info.card_data else StatedLicence(),
        gated=bool(info.gated),
        private=bool(info.private),
    )


def _declaring(files: tuple[HubFile, ...]) -> list[HubFile]:
    """The configuration files beside or above an `.onnx` file."""
    folders = {folder for file in files if file.path.endswith(".onnx") for folder in PurePosixPath(file.path).parents}
    found = [file for file in files if PurePosixPath(file.path).name in (PREPROCESSOR, CONFIG)]
    return [file for file in found if PurePosixPath(file.path).parent in folders][:_MOST_CONFIGS]


def _content(repository: HubRepository, file: HubFile) -> bytes:
    url = hf_hub_url(repository.repo_id, file.path, revision=repository.commit)
    response = get_session().get(url, headers=build_hf_headers(), timeout=HUB_ANSWER_SECONDS)
    hf_raise_for_status(response)
    if not file.is_right(response.content):
        raise WeightsError(Message("the Hub gave another {file} than it lists", file=file.path))
    return response.content


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
