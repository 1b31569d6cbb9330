"""Live previews: one picture at screen size with new settings, while a slider is being moved."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from segmentation.cutout_files import Cutout, save_stages
from segmentation.errors import SettingsError
from segmentation.matting.mask import to_mask
from segmentation.matting.trimap import auto_erode_size
from segmentation.picture.export import export_box, save_export
from segmentation.picture.layout import Box
from segmentation.picture.picture import Limits
from segmentation.picture.resize import resize
from segmentation.pipeline import Prediction, found_maps, nothing_found, refine
from segmentation.recipe import Recipe
from segmentation.settings import Settings, with_values
from segmentation.web.runs.predictions import PREVIEW_SIDE
from segmentation.web.runs.run import Run
from segmentation.web.runs.view import key_of

MAX_UNKNOWN = 40_000  # pixels to solve: a wider band is solved more coarsely, so that previews stay fast


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview of one cutout."""

    key: str  # of the cutout
    tuning: int  # number of the tuning step
    file: Path
    box: Box  # in pixels of the preview
    size: tuple[int, int]  # (height, width) of the whole picture, in pixels of the preview
    stages: dict[str, Path]
    seconds: float
    warnings: tuple[str, ...]


def make_preview(
    run: Run, index: int, cutout: Cutout, prediction: Prediction, recipe: Recipe, backdrop: Path | None, limits: Limits
) -> Preview:
    """Cut out one picture of a run at screen size, from its full-size prediction.

    With other classes than the shown cutout has, the preview is of the first of them.

    Raises:
        ImageError: The picture's file no longer exists.
        SettingsError: The classes are not in the picture, or the model lacks one.
    """
    start, tuning = time.perf_counter(), run.tuning.current
    small = run.predictions.small(run.predictions.sources[index], limits)
    behind = run.predictions.small(backdrop, limits).picture if backdrop else None
    maps = found_maps(prediction, recipe.settings)
    if not maps:
        raise SettingsError(nothing_found(recipe.settings))
    probability = maps.get(cutout.label, next(iter(maps.values())))
    settings = _at_scale(recipe.settings, small.size, small.picture.size, probability.shape)
    mask = None
    if settings.post_process_mask:  # it is defined in pixels of the whole picture, and is fast
        mask = resize(to_mask(probability, small.size, post_process=True), small.picture.size, "box")
    result = refine(
        small.picture,
        probability,
        settings,
        mask=mask,
        max_unknown=MAX_UNKNOWN,
        true_alpha=prediction.true_alpha,
    )
    stem = f"preview-{uuid.uuid4().hex}"
    # lossless WebP only takes longer to write, and a smaller picture fits sooner
    kind = "jpeg" if recipe.export.format == "jpeg" else "png"
    edge = min(recipe.export.max_edge or PREVIEW_SIDE, PREVIEW_SIDE)
    export = with_values(recipe.export, format=kind, max_edge=edge, max_kb=0)
    file = run.folder / f"{stem}{export.ending}"
    reduced = max(small.size) / max(small.picture.size)
    notes = save_export(small.picture, result.foreground, result.alpha, file, export, behind, reduced=reduced)
    stages = save_stages(result, run.folder, stem)
    run.files.retire([file, *stages.values()])  # the full-size cutout replaces it in a moment
    return Preview(
        key=key_of(index, cutout),
        tuning=tuning.number,
        file=file,
        box=export_box(result.alpha, export),
        size=small.picture.size,
        stages=stages,
        seconds=time.perf_counter() - start,
        warnings=(*result.warnings, *notes),
    )


def _at_scale(settings: Settings, whole: tuple[int, int], small: tuple[int, int], network: tuple[int, ...]) -> Settings:
    """Settings that have the same effect on the small picture as the given ones on the whole, to the nearest pixel."""
    erode_size = settings.alpha_matting_erode_size
    if erode_size == "auto":
        erode_size = auto_erode_size(whole, (network[0], network[1]))
    if erode_size:
        erode_size = max(1, round(erode_size * max(small) / max(whole)))
    return with_values(settings, alpha_matting_erode_size=erode_size, matting_method="fast")
