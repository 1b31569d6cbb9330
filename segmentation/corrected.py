"""What is to be refined of a picture: the network's maps, joined with a mask and trimap of a person's own."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Mask, ProbabilityMap, Size, Trimap
from segmentation.bases import Bases, key_of
from segmentation.corrections import Correction
from segmentation.errors import SettingsError
from segmentation.matting.alpha import FAST_UNKNOWN
from segmentation.matting.mask import post_processed, to_mask
from segmentation.messages import Message
from segmentation.picture.own_planes import load_mask, load_trimap
from segmentation.picture.picture import Limits, Picture
from segmentation.picture.resize import resize
from segmentation.prediction import NO_SUBJECT, Prediction, found_maps, nothing_found
from segmentation.refinement import Result, refine, subjects_of
from segmentation.settings import MaskMode, Settings
from segmentation.stages import OnStage

NO_MODEL = "none"  # in reports, where none ran

Plane = TypeVar("Plane", npt.NDArray[np.uint8], npt.NDArray[np.float32])


@dataclass(frozen=True, slots=True)
class OwnPlanes:
    """A person's own mask and trimap at the picture's size, if there are any."""

    mask: Mask | None = None
    trimap: Trimap | None = None
    notes: tuple[str, ...] = ()
    """Sentences about how they were read."""

    def shrunk(self, size: Size) -> "OwnPlanes":
        """The same for a smaller copy of the picture."""
        return replace(
            self,
            mask=None if self.mask is None else resize(self.mask, size, "box"),
            trimap=None if self.trimap is None else resize(self.trimap, size, "nearest"),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What is solved of a picture already."""

    bases: Bases
    name: object
    """The picture's, among those of the bases."""
    always: bool = False
    """Keep what is solved without strokes too, for those that may follow."""


NOTHING_OF_ONES_OWN = Message("There is no subject in your own mask or trimap.")


@dataclass(frozen=True, slots=True)
class Source:
    """What `refine` makes a cutout from."""

    probability: ProbabilityMap | None
    mask: Mask | None = None
    trimap: Trimap | None = None
    true_alpha: bool = field(default=False, kw_only=True)
    is_pointed: bool = field(default=False, kw_only=True)
    """Whether a promptable network has answered points and box already, so that they choose nothing more."""
    nothing: str = field(default=NO_SUBJECT, kw_only=True)
    """The warning if there is no subject."""


def needs_network(correction: Correction, settings: Settings) -> bool:
    """Whether a picture needs the network: its own mask or trimap may replace what it would say."""
    return not ((correction.mask or correction.trimap) and settings.mask_mode == "replace")


def load_planes(correction: Correction, size: Size, limits: Limits) -> OwnPlanes:
    """The files of a correction.

    Args:
        correction: The correction.
        size: (height, width) of its picture.
        limits: Limits for decoding.

    Raises:
        ImageError: A file cannot be read, or has another shape than the picture.
    """
    mask, notes = load_mask(correction.mask, size, limits) if correction.mask else (None, ())
    trimap, more = load_trimap(correction.trimap, size, limits) if correction.trimap else (None, ())
    return OwnPlanes(mask, trimap, (*notes, *more))


def no_prediction() -> Prediction:
    """The prediction of a picture that needs no network."""
    nothing = {"": np.zeros((1, 1), np.float32)}
    return Prediction(nothing, NO_MODEL, NO_MODEL, "", 0, (0, 0), {}, is_networks=False)


def sources_of(
    prediction: Prediction, settings: Settings, planes: OwnPlanes, size: Size, name: str, *, for_viewer: bool = False
) -> dict[str, Source]:
    """What each cutout of a picture is made from, by the label of its class; none if no class was found.

    Args:
        prediction: Of the picture.
        settings: The settings.
        planes: The person's own.
        size: (height, width) of the picture, and of the planes.
        name: Of the picture, for the sentence.
        for_viewer: Whether a promptable model that has not been pointed at anything makes an empty cutout, since a
            person needs a picture to click on.

    Raises:
        SettingsError: The network has no such class, or it is needed and did not run.
    """
    own, trimap = planes.mask, planes.trimap
    if settings.mask_mode == "replace" and own is not None:
        mask = post_processed(own) if settings.post_process_mask else own
        probability = (own / np.float32(255)).astype(np.float32)
        return {"": Source(probability, mask, trimap, true_alpha=True, nothing=NOTHING_OF_ONES_OWN)}
    if settings.mask_mode == "replace" and trimap is not None:
        return {"": Source(None, trimap=trimap, nothing=NOTHING_OF_ONES_OWN)}
    if not prediction.is_networks:
        raise SettingsError(Message("{name} has been cut out without a model. Cut out again.", name=name))
    if for_viewer and prediction.asks and prediction.pointed is None:
        empty: ProbabilityMap = np.zeros(prediction.network_size, np.float32)
        return {"": Source(empty, is_pointed=True, nothing=nothing_found(prediction, settings))}
    return {
        label: replace(
            _joined_source(probability, own, trimap, settings, size, prediction.true_alpha),
            is_pointed=prediction.pointed is not None,
        )
        for label, probability in found_maps(prediction, settings).items()
    }


def _joined_source(
    probability: ProbabilityMap, own: Mask | None, trimap: Trimap | None, settings: Settings, size: Size, opacity: bool
) -> Source:
    if own is None:
        return Source(probability, None, trimap, true_alpha=opacity)
    mask = joined(to_mask(probability, size), own, settings.mask_mode)
    coarse = resize(own, (probability.shape[0], probability.shape[1]), "box") / np.float32(255)
    answer = joined(probability, coarse.astype(np.float32), settings.mask_mode)
    return Source(answer, post_processed(mask) if settings.post_process_mask else mask, trimap, true_alpha=opacity)


def joined(network: Plane, own: Plane, mode: MaskMode) -> Plane:
    """A network's plane joined with a person's own that does not replace it, 0..255 or 0..1."""
    if mode == "add":
        return np.maximum(network, own)
    if mode == "intersect":
        return np.minimum(network, own)
    rest: Plane = np.subtract(255 if own.dtype == np.uint8 else 1, own, dtype=own.dtype)
    return np.minimum(network, rest)


def refined(
    picture: Picture,
    sources: dict[str, Source],
    settings: Settings,
    correction: Correction,
    on_stage: OnStage | None = None,
    known: Known | None = None,
) -> Iterator[tuple[str, Result]]:
    """Each cutout of a picture with its class: of every one found, and of each subject if the settings want that.

    Args:
        picture: The picture.
        sources: As from `sources_of`.
        settings: The settings.
        correction: Its strokes, points and box.
        on_stage: Called when each stage begins.
        known: Where to look for what is solved already, and to keep it if there are strokes.

    Raises:
        SettingsError: No subject of any class is under the points or in the box.
    """
    missed: SettingsError | None = None
    found = False
    for label, source in sources.items():
        try:
            result = refine_source(picture, source, settings, correction, on_stage, known=known)
        except SettingsError as error:  # perhaps the click was on another class
            missed = error
            continue
        found = True
        yield from ((label, each) for each in subjects_of(replace(result, label=label), settings))
    if missed and not found:
        raise missed


def refine_source(
    picture: Picture,
    source: Source,
    settings: Settings,
    correction: Correction,
    on_stage: OnStage | None = None,
    *,
    max_unknown: int = FAST_UNKNOWN,
    known: Known | None = None,
) -> Result:
    """`refine` with a source and a correction.

    Args:
        picture: The picture.
        source: What to refine.
        settings: The settings.
        correction: Its strokes, points and box.
        on_stage: Called when each stage begins.
        max_unknown: As for `refine`.
        known: Where to look for what is solved already, and to keep it if there are strokes.

    Raises:
        SettingsError: No subject is under the points or in the box.
        MattingError: There is only a trimap, without certain foreground or without certain background.
    """
    solve = partial(
        refine,
        picture,
        source.probability,
        settings,
        on_stage,
        trimap=source.trimap,
        mask=source.mask,
        max_unknown=max_unknown,
        true_alpha=source.true_alpha,
    )
    points = () if source.is_pointed else correction.points
    box = None if source.is_pointed else correction.box

    def told(result: Result) -> Result:
        return replace(result, warnings=(source.nothing,)) if result.warnings == (NO_SUBJECT,) else result

    if known is None or not (correction.strokes or known.always):
        return told(solve(strokes=correction.strokes, points=points, box=box))
    name = known.name, picture.size, max_unknown, source.true_alpha
    key = key_of(name, settings, source.probability, source.mask, source.trimap)
    base = known.bases.find(key, correction.strokes, picture.rgb)
    begun: dict[str, float] = {}
    if base is None and source.trimap is None:  # also for when all strokes are undone
        first = solve()
        base, begun = first.solved, first.timings
        known.bases.keep(key, first.solved, picture.rgb)
    result = solve(strokes=correction.strokes, points=points, box=box, base=base)
    known.bases.keep(key, result.solved, picture.rgb)
    return told(replace(result, timings=begun | result.timings))
