"""Live previews: one picture at screen size with new settings, while a slider is being moved."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from segmentation.arrays import ProbabilityMap
from segmentation.corrected import Known, Source, refine_source, sources_of
from segmentation.corrections import Correction
from segmentation.cutout_files import Cutout, save_stages
from segmentation.errors import SettingsError
from segmentation.matting.mask import to_mask
from segmentation.matting.trimap import auto_erode_size
from segmentation.picture.export import export_box, save_export
from segmentation.picture.layout import Box
from segmentation.picture.picture import Limits
from segmentation.picture.resize import resize
from segmentation.prediction import Prediction, nothing_found
from segmentation.recipe import Recipe
from segmentation.refinement import subjects_of
from segmentation.settings import Settings, with_values
from segmentation.web.runs.outcomes import key_of
from segmentation.web.runs.predictions import PREVIEW_SIDE
from segmentation.web.runs.run import Run

MAX_UNKNOWN = 40_000  # pixels to solve: a wider band is solved more coarsely, so that previews stay fast


class OvertakenError(Exception):
    """A later tuning step has begun, so nobody waits for this preview."""


class TooSlowError(Exception):
    """A promptable network must see the picture again, which takes as long as the full size."""


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
    correction: Correction


def make_preview(
    run: Run,
    step: int,
    index: int,
    cutout: Cutout,
    prediction: Prediction,
    recipe: Recipe,
    backdrop: Path | None,
    limits: Limits,
    correction: Correction,
) -> Preview:
    """Cut out one picture of a run at screen size, from its full-size prediction.

    With other classes or subjects than the shown cutout has, the preview is of the first of them.

    Raises:
        ImageError: The picture's file no longer exists.
        SettingsError: The classes are not in the picture, the model lacks one, or no subject is under a click.
        OvertakenError: A later tuning step has begun.
    """
    start = time.perf_counter()

    def on_stage(_: str) -> None:
        if run.tuning.current.number > step:
            raise OvertakenError

    on_stage("begin")
    small = run.predictions.small(run.predictions.sources[index], limits)
    behind = run.predictions.small(backdrop, limits).picture if backdrop else None
    planes = run.predictions.small_planes(correction, small, limits)
    name = run.predictions.sources[index].name
    sources = sources_of(prediction, recipe.settings, planes, small.picture.size, name, for_viewer=True)
    if not sources:
        raise SettingsError(nothing_found(prediction, recipe.settings))
    label, source = _shown(sources, cutout.label)
    probability, mask = source.probability, source.mask
    settings = _at_scale(recipe.settings, small.size, small.picture.size, probability)
    # it is defined in pixels of the whole picture, and is fast
    if settings.post_process_mask and mask is None and probability is not None:
        mask = resize(to_mask(probability, small.size, post_process=True), small.picture.size, "box")
    whole = refine_source(
        small.picture,
        replace(source, mask=mask),
        settings,
        correction.scaled(max(small.picture.size) / max(small.size)),
        on_stage,
        max_unknown=MAX_UNKNOWN,
        known=Known(run.predictions.bases, run.predictions.sources[index], always=True),
    )
    results = {each.label: each for each in subjects_of(replace(whole, label=label), settings)}
    result = results.get(cutout.label, next(iter(results.values())))
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
        tuning=step,
        file=file,
        box=export_box(result.alpha, export),
        size=small.picture.size,
        stages=stages,
        seconds=time.perf_counter() - start,
        warnings=(*whole.warnings, *notes),
        correction=correction,
    )


def _shown(sources: Mapping[str, Source], label: str) -> tuple[str, Source]:
    """The class of a cutout, and what it is made from; the first class if there is none of that label."""
    for class_ in (label, label.rpartition("-")[0], *sources):  # of a subject without its number
        if class_ in sources:
            return class_, sources[class_]
    raise AssertionError("there is at least one")


def _at_scale(
    settings: Settings, whole: tuple[int, int], small: tuple[int, int], probability: ProbabilityMap | None
) -> Settings:
    """Settings that have the same effect on the small picture as the given ones on the whole, to the nearest pixel."""
    erode_size = settings.alpha_matting_erode_size
    if erode_size == "auto":
        network = small if probability is None else (probability.shape[0], probability.shape[1])
        erode_size = auto_erode_size(whole, whole if network == small else network)  # a mask of the visitor's own
    if erode_size:
        erode_size = max(1, round(erode_size * max(small) / max(whole)))
    return with_values(settings, alpha_matting_erode_size=erode_size, matting_method="fast")
