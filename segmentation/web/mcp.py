"""The tool for language models (Model Context Protocol): one picture in, its cutouts out. Off by default.

`/segment` cannot serve as the tool: Gradio's MCP server does not resolve the schema of a list of files.
"""

import base64
import binascii
import threading
from typing import Any
from urllib.parse import unquote

import gradio as gr

from segmentation.errors import ImageError, SegmentationError
from segmentation.messages import Message
from segmentation.recipe import DEFAULTS, Recipe
from segmentation.web.api import files_of
from segmentation.web.guard.gradio_seams.endpoints import add_endpoint, offer_as_tools
from segmentation.web.guard.gradio_seams.files import new_upload
from segmentation.web.runs.said import said_about
from segmentation.web.runs.service import Service

# No `from __future__ import annotations` here: Gradio reads the signature to describe the tool.


def add_mcp(demo: gr.Blocks, service: Service) -> None:
    """Add the tool to a page, if enabled. Call it inside the `Blocks` context, after `add_api` and `add_model_api`."""
    if not service.config.mcp:
        return
    offer_as_tools(demo, "models")  # the other endpoints stay public, but cannot work as tools
    # Not in Gradio's queue: queued tools are called through the server's own HTTP API, which limits the size of JSON
    at_work = threading.BoundedSemaphore(service.config.concurrency)

    def cut_out(
        image: str,
        model: str = service.offered.registry().default.id,
        alpha_matting: bool = DEFAULTS["alpha_matting"],
        classes: str = DEFAULTS["classes"],
        subjects: str = DEFAULTS["subjects"],
        invert: bool = DEFAULTS["invert"],
        strokes: str = "",
        points: str = "",
        box: str = "",
    ) -> tuple[gr.FileData, dict[str, Any], list[gr.FileData]]:
        """Cut the subject out of a picture. Returns a PNG with a transparent background, a report, and further cutouts.

        Args:
            image: The path returned by /gradio_api/upload, or the picture (up to 3 MB) as data:image/jpeg;base64,...
            model: Id of a model listed by the `models` tool, or owner/name of one on the Hugging Face Hub.
            alpha_matting: Solve for the opacity of the pixels around the outline, such as hair.
            classes: Of a model that tells classes apart: "hair,hat" or "all" for one cutout, "each" for several.
            subjects: "all" in one cutout, "each" in its own, or only the "largest".
            invert: Cut out the background instead.
            strokes: Corrections as JSON, such as [{"kind": "keep", "radius": 8, "points": [[x, y], ...]}], or "remove".
            points: Clicks on the subjects wanted, as JSON such as [{"x": 120, "y": 80, "keep": true}], in pixels.
            box: Around the subject wanted, as JSON [left, top, right, bottom] in pixels.
        """
        if not at_work.acquire(blocking=False):
            raise gr.Error("The server is busy. Try again in a moment.", print_exception=False)
        try:
            path = _stored(image)
            settings = {
                "alpha_matting": alpha_matting, "classes": classes, "subjects": subjects, "invert": invert,
            }  # fmt: skip
            said = said_about([0], {"strokes": strokes, "points": points, "box": box})
            run = service.new_run([path], Recipe.of(model, settings), corrections=said)
            for _ in service.work.process(run):
                pass
            (report,) = run.outcomes.reports
            if report.error or not run.outcomes.cutouts:
                raise ImageError(report.error or " ".join(report.warnings))
        except SegmentationError as error:
            raise gr.Error(str(error), print_exception=False) from error
        finally:
            at_work.release()
        first, *further = files_of(run)
        return first, report.as_json(), further

    add_endpoint(cut_out, api_name="cut_out", queue=False)


def _stored(image: Any) -> str:
    """The path of a picture in the upload folder. As for every other run, it is checked later that it is an upload."""
    text = str(image)
    head, comma, data = text.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        return unquote(text.rpartition("file=")[2]) if "/file=" in text else text
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(Message("The data URL is damaged: the part after the comma is not base64.")) from error
    path = new_upload("picture")
    path.write_bytes(content)
    return str(path)
