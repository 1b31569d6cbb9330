"""`HubReference` -> `HubRepository`; what is known of a commit never changes, so it is asked for once."""

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path

from huggingface_hub import constants
from pydantic import ValidationError

from segmentation.models.hub_listing import ask_hub
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import HubRepository

log = logging.getLogger(__name__)

_FRESH_SECONDS = 60.0  # for so long a branch is taken to be where it was
_KEPT = 64  # repositories in memory

_lock = threading.Lock()
_recent: "OrderedDict[tuple[str, str, str | None], tuple[float, HubRepository]]" = OrderedDict()


def look_up(reference: HubReference) -> HubRepository:
    """The repository at the commit that the reference means now.

    A full commit is looked up on this disk first, so that what ran once can be named again without the Hub.

    Args:
        reference: The repository and the revision; the file is ignored.

    Raises:
        WeightsError: The Hub has no such repository or revision, keeps it from us, or cannot be reached.
    """
    key = constants.ENDPOINT, reference.repo_id, reference.revision
    with _lock:
        asked, known = _recent.get(key, (0.0, None))
    if known and (reference.is_pinned or time.monotonic() - asked < _FRESH_SECONDS):
        return known
    repository = (_load(reference) if reference.is_pinned else None) or ask_hub(reference)
    with _lock:
        for revision in (reference.revision, repository.commit):
            _recent[constants.ENDPOINT, reference.repo_id, revision] = time.monotonic(), repository
        while len(_recent) > _KEPT:
            _recent.popitem(last=False)
    return repository


def remember(repository: HubRepository) -> None:
    """Save what is known of a commit beside its files in the Hub's cache."""
    path = _record(repository.repo_id, repository.commit)
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{threading.get_native_id()}")
        scratch.write_text(repository.model_dump_json(), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:  # the files themselves will say so to the visitor
        log.warning("%s: %s", path, error)


def _load(reference: HubReference) -> HubRepository | None:
    path = _record(reference.repo_id, reference.revision or "")
    try:
        return HubRepository.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # not there, or of another version
        return None


def record_folder(repo_id: str) -> Path:
    """Where records about a repository are, in its folder of the Hub's cache."""
    folder = constants.REPO_ID_SEPARATOR.join(("models", *repo_id.split("/")))
    return Path(constants.HF_HUB_CACHE) / folder / ".segmatte"


def _record(repo_id: str, commit: str) -> Path:
    return record_folder(repo_id) / f"{commit}.json"


def forget() -> None:
    """Forget what this process has looked up."""
    with _lock:
        _recent.clear()
