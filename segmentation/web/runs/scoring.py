"""Visitors' pictures scored against their truths, with several models and settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.predictor import Predictor
from segmentation.recipe import Recipe
from segmentation.score.board import Board
from segmentation.score.pairs import Pair
from segmentation.score.run import Candidate, score_pairs
from segmentation.score.source import FileSource
from segmentation.settings import Settings
from segmentation.web.events import OnProgress
from segmentation.web.guard.uploads import touch_files, uploaded_files
from segmentation.web.runs.service import Service

MAX_CANDIDATES = 12  # models times settings


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a visitor wants to have scored, checked."""

    sources: tuple[Path, ...]
    truths: tuple[Path, ...]
    candidates: tuple[Candidate, ...]
    """For each settings, every model."""
    models: int
    """How many models there are."""


def checked(service: Service, images: Sequence[Any], truths: Sequence[Any], models: Any, settings: Any) -> Scoring:
    """Check a visitor's request; no picture is read yet.

    Args:
        service: What page and API share.
        images: The pictures' paths, as sent by the client.
        truths: The paths of their truths, in the same order.
        models: Ids of models.
        settings: A list of settings by name, which every model is to be scored with.

    Raises:
        SegmentationError: The files are invalid, do not match, or are too many; a model or setting is unknown.
    """
    most = service.config.max_pictures
    if images and len(images) != len(truths):
        raise SettingsError(
            Message(
                "There are {pictures} pictures and {truths} truths. Each picture needs its truth, in the same order.",
                pictures=len(images), truths=len(truths),
            )
        )  # fmt: skip
    sources, true = uploaded_files(images, most), uploaded_files(truths, most)
    if not isinstance(models, list) or not models or not isinstance(settings, list) or not settings:
        raise SettingsError(Message("models and settings must be lists with at least one entry."))
    if not all(isinstance(values, Mapping) for values in settings):
        raise SettingsError(Message("settings must be a list of objects, such as {example}.", example='{"crop": true}'))
    specs = [service.offered.named.find(str(model)) for model in models]
    ids = list(dict.fromkeys(spec.id for spec in specs))
    if len(ids) * len(settings) > MAX_CANDIDATES:
        raise SettingsError(
            Message(
                "{models} models with {settings} settings are too many to score at once; the limit is {most} together.",
                models=len(ids), settings=len(settings), most=MAX_CANDIDATES,
            )
        )  # fmt: skip
    if len(sources) * len(ids) > most:
        raise SettingsError(
            Message(
                "{pictures} pictures with {models} models are too many for one run; the limit is {most} together.",
                pictures=len(sources), models=len(ids), most=most,
            )
        )  # fmt: skip
    candidates = tuple(
        Candidate(model if len(settings) == 1 else f"{model}, {place}", model, Recipe.of(model, values).settings)
        for place, values in enumerate(settings)
        for model in ids
    )
    return Scoring(tuple(sources), tuple(true), candidates, len(ids))


def fill(
    board: Board, service: Service, scoring: Scoring, on_progress: OnProgress, is_gone: Callable[[], bool]
) -> Iterator[None]:
    """Score everything. Yields on every row, and regularly in between.

    Args:
        board: Where the rows go.
        service: What page and API share.
        scoring: What to score.
        on_progress: Progress callback.
        is_gone: Polled for whether the client has stopped waiting for the answer.

    Raises:
        SegmentationError: The client is gone, or the work is stuck.
    """
    pairs = [
        Pair(*(FileSource(path, PurePosixPath(path.name)) for path in both))
        for both in zip(scoring.sources, scoring.truths, strict=True)
    ]
    total = len(pairs) * len(scoring.candidates)

    def load(model: str, settings: Settings) -> Predictor:
        return service.predictor(Recipe(model, settings), len(pairs), on_progress)

    def touch() -> None:
        touch_files((*scoring.sources, *scoring.truths))

    touch()
    ticket = service.ticket({candidate.model for candidate in scoring.candidates}, total)
    rows = score_pairs(pairs, scoring.candidates, load, limits=service.config.limits, slots=ticket)
    for row in service.work.watched(rows, ticket, touch, is_gone):
        if row:
            board.add(row)
            done = len(board.entries)
            on_progress(Message("{done} of {total} scored", done=done, total=total), done / total)
        yield


def as_json(scoring: Scoring, board: Board) -> dict[str, Any]:
    """Totals and pictures as plain data; candidates by model and by their settings' place in the request."""
    about = {
        candidate.name: {"model": candidate.model, "settings": place // scoring.models}
        for place, candidate in enumerate(scoring.candidates)
    }
    plain = board.as_json()
    return {kind: [about[entry.pop("candidate")] | entry for entry in entries] for kind, entries in plain.items()}
