"""What the viewer shows, as data for its script in the browser."""

from pathlib import Path
from typing import Any

from segmentation.web.runs.previews import Draft
from segmentation.web.runs.run import Run, key_of
from segmentation.web.texts import Say


def viewer_value(run: Run, say: Say) -> dict[str, Any]:
    """The cutouts of a run so far, and the pictures that failed.

    Paths are below the upload folder, from which Gradio serves to whoever knows them; box is left, top, right, bottom
    of what was written in the picture of size (height, width).
    """
    items = [
        {
            "key": key_of(index, cutout),
            "index": index,
            "name": run.kept.sources[index].name,
            "label": cutout.label,
            "file": str(cutout.file),
            "file_name": cutout.file.name,
            "thumbnail": str(cutout.thumbnail),
            "screen": str(cutout.screen or cutout.file),
            "before": str(cutout.stages.get("before", run.kept.sources[index])),
            "before_screen": str(
                cutout.stages.get("before_screen", cutout.stages.get("before", run.kept.sources[index]))
            ),
            "warnings": [say(text) for text in run.outcomes[index].report["warnings"]],
            "box": cutout.box,
            "size": (run.outcomes[index].report["height"], run.outcomes[index].report["width"]),
            "stages": _stages(cutout.stages),
        }
        for index, cutout in run.cutouts
    ]
    failed = [
        {"key": f"{index} failed", "index": index, "name": run.kept.sources[index].name, "error": say(error)}
        for index, error in run.failed
    ]
    items = sorted([*items, *failed], key=lambda item: item["index"])  # type: ignore[arg-type,return-value]
    return {"run": run.folder.name, "since": run.shown_since, "items": items, "tuned": run.tuned, "wanted": run.wanted}


def draft_value(run: Run, draft: Draft) -> dict[str, Any]:
    """A draft that stands in for the cutout of its key until that is tuned as far."""
    return {
        "run": run.folder.name,
        "key": draft.key,
        "tuning": draft.tuning,
        "file": str(draft.file),
        "box": draft.box,
        "size": draft.size,
        "stages": _stages(draft.stages),
    }


def _stages(files: dict[str, Path]) -> dict[str, str]:
    return {stage: str(file) for stage, file in files.items() if not stage.startswith("before")}
