"""Cuts pictures out with several models and settings, and measures every cutout against its truth."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from segmentation.arrays import Alpha
from segmentation.errors import SegmentationError, SessionError, SettingsError
from segmentation.messages import Message
from segmentation.parallel import Events, in_parallel
from segmentation.picture.picture import Limits, Picture
from segmentation.prediction import Prediction, found_maps, nothing_found
from segmentation.predictor import Predictor
from segmentation.refinement import refine
from segmentation.score.pairs import Pair
from segmentation.score.scores import Measured, measure
from segmentation.score.shown import Shown, to_shown
from segmentation.score.truth import to_truth
from segmentation.settings import NETWORK_SETTINGS, Settings

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with settings."""

    name: str
    """What tables call it; no two candidates may share it."""
    model: str
    """Id of the model."""
    settings: Settings = Settings()


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate on one picture."""

    index: int
    """Number of the pair."""
    picture: str
    """The picture's name."""
    candidate: str
    """The candidate's name."""
    measured: Measured | None
    """None if it failed."""
    seconds: float = 0.0
    """From the decoded picture to its alpha, without measuring."""
    error: str = ""
    shown: Shown | None = None
    """Small pictures, if asked for."""


Load = Callable[[str, Settings], Predictor]
"""Makes the predictor of a model with its network settings; called once for each of them, in the caller's thread."""


def score_pairs(
    pairs: Sequence[Pair],
    candidates: Sequence[Candidate],
    load: Load,
    *,
    limits: Limits = DEFAULT_LIMITS,
    shown: int = 0,
    workers: int | None = None,
    slots: AbstractContextManager[Any] | None = None,
) -> Generator[Row | None, None, None]:
    """A row for each candidate on each picture, as they finish; now and then None, so that the caller is not blocked.

    One model after another, pictures side by side. The network runs once for each picture, however many settings there
    are, unless they concern the network. At most `workers` pictures are in memory. What fails becomes a row with an
    error, and the rest goes on.

    Args:
        pairs: The pictures and their truths.
        candidates: Models and settings.
        load: Loads a model. If it raises an error, that is the error of all its rows.
        limits: Limits for decoding one picture.
        shown: Longer side in pixels of the small pictures that go with a row; 0 for none.
        workers: Pictures processed at the same time; the number of cores by default.
        slots: Shared with other work; a picture is processed only while holding it.
    """
    for model, members in groupby(sorted(candidates, key=_model_of(candidates)), key=lambda each: each.model):
        by_network: dict[Settings, list[Candidate]] = {}
        for candidate in members:
            by_network.setdefault(_network_settings(candidate.settings), []).append(candidate)
        predictors: list[tuple[Predictor, list[Candidate]]] = []
        for settings, group in by_network.items():
            try:
                predictors.append((load(model, settings), group))
            except SegmentationError as error:
                for index, pair in enumerate(pairs):
                    yield from (Row(index, pair.name, each.name, None, error=error.message) for each in group)
        yield from in_parallel(
            range(len(pairs)),
            partial(_score_picture, pairs=pairs, predictors=predictors, limits=limits, shown=shown),
            workers=workers,
            slots=slots,
        )


def _model_of(candidates: Sequence[Candidate]) -> Callable[[Candidate], int]:
    """Keeps candidates of a model together, in the order in which the models first appear."""
    models = [candidate.model for candidate in candidates]
    return lambda candidate: models.index(candidate.model)


def _network_settings(settings: Settings) -> Settings:
    return Settings(**{name: getattr(settings, name) for name in NETWORK_SETTINGS})


def _score_picture(
    index: int,
    events: Events[Row],
    *,
    pairs: Sequence[Pair],
    predictors: Sequence[tuple[Predictor, Sequence[Candidate]]],
    limits: Limits,
    shown: int,
) -> None:
    pair = pairs[index]

    def failed(members: Iterable[Candidate], error: Exception) -> None:
        for candidate in members:
            events.add(Row(index, pair.name, candidate.name, None, error=_sentence(error, pair.name)))

    try:
        picture = pair.picture.load(limits)
        truth = to_truth(pair.truth.load(limits), picture.size)
    except (SegmentationError, MemoryError) as error:
        return failed([candidate for _, group in predictors for candidate in group], error)
    for predictor, group in predictors:
        try:
            start = time.perf_counter()
            prediction = predictor.predict(index, picture, lambda _: None, events.is_stopped)
            seconds = time.perf_counter() - start
        except (SegmentationError, MemoryError) as error:
            failed(group, error)
            continue
        for candidate in group:
            try:
                start = time.perf_counter()
                alpha = _alpha(picture, prediction, candidate.settings)
                took = seconds + time.perf_counter() - start
                measured = measure(alpha, truth)
                small = to_shown(picture, truth, alpha, shown) if shown else None
            except (SegmentationError, MemoryError) as error:
                failed([candidate], error)
                continue
            events.add(Row(index, pair.name, candidate.name, measured, took, shown=small))
    return None


def _alpha(picture: Picture, prediction: Prediction, settings: Settings) -> Alpha:
    """The opacity of the one cutout of a picture; nothing where none of the classes to join is found."""
    if prediction.classes and settings.classes == "each":
        raise SessionError(
            Message(
                "{model} makes a cutout of each class, but there is one truth: choose the classes to join.",
                model=prediction.model,
            )
        )
    if prediction.asks:
        raise SettingsError(nothing_found(prediction, settings))
    probability = next(iter(found_maps(prediction, settings).values()), None)
    if probability is None:
        return np.zeros(picture.size, np.uint8)
    return refine(picture, probability, settings, true_alpha=prediction.true_alpha).alpha


def _sentence(error: Exception, name: str) -> str:
    if isinstance(error, SegmentationError):
        return error.message
    return Message("{name} needs more memory than this machine has free. Make it smaller first.", name=name)
