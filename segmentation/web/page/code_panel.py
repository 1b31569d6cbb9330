"""The current run as code and as a link, updated with pictures and settings."""

from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.web.page.controls import Controls, link
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import handler, scripted
from segmentation.web.page.snippets import command_line, curl_code, python_code
from segmentation.web.runs.service import Service


class CodePanel:
    """Three programs and a link that all do what the page would do now."""

    def __init__(self, service: Service, controls: Controls) -> None:
        """Lay out the panel in the current context."""
        self._service, self._controls = service, controls
        self.panel = scripted("code", [])
        self._address = gr.Textbox("", visible=False)  # filled in by the browser

    def follow(self, triggers: list[Any], pictures: Pictures) -> None:
        """Update the programs on each of these events."""
        gr.on(
            triggers, self._snippets, [pictures.gallery, *self._controls.all, self._address],
            self.panel, js=handler("addAddress"), queue=False, show_progress="hidden", trigger_mode="always_last",
            api_visibility="private",
        )  # fmt: skip

    def _snippets(self, pictures: GalleryValue, *values: Any) -> list[tuple[str, str]]:
        *values, address = values  # type: ignore[assignment]
        try:
            recipe, backdrop = self._controls.read(values)
        except SegmentationError as error:
            return [("code_python", f"# {error}")]
        names = [Path(name).name for name in Pictures.names(pictures)] or ["photo.jpg"]
        behind = Path(backdrop).name if backdrop and recipe.export.background == "picture" else None
        server = str(address).rstrip("/")
        login = self._service.config.login is not None
        return [
            ("code_python", python_code(server, names, recipe, behind, login)),
            ("code_command", command_line(names, recipe, behind)),
            ("code_curl", curl_code(server, names, recipe, behind, login)),
            ("code_link", f"{address}?{link(recipe)}"),
        ]
