"""Models on the Hub found by words."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from huggingface_hub import constants, get_session, hf_raise_for_status
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, but exported lazily

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.hub_errors import HUB_ANSWER_SECONDS, hub_errors
from segmentation.models.hub_reference import HubReference, is_repo_id

_FRESH_SECONDS = 300.0
_KEPT = 128  # searches in memory
_LONGEST = 80  # characters
_ASKED = 60  # models an answer may have
_KINDS: tuple[dict[str, Any], ...] = (
    {"pipeline_tag": "image-segmentation", "filter": ["onnx"]},
    {"filter": ["onnx", "background-removal"]},
)
"""What makes a model one of ours: both are asked for, as few authors set both."""

_lock = threading.Lock()
_recent: "OrderedDict[tuple[str, str], tuple[float, tuple[HubHit, ...]]]" = OrderedDict()


@dataclass(frozen=True, slots=True)
class HubHit:
    """A model that was found."""

    repo_id: str
    downloads: int
    """In the last thirty days."""
    licence: str
    """The Hub's id of its licence; "" if none is stated."""


def search_models(
    words: str, most: int = 20, allowed: Callable[[HubReference], bool] = lambda _: True
) -> tuple[HubHit, ...]:
    """Segmentation models in ONNX format, the most downloaded first.

    Args:
        words: What their names contain.
        most: How many to return.
        allowed: Leaves out what may not be used.

    Raises:
        WeightsError: The Hub cannot be reached.
    """
    words = " ".join(words.split())[:_LONGEST].lower()
    key = constants.ENDPOINT, words
    with _lock:
        asked, hits = _recent.get(key, (0.0, None))
    if hits is None or time.monotonic() - asked > _FRESH_SECONDS:
        hits = _ask(words)
        with _lock:
            _recent[key] = time.monotonic(), hits
            while len(_recent) > _KEPT:
                _recent.popitem(last=False)
    return tuple(hit for hit in hits if allowed(HubReference(hit.repo_id)))[:most]


def forget() -> None:
    """Forget earlier answers."""
    with _lock:
        _recent.clear()


def _ask(words: str) -> tuple[HubHit, ...]:
    found = dict[str, HubHit]()
    try:
        with hub_errors(""):
            for kind in _KINDS:
                for entry in _page({"search": words, "sort": "downloads", "limit": _ASKED, **kind}):
                    if (hit := _hit(entry)) is not None:
                        found[hit.repo_id] = hit
    except WeightsError as problem:
        raise WeightsError(
            Message("The search on the Hub failed: {problem}.", problem=problem.message)
        ) from problem.__cause__
    return tuple(sorted(found.values(), key=lambda hit: -hit.downloads))


def _page(parameters: dict[str, Any]) -> list[Any]:
    # HfApi.list_models has no timeout
    response = get_session().get(
        f"{constants.ENDPOINT}/api/models", params=parameters, headers=build_hf_headers(), timeout=HUB_ANSWER_SECONDS
    )
    hf_raise_for_status(response)
    try:
        answer = response.json()
    except ValueError as error:
        raise WeightsError(Message("the Hub gave an unexpected answer")) from error
    if not isinstance(answer, list):
        raise WeightsError(Message("the Hub gave an unexpected answer"))
    return answer


def _hit(entry: Any) -> HubHit | None:
    """A model of the answer; None if it has no name of the usual form, or is private."""
    if not isinstance(entry, dict) or entry.get("private"):
        return None
    name = str(entry.get("id", ""))
    if not is_repo_id(name):
        return None
    tags = [tag for tag in entry.get("tags") or [] if isinstance(tag, str)]
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    downloads = entry.get("downloads")
    return HubHit(name, downloads if isinstance(downloads, int) else 0, licence[:80])
