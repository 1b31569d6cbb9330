"""What the viewer shows, as data for its script in the browser."""

from pathlib import Path
from typing import Any

from segmentation.web.drafts import Draft
from segmentation.web.runs import Run


def viewer_value(run: Run | None) -> dict[str, Any]:
    """The cutouts of a run so far.

    Paths are below the upload folder, from which Gradio serves to whoever knows them; box is left, top, right, bottom
    of what was written in the picture of size (height, width).
    """
    if run is None:
        return {"items": [], "tuned": 0}
    items = [
        {
            "key": _key(index, cutout.label),
            "name": run.kept.sources[index].name,
            "label": cutout.label,
            "file": str(cutout.file),
            "file_name": cutout.file.name,
            "thumbnail": str(cutout.thumbnail),
            "before": str(cutout.stages.get("before", run.kept.sources[index])),
            "box": cutout.box,
            "size": (run.outcomes[index].report["height"], run.outcomes[index].report["width"]),
            "stages": _stages(cutout.stages),
        }
        for index, cutout in run.cutouts
    ]
    return {"items": items, "tuned": run.tuned}


def draft_value(draft: Draft) -> dict[str, Any]:
    """A draft that stands in for the cutout of its key until that is tuned as far."""
    return {
        "key": _key(draft.index, draft.label),
        "tuning": draft.tuning,
        "file": str(draft.file),
        "box": draft.box,
        "size": draft.size,
        "stages": _stages(draft.stages),
    }


def _key(index: int, label: str) -> str:
    return f"{index} {label}"


def _stages(files: dict[str, Path]) -> dict[str, str]:
    return {stage: str(file) for stage, file in files.items() if stage != "before"}
