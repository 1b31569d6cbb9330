"""The viewer's content, as data for its script in the browser."""

from pathlib import Path
from typing import Any

from segmentation.web.runs.outcomes import failed_key_of, key_of
from segmentation.web.runs.previews import Preview
from segmentation.web.runs.run import Run
from segmentation.web.texts import Say


def viewer_value(run: Run, say: Say) -> dict[str, Any]:
    """The cutouts of a run so far, and the pictures that failed.

    Paths are in the upload folder, whose files Gradio serves to anyone who knows the path. A box is the left, top,
    right and bottom of the written part, in a picture of size (height, width); a canvas may reach beyond it. The
    density is the file's pixels across a pixel of the picture. A correction is what the visitor says about the picture
    now, of which its cutout may not yet have all: it has as many strokes as were applied.
    """
    outcomes = run.outcomes.by_picture
    reports = {index: outcome.report for index, outcome in outcomes.items()}
    corrected = {index: outcome.correction for index, outcome in outcomes.items()}
    items = [
        {
            "key": key_of(index, cutout),
            "index": index,
            "name": run.predictions.sources[index].name,
            "label": cutout.label,
            "file": str(cutout.file),
            "file_name": cutout.file.name,
            "thumbnail": str(cutout.thumbnail),
            "screen": str(cutout.screen or cutout.file),
            "before": str(cutout.stages.get("before", run.predictions.sources[index])),
            "before_screen": str(
                cutout.stages.get("before_screen", cutout.stages.get("before", run.predictions.sources[index]))
            ),
            "warnings": [say(text) for text in reports[index].warnings],
            "box": cutout.box,
            "density": cutout.density,
            "size": (reports[index].height, reports[index].width),
            "stages": _stages(cutout.stages),
            "correction": run.corrections.get(index).as_json(),
            "revision": run.corrections.revision(index),
            "applied": len(corrected[index].strokes),
        }
        for index, cutout in run.outcomes.cutouts
    ]
    failed = [
        {"key": failed_key_of(index), "index": index, "name": run.predictions.sources[index].name, "error": say(error)}
        for index, error in run.outcomes.failed
    ]
    items = sorted([*items, *failed], key=lambda item: item["index"])  # type: ignore[arg-type,return-value]
    return {
        "run": run.folder.name,
        "since": run.view.shown_since,
        "items": items,
        "tuned": run.tuning.done,
        "wanted": run.view.wanted,
        "mixed": run.outcomes.is_mixed,
        "left": run.left,
    }


def preview_value(run: Run, preview: Preview) -> dict[str, Any]:
    """A preview that replaces the cutout of the same key until its full size is tuned as far."""
    return {
        "run": run.folder.name,
        "key": preview.key,
        "tuning": preview.tuning,
        "file": str(preview.file),
        "box": preview.box,
        "size": preview.size,
        "stages": _stages(preview.stages),
        "applied": len(preview.correction.strokes),
    }


def _stages(files: dict[str, Path]) -> dict[str, str]:
    return {stage: str(file) for stage, file in files.items() if not stage.startswith("before")}
