"""Settings and a picture in, every stage of a cutout out: `predict` runs the network, `refine` everything after it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, RGBA, UNKNOWN, Alpha, Mask, ProbabilityMap, Size, Trimap
from segmentation.errors import SessionError, SettingsError
from segmentation.matting.alpha import FAST_UNKNOWN, Matte, estimate_alpha
from segmentation.matting.classes import NO_CLASSES, NOT_FOUND, check_classes, chosen_maps, labels_of, listed
from segmentation.matting.estimators import ESTIMATORS
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_alpha, to_mask
from segmentation.matting.trimap import auto_erode_size, to_certain_trimap
from segmentation.messages import Message
from segmentation.network.override import overridden, squashed
from segmentation.network.reading import to_probability
from segmentation.network.session import Runner, Session
from segmentation.network.tensor import to_tensor
from segmentation.network.watchdog import Cancelled
from segmentation.picture.compose import VISIBLE, compose_cutout, multiply_opacity
from segmentation.picture.picture import Picture
from segmentation.settings import Settings

NO_TRUST = Message("With this matting method, trust_mask only counts where the model is in doubt beyond an outline.")
NO_SUBJECT = Message("No subject found. Try another model.")
FOUND = 0.5  # a probability map that never reaches this contains no subject
UNSURE = 0.05  # share of the subject in doubt above which that is worth a warning
WIDE = 0.4  # share of the picture above which an uncertain band is more than an outline

OnStage = Callable[[str], None]
"""Called with the name of each stage as it begins."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probability maps of one picture, and how they were computed."""

    maps: dict[str, ProbabilityMap]
    """By name, of the classes in the picture; the name is "" if the network has only one class."""
    model: str
    provider: str
    provider_note: str
    """Why the GPU was not used, if `auto` could not use it."""
    network_memory: int
    """Approximate memory of the loaded network in bytes; 0 if unknown."""
    network_size: Size
    timings: dict[str, float]
    peak: float = 1.0
    """The largest probability before stretching."""
    warnings: tuple[str, ...] = ()
    """Sentences about the network's input and output."""
    classes: tuple[str, ...] = ()
    """Names of all classes that the network tells apart; empty if it has only one."""
    true_alpha: bool = False
    """Whether the maps are opacity, as matting networks give it, rather than votes."""

    @property
    def nbytes(self) -> int:
        """Size of the maps in bytes."""
        return sum(plane.nbytes for plane in self.maps.values())


@dataclass(frozen=True, slots=True)
class Result:
    """Every stage of one cutout. Planes are at the picture's size, except the probability map."""

    probability: ProbabilityMap
    mask: Mask
    trimap: Trimap | None
    """None without matting."""
    alpha: Alpha
    foreground: RGB
    """The subject's own colours where it is partly transparent, the picture's elsewhere."""
    timings: dict[str, float]
    """Seconds by stage."""
    warnings: tuple[str, ...]
    """Sentences about deviations from the settings, each naming what to change."""
    label: str = ""
    """The class, or those joined, if the network distinguishes several."""
    doubt: npt.NDArray[np.bool_] | None = None
    """Where the network was in doubt over more than an outline, one pixel a cell of its output, or None if nowhere. It
    is decided, in or out, unless the network gives opacity."""
    doubt_share: float = 0.0
    """How much of the subject was in doubt and decided, 0..1, counting what was in doubt."""

    @property
    def cutout(self) -> RGBA:
        """The subject on transparency, composed on each access. `save_cutout` writes it without this array."""
        return compose_cutout(self.foreground, self.alpha)


def predict(
    picture: Picture,
    session: Session,
    settings: Settings | None = None,
    on_stage: OnStage | None = None,
    cancelled: Cancelled | None = None,
    *,
    runner: Runner | None = None,
) -> Prediction:
    """Run the network on a picture.

    Args:
        picture: The picture.
        session: The network.
        settings: Only mean, std, size and contract are used.
        on_stage: Called when the stage begins.
        cancelled: Polled while the network runs; returns True to cancel.
        runner: Computes instead of the session, when a GPU is lent for this picture.

    Raises:
        SettingsError: The model does not support this size or contract.
        SessionError: The network cannot be run, or its output is invalid.
        RunCancelledError: The run was cancelled.
    """
    settings, timings = settings or Settings(), dict[str, float]()
    session = session.under(settings.contract)
    spec = overridden(session.input, settings)
    with _stage("network", timings, on_stage):
        tensor, at = to_tensor(picture.rgb, spec)
        answer = (runner or session.run)(tensor, cancelled)
        reading = to_probability(answer.output, session.output, spec.layout, at)
    return Prediction(
        maps=reading.maps,
        model=session.spec.id,
        provider=answer.provider,
        provider_note=answer.provider_note,
        network_memory=answer.memory,
        network_size=at.canvas,
        timings=timings,
        peak=reading.peak,
        warnings=(*session.notes, *filter(None, [squashed(spec, session.input)])),
        classes=session.output.class_names,
        true_alpha=session.output.true_alpha,
    )


def found_maps(prediction: Prediction, settings: Settings) -> dict[str, ProbabilityMap]:
    """The map of each cutout by its label: of each class that is found, or of those joined, if any of them is.

    Args:
        prediction: The prediction.
        settings: Only classes is used.

    Raises:
        SettingsError: The network has no such class.
    """
    check_classes(settings.classes, prediction.classes, prediction.model)
    maps = chosen_maps(prediction.maps, settings.classes, prediction.classes)
    # no skirt in the picture, no cutout of a skirt
    return {label: plane for label, plane in maps.items() if not label or float(plane.max()) >= FOUND}


def nothing_found(settings: Settings) -> Message:
    """Why there is no cutout at all of a picture."""
    if isinstance(settings.classes, str):
        return NO_SUBJECT
    return Message(NOT_FOUND, classes=listed(settings.classes))


def ignored_settings(prediction: Prediction, settings: Settings) -> list[Message]:
    """Sentences about settings that mean nothing to the network of a prediction, or beside the others."""
    ignored = [] if prediction.classes or settings.classes == "each" else [NO_CLASSES]
    meant = settings.trust_mask not in (0, Settings().trust_mask)  # 0 switches that off
    if settings.alpha_matting and settings.matting_method in ESTIMATORS and meant:
        ignored.append(NO_TRUST)
    return ignored


def refine(
    picture: Picture,
    probability: ProbabilityMap,
    settings: Settings | None = None,
    on_stage: OnStage | None = None,
    *,
    mask: Mask | None = None,
    max_unknown: int = FAST_UNKNOWN,
    true_alpha: bool = False,
) -> Result:
    """Everything after the network: mask, trimap, alpha, colours and cutout. Tunes settings without running it again.

    Args:
        picture: The picture.
        probability: (h, w), 0..1, at any resolution, as returned by `predict`.
        settings: classes, mean, std, size and contract have no effect here.
        on_stage: Called when each stage begins.
        mask: The mask at the picture's size, to use instead of one made from the probability map.
        max_unknown: The most pixels that fast matting solves; lower it for a quicker preview.
        true_alpha: Whether the map is opacity rather than a vote, as the prediction says.
    """
    settings = settings or Settings()
    timings: dict[str, float] = {}
    warnings: list[str] = []
    with _stage("mask", timings, on_stage):
        if mask is None:
            mask = to_mask(probability, picture.size, settings.post_process_mask)
    trimap, alpha, colours = None, to_alpha(mask), picture.rgb
    doubt, doubt_share = None, 0.0
    if settings.alpha_matting:
        with _stage("matting", timings, on_stage):
            trimap, matte = _matte(picture.rgb, probability, mask, settings, max_unknown, true_alpha, warnings)
            alpha = np.rint(matte.alpha * 255.0).astype(np.uint8)
            colours = estimate_foreground(picture.rgb, matte.alpha)
            doubt, doubt_share = matte.doubt, matte.doubt_share
    elif settings.decontaminate:
        with _stage("colours", timings, on_stage):
            colours = estimate_foreground(picture.rgb, np.divide(alpha, 255, dtype=np.float32))
    if picture.opacity is not None:
        alpha = multiply_opacity(alpha, picture.opacity)
    if float(probability.max()) < FOUND or not np.any(alpha >= VISIBLE):
        warnings = [NO_SUBJECT]  # the other warnings are about an outline that does not exist
    return Result(
        probability, mask, trimap, alpha, colours, timings, tuple(warnings), doubt=doubt, doubt_share=doubt_share
    )


def segment(picture: Picture, session: Session, settings: Settings | None = None, label: str | None = None) -> Result:
    """Cut the subject out of a picture.

    Args:
        picture: The picture.
        session: The network.
        settings: The settings; the defaults of `Settings` if not given.
        label: The class to cut out, if the network distinguishes several and the settings join none; the first by
            default.

    Raises:
        SettingsError: The model does not support this size, or lacks one of the classes to join; or there is a label,
            and classes to join.
        SessionError: The network cannot be run, or has no such class.
    """
    settings = settings or Settings()
    known = session.under(settings.contract).output.class_names
    check_classes(settings.classes, known, session.spec.title)
    label = _label(settings, known, label, session.spec.title)
    prediction = predict(picture, session, settings)
    maps = chosen_maps(prediction.maps, settings.classes, known)
    nothing: ProbabilityMap = np.zeros(prediction.network_size, np.float32)
    result = refine(picture, maps.get(label, nothing), settings, true_alpha=prediction.true_alpha)
    return replace(
        result,
        label=label,
        timings=prediction.timings | result.timings,
        warnings=(
            *picture.notes, *prediction.warnings, *ignored_settings(prediction, settings), *result.warnings,
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


def _matte(
    rgb: RGB,
    probability: ProbabilityMap,
    mask: Mask,
    settings: Settings,
    max_unknown: int,
    true_alpha: bool,
    warnings: list[str],
) -> tuple[Trimap, Matte]:
    """Trimap and matte; deviations from the settings are appended to `warnings`."""
    erode_size = settings.alpha_matting_erode_size
    if erode_size == "auto":
        erode_size = auto_erode_size((mask.shape[0], mask.shape[1]), (probability.shape[0], probability.shape[1]))
    trimap, eroded_by = to_certain_trimap(
        mask,
        settings.alpha_matting_foreground_threshold,
        settings.alpha_matting_background_threshold,
        erode_size,
    )
    matte = estimate_alpha(
        rgb,
        trimap,
        mask=mask,
        output=None if settings.post_process_mask else probability,
        trust=settings.trust_mask,
        method=settings.matting_method,
        max_unknown=max_unknown,
        true_alpha=true_alpha,
    )
    warnings += matte.warnings
    if matte.doubt_share > UNSURE:
        warnings.append(Message("The model is unsure about {share:.0%} of the subject.", share=matte.doubt_share))
    if eroded_by < erode_size and matte.unknown:
        warnings.append(
            Message(
                "alpha_matting_erode_size {erode_size} left nothing certain of the subject or its background; "
                "{eroded_by} was used.",
                erode_size=erode_size,
                eroded_by=eroded_by,
            )
        )
    share = float(np.count_nonzero(trimap == UNKNOWN)) / trimap.size
    if share > WIDE and not matte.warnings:
        warnings.append(
            Message(
                "The uncertain band covers {share:.0%} of the picture: lower alpha_matting_erode_size, or try a "
                "model that is surer of this subject.",
                share=share,
            )
        )
    return trimap, matte


@contextmanager
def _stage(name: str, timings: dict[str, float], on_stage: OnStage | None) -> Iterator[None]:
    if on_stage:
        on_stage(name)
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start
