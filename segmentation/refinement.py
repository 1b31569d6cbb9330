"""Everything after the network: `refine` makes mask, trimap, alpha, colours and cutout of a probability map."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, RGBA, UNKNOWN, Alpha, Mask, ProbabilityMap, Trimap
from segmentation.corrections import Box, Point, Stroke
from segmentation.matting.alpha import FAST_UNKNOWN
from segmentation.matting.strokes import seed
from segmentation.matting.subjects import choose, find_subjects
from segmentation.messages import Message
from segmentation.picture.compose import VISIBLE, compose_cutout, multiply_opacity
from segmentation.picture.picture import Picture
from segmentation.prediction import FOUND, NO_SUBJECT
from segmentation.settings import Settings
from segmentation.solving import Solved, draw, left_in_doubt, solve
from segmentation.stages import OnStage, stage

DOUBT = "The model is unsure about {share:.0%} of the subject: keep or remove it with a stroke."
ALL_REMOVED = Message("No subject is left: strokes removed all of it.")
UNSURE = 0.05  # share of the subject in doubt above which that is worth a warning


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
    solved: Solved | None = field(default=None, repr=False, compare=False)
    """For `refine(..., base=...)` with further strokes; always there in what `refine` returns."""

    @property
    def cutout(self) -> RGBA:
        """The subject on transparency, composed on each access. `save_cutout` writes it without this array."""
        return compose_cutout(self.foreground, self.alpha)


def refine(
    picture: Picture,
    probability: ProbabilityMap | None,
    settings: Settings | None = None,
    on_stage: OnStage | None = None,
    *,
    strokes: Sequence[Stroke] = (),
    trimap: Trimap | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    mask: Mask | None = None,
    max_unknown: int = FAST_UNKNOWN,
    true_alpha: bool = False,
    base: Solved | None = None,
) -> Result:
    """Everything after the network: mask, trimap, alpha, colours and cutout. Tunes settings without running it again.

    Args:
        picture: The picture.
        probability: (h, w), 0..1, at any resolution, as returned by `predict`. With None, the trimap alone is solved,
            as in classic matting.
        settings: classes, mean, std, size and contract have no effect here.
        on_stage: Called when each stage begins.
        strokes: What a person drew, in pixels of the picture; the later over the earlier.
        trimap: (h, w) of the picture, BACKGROUND, UNKNOWN and FOREGROUND, to use as it is instead of one made from the
            mask.
        points: Clicks on subjects: those to keep, or else all, stay without those to remove.
        box: Subjects mostly in it are kept.
        mask: The mask at the picture's size, to use instead of one made from the probability map.
        max_unknown: The most pixels that fast matting solves; lower it for a quicker preview.
        true_alpha: Whether the map is opacity rather than a vote, as the prediction says.
        base: `Result.solved` of the same picture with the same other arguments, but only the first of these strokes,
            or none: only the others are solved. The result is the same, byte for byte.

    Raises:
        SettingsError: No subject is under the points or in the box.
        MattingError: There is only a trimap, without certain foreground or without certain background.
        ValueError: There is neither probability map nor trimap, the trimap does not fit the picture, or the strokes do
            not begin with those of the base.
    """
    settings, strokes = settings or Settings(), tuple(strokes)
    timings: dict[str, float] = {}
    if trimap is not None and trimap.shape != picture.size:
        raise ValueError("the trimap must have the picture's size")
    if base is not None and strokes[: len(base.strokes)] != base.strokes:
        raise ValueError("the strokes must begin with those of the base")
    is_classic = probability is None
    if probability is None:
        if trimap is None:
            raise ValueError("there must be a probability map or a trimap")
        probability = (trimap / np.float32(255)).astype(np.float32)
    meant = probability
    if settings.invert:
        meant, mask = 1 - probability, None if mask is None else ~mask
        trimap = None if trimap is None else np.where(trimap == UNKNOWN, trimap, ~trimap)
    is_found = trimap is not None or float(meant.max()) >= FOUND
    seeds = 0
    if trimap is not None:
        trimap, seeds = seed(trimap, strokes)
    if base is None or len(base.strokes) < seeds:
        base = solve(picture, meant, settings, timings, on_stage, trimap, mask, max_unknown, true_alpha, is_classic)
        base = replace(base, strokes=strokes[:seeds])
    solved = base
    if len(base.strokes) < len(strokes):
        with stage("strokes", timings, on_stage):
            solved = draw(picture, base, strokes, settings, on_stage, max_unknown, is_found)
    doubt, doubt_share = left_in_doubt(solved)
    alpha, warnings = solved.alpha, solved.warnings
    if doubt_share > UNSURE:
        warnings = (Message(DOUBT, share=doubt_share), *warnings)
    if picture.opacity is not None:
        alpha = multiply_opacity(alpha, picture.opacity)
    if points or box:
        alpha, missed = choose(alpha, points, box)
        warnings += missed
    if settings.subjects == "largest":
        alpha = find_subjects(alpha).only(alpha, [1])
    is_found = is_found or any(stroke.kind == "keep" for stroke in strokes)
    if not is_found or not np.any(alpha >= VISIBLE):
        is_removed = is_found and any(stroke.kind == "remove" for stroke in strokes)
        warnings = (
            ALL_REMOVED if is_removed else NO_SUBJECT,
        )  # the other warnings are about an outline that does not exist
    return Result(
        probability,
        solved.mask,
        solved.trimap if settings.alpha_matting else None,
        alpha,
        solved.foreground,
        timings,
        warnings,
        doubt=doubt,
        doubt_share=doubt_share,
        solved=solved,
    )


def subjects_of(result: Result, settings: Settings) -> list[Result]:
    """A result for each subject, if the settings want a cutout of each, with numbered labels; or else the one result.

    Timings and warnings, which are about all of them, stay with the first.

    Args:
        result: Of all subjects.
        settings: Only subjects is used.
    """
    if settings.subjects != "each":
        return [result]
    subjects = find_subjects(result.alpha)
    first, *others = [
        replace(result, alpha=subjects.only(result.alpha, [number]), label=numbered(result.label, number))
        for number in range(1, subjects.count + 1)
    ] or [replace(result, label=numbered(result.label, 1))]
    return [first, *(replace(other, timings={}, warnings=()) for other in others)]


def numbered(label: str, number: int) -> str:
    """Label of the cutout of a subject, such as "2", or "hair-2" for one of a class."""
    return f"{label}-{number}" if label else str(number)
