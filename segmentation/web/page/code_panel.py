"""The current run as code and as a link, updated with pictures and settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.corrections import Correction
from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.recipe import Recipe
from segmentation.web.page.controls import Controls, link
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import handler, scripted
from segmentation.web.page.snippets import command_line, curl_code, python_code
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, speaker

LONGEST_LINK = 4000  # characters; servers on the way may accept no more than 8000


class CodePanel:
    """Three programs and a link that all do what the page would do now."""

    def __init__(self, service: Service, controls: Controls) -> None:
        """Lay out the panel in the current context."""
        self._service, self._controls = service, controls
        self.panel = scripted("code", [])
        self._address = gr.Textbox("", visible=False)  # filled in by the browser

    def follow(self, triggers: list[Any], pictures: Pictures, run: Any) -> None:
        """Update the programs on each of these events."""
        gr.on(
            triggers, self._snippets, [pictures.gallery, run, *self._controls.all, self._address],
            self.panel, js=handler("addAddress"), queue=False, show_progress="hidden", trigger_mode="always_last",
            api_visibility="private",
        )  # fmt: skip

    def _snippets(
        self, pictures: GalleryValue, run: Run | None, request: gr.Request, *values: Any
    ) -> list[tuple[str, ...]]:
        say = speaker(request)
        *values, address = values  # type: ignore[assignment]
        try:
            recipe, backdrop = self._controls.read(values)
            paths = Pictures.names(pictures)
            said = self._service.carried_over(run, paths) if run and paths else {}
        except SegmentationError as error:
            return [("code_python", f"# {error}")]
        names = [Path(name).name for name in Pictures.names(pictures)] or ["photo.jpg"]
        behind = Path(backdrop).name if backdrop and recipe.export.background == "picture" else None
        server = str(address).rstrip("/")
        login = self._service.config.login is not None
        return [
            ("code_python", python_code(server, names, recipe, behind, login, corrections=said)),
            ("code_command", command_line(names, recipe, behind, corrected=bool(said))),
            ("code_curl", curl_code(server, names, recipe, behind, login, corrections=said)),
            ("code_link", *_link(str(address), recipe, said, len(names), say)),
        ]


def _link(address: str, recipe: Recipe, said: Mapping[int, Correction], pictures: int, say: Say) -> tuple[str, ...]:
    """The link, and a sentence if it does not carry all that was said about the pictures."""
    plain = f"{address}?{link(recipe)}"
    if not said:
        return (plain,)
    if pictures > 1:
        return plain, say(Message("Links carry the strokes of a single picture, so these are not in it."))
    full = f"{address}?{link(recipe, said[0])}"
    if len(full) > LONGEST_LINK:
        return plain, say(Message("The strokes are too long for a link. They are in the ZIP with all cutouts."))
    if said[0].mask or said[0].trimap:
        return full, say(Message("Your own mask and trimap are not in the link. They are in the ZIP with all cutouts."))
    return (full,)
