"""A picture and a network in, a cutout out: `segment` is `predict` and `refine` in one call."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segmentation.arrays import ProbabilityMap, Trimap
from segmentation.corrections import Box, Correction, Point, Prompt, Stroke, check_inside
from segmentation.errors import SessionError, SettingsError
from segmentation.matting.classes import check_classes, labels_of, listed
from segmentation.messages import Message
from segmentation.network.session import Session
from segmentation.picture.picture import Picture
from segmentation.prediction import found_maps, ignored_settings, nothing_found, point_at, predict
from segmentation.refinement import Result, refine
from segmentation.settings import Settings


def segment(
    picture: Picture,
    session: Session,
    settings: Settings | None = None,
    label: str | None = None,
    *,
    strokes: Sequence[Stroke] = (),
    trimap: Trimap | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    candidate: int = 1,
    prompt_session: Session | None = None,
) -> Result:
    """Cut the subject out of a picture.

    Args:
        picture: The picture.
        session: The network.
        settings: The settings; the defaults of `Settings` if not given.
        label: The class to cut out, if the network distinguishes several and the settings join none; the first by
            default.
        strokes: What a person drew on it, as for `refine`.
        trimap: What is certain and what is to be solved, as for `refine`.
        points: Clicks on subjects. A promptable model cuts out what they are on; of any other model's answer, the
            subjects under them stay, as for `refine`.
        box: Around subjects, likewise.
        candidate: Which answer of a promptable model is taken; 1 is the one that it expects to be the best.
        prompt_session: A promptable network that says what points and box mean, to restrict the model's answer to it.

    Raises:
        SettingsError: The model does not support this size, or lacks one of the classes to join; or there is a label,
            and classes to join; or a promptable model is not told what is wanted; or a point, the box or a stroke lies
            outside the picture.
        SessionError: The network cannot be run, or has no such class.
    """
    settings = settings or Settings()
    known = session.under(settings.contract).output.class_names
    check_classes(settings.classes, known, session.spec.title)
    label = _label(settings, known, label, session.spec.title)
    check_inside(Correction(tuple(strokes), tuple(points), box), picture.size)
    prompt = Prompt(tuple(points), box, candidate)
    prediction = predict(picture, session, settings, points=prompt.points, box=box, candidate=candidate)
    if prompt_session and not prediction.asks:
        prediction = point_at(picture, prediction, prompt_session, prompt)
    maps = found_maps(prediction, settings)
    if prediction.asks and not maps:
        raise SettingsError(nothing_found(prediction, settings))
    nothing: ProbabilityMap = np.zeros(prediction.network_size, np.float32)
    is_answered = prediction.pointed is not None
    result = refine(
        picture,
        maps.get(label, nothing),
        settings,
        strokes=strokes,
        trimap=trimap,
        points=() if is_answered else points,
        box=None if is_answered else box,
        true_alpha=prediction.true_alpha,
    )
    return replace(
        result,
        label=label,
        timings=prediction.timings | result.timings,
        warnings=(
            *picture.notes, *prediction.all_warnings, *ignored_settings(prediction, settings), *result.warnings,
        ),
    )  # fmt: skip


def _label(settings: Settings, known: tuple[str, ...], label: str | None, title: str) -> str:
    labels = labels_of(settings.classes, known)
    if label is None:
        return labels[0]
    if known and settings.classes != "each":
        raise SettingsError(Message("Name a class by label, or classes to join in the settings, but not both."))
    if label not in labels:
        raise SessionError(
            Message(
                "{title} has no class {label}; it has {maps}.", title=title, label=repr(label),
                maps=listed(labels, label),
            )
        )  # fmt: skip
    return label
