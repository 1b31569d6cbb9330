"""What is solved of a picture before anything is left out of it: by its mask or trimap, then by each stroke."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.arrays import RGB, UNKNOWN, Alpha, Mask, ProbabilityMap, Trimap
from segmentation.corrections import Stroke
from segmentation.matting.alpha import Matte, estimate_alpha
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_alpha, to_mask
from segmentation.matting.strokes import WorkingMatte, draw_stroke, marks_of
from segmentation.matting.trimap import auto_erode_size, to_certain_trimap
from segmentation.messages import Message
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.settings import Settings
from segmentation.stages import OnStage, stage

WIDE = 0.4  # share of the picture above which an uncertain band is more than an outline


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """What is solved of a picture, so that further strokes cost only their neighbourhood: the `base` of `refine`."""

    strokes: tuple[Stroke, ...]
    """Those it contains."""
    mask: Mask
    trimap: Trimap | None
    """None without matting."""
    alpha: Alpha
    """Before it is multiplied by the picture's own opacity."""
    foreground: RGB
    warnings: tuple[str, ...]
    doubt: npt.NDArray[np.bool_] | None
    """Before any stroke."""
    doubt_share: float
    """Before any stroke."""
    marks: npt.NDArray[np.uint8] | None
    """What the strokes say of each pixel; None without strokes."""

    @property
    def nbytes(self) -> int:
        """Size of the planes in bytes."""
        planes = self.mask, self.trimap, self.alpha, self.foreground, self.doubt, self.marks
        return sum(plane.nbytes for plane in planes if plane is not None)


def solve(
    picture: Picture,
    probability: ProbabilityMap,
    settings: Settings,
    timings: dict[str, float],
    on_stage: OnStage | None,
    trimap: Trimap | None,
    mask: Mask | None,
    max_unknown: int,
    true_alpha: bool,
    is_classic: bool,
) -> Solved:
    """Mask, trimap, alpha and colours without any stroke; the arguments are those of `refine`.

    Args:
        picture: The picture.
        probability: (h, w), 0..1, at any resolution.
        settings: Those for mask and matting.
        timings: Receives the seconds of each stage.
        on_stage: Called when each stage begins.
        trimap: (h, w) of the picture, to use as it is.
        mask: (h, w) of the picture, to use as it is.
        max_unknown: The most pixels that fast matting solves.
        true_alpha: Whether the map is opacity rather than a vote.
        is_classic: Whether the map only repeats the trimap, so that it is evidence of nothing.
    """
    warnings: list[str] = []
    with stage("mask", timings, on_stage):
        if mask is None:
            mask = to_mask(probability, picture.size, settings.post_process_mask)
    colours, doubt, doubt_share = picture.rgb, None, 0.0
    if settings.alpha_matting:
        with stage("matting", timings, on_stage):
            trimap, matte = _matte(
                picture.rgb, probability, mask, settings, trimap, max_unknown, true_alpha, is_classic, warnings
            )
            alpha = np.rint(matte.alpha * 255.0).astype(np.uint8)
            colours = estimate_foreground(picture.rgb, matte.alpha)
            doubt, doubt_share = matte.doubt, matte.doubt_share
    else:
        alpha = to_alpha(mask)
        if trimap is not None:
            alpha = np.where(trimap == UNKNOWN, alpha, trimap)
        if settings.decontaminate:
            with stage("colours", timings, on_stage):
                colours = estimate_foreground(picture.rgb, np.divide(alpha, 255, dtype=np.float32))
        trimap = None
    return Solved((), mask, trimap, alpha, colours, tuple(warnings), doubt, doubt_share, None)


def _matte(
    rgb: RGB,
    probability: ProbabilityMap,
    mask: Mask,
    settings: Settings,
    trimap: Trimap | None,
    max_unknown: int,
    true_alpha: bool,
    is_classic: bool,
    warnings: list[str],
) -> tuple[Trimap, Matte]:
    """Trimap and matte; deviations from the settings are appended to `warnings`."""
    erode_size = settings.alpha_matting_erode_size
    if erode_size == "auto":
        erode_size = auto_erode_size((mask.shape[0], mask.shape[1]), (probability.shape[0], probability.shape[1]))
    is_given, eroded_by = trimap is not None, erode_size
    if trimap is None:
        trimap, eroded_by = to_certain_trimap(
            mask,
            settings.alpha_matting_foreground_threshold,
            settings.alpha_matting_background_threshold,
            erode_size,
        )
    matte = estimate_alpha(
        rgb,
        trimap,
        mask=None if is_classic else mask,
        output=None if settings.post_process_mask or is_given else probability,
        trust=settings.trust_mask,
        method=settings.matting_method,
        max_unknown=max_unknown,
        true_alpha=true_alpha,
    )
    warnings += matte.warnings
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
    if share > WIDE and not is_given and not matte.warnings:
        warnings.append(
            Message(
                "The uncertain band covers {share:.0%} of the picture: lower alpha_matting_erode_size, or try a "
                "model that is surer of this subject.",
                share=share,
            )
        )
    return trimap, matte


def draw(
    picture: Picture,
    base: Solved,
    strokes: tuple[Stroke, ...],
    settings: Settings,
    on_stage: OnStage | None,
    max_unknown: int,
    is_found: bool,
) -> Solved:
    """What is solved after further strokes. If no subject was found, they begin with nothing.

    The stage is announced again with each of them: hundreds take minutes, and the caller may end the work there.
    """
    if not is_found and not base.strokes:
        nothing = np.zeros_like(base.alpha)
        base = replace(base, trimap=nothing, alpha=nothing, foreground=np.zeros_like(base.foreground), warnings=())
    working = WorkingMatte(
        picture.rgb,
        _as_certain(base.alpha) if base.trimap is None else base.trimap.copy(),
        base.alpha.copy(),
        base.foreground.copy() if settings.alpha_matting or settings.decontaminate else None,
        marks_of(base.strokes, picture.size) if base.marks is None else base.marks.copy(),
    )
    for number, stroke in enumerate(strokes[len(base.strokes) :]):
        if number and on_stage:
            on_stage("strokes")
        draw_stroke(working, stroke, settings, max_unknown)
    return replace(
        base,
        strokes=strokes,
        trimap=working.trimap,
        alpha=working.alpha,
        foreground=picture.rgb if working.foreground is None else working.foreground,
        marks=working.marks,
        warnings=tuple(dict.fromkeys((*base.warnings, *working.warnings))),
    )


def left_in_doubt(solved: Solved) -> tuple[npt.NDArray[np.bool_] | None, float]:
    """Where and how much doubt is left: regions of it that a stroke has touched are settled."""
    doubt, share = solved.doubt, solved.doubt_share
    if doubt is None or solved.marks is None:
        return doubt, share
    marked = resize((solved.marks > 0).view(np.uint8), (doubt.shape[0], doubt.shape[1]), "box") > 0
    regions, count = ndimage.label(doubt, np.ones((3, 3)))
    settled = np.zeros(count + 1, bool)
    settled[regions[marked]] = True
    left = doubt & ~settled[regions]
    cells, before = int(np.count_nonzero(left)), int(np.count_nonzero(doubt))
    if cells in (0, before) or not share:
        return (left, share) if cells else (None, 0.0)
    return left, cells / (cells + before / share - before)


def _as_certain(alpha: Alpha) -> Trimap:
    """An opacity as a trimap: unknown where it is partial."""
    return np.where((alpha == 0) | (alpha == 255), alpha, np.uint8(UNKNOWN))
