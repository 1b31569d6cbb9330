"""The ways in: drop, paste, pick, photograph, by address, or an example at one click."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.web.events import shown_errors
from segmentation.web.guard.addresses import fetch_picture
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.uploads import uploaded_files
from segmentation.web.page.examples import example_buttons, example_uploaded, examples
from segmentation.web.page.scripts import scripted
from segmentation.web.runs.service import Service
from segmentation.web.texts import i18n, speaker

GalleryValue = list[tuple[str, str | None]] | None
"""What a gallery holds: paths as the client names them, and captions."""


class Pictures:
    """The gallery of pictures to cut out, and what fills it."""

    def __init__(self, service: Service) -> None:
        """Lay the gallery out where this is called."""
        self._service = service
        self.gallery = gr.Gallery(
            # an empty list takes every file: what it is, the server says
            label=i18n("pictures"), type="filepath", file_types=[], sources=["upload", "webcam", "clipboard"],
            interactive=True, columns=4, height=240, object_fit="contain", fit_columns=False, buttons=["fullscreen"],
            # a click shows the cutout; Gradio's own preview has the cross that clears all where this one closes it
            allow_preview=False, elem_id="pictures",
        )  # fmt: skip
        refuse_addresses(self.gallery)

    def further_ways(self) -> None:
        """Lay out the examples and the address where this is called."""
        with gr.Column(visible=bool(examples()), elem_id="examples"):
            gr.Markdown(i18n("examples"))
            self.example = scripted("examples", example_buttons(), html_template="${value}", elem_id=None)
        self.example_chosen = self.example.select(
            self._show_example,
            self.gallery,
            self.gallery,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        if self._service.config.web_addresses:
            with gr.Row(elem_id="address_row"):
                address = gr.Textbox(
                    "", label=i18n("address"), placeholder=i18n("address_example"), max_length=2000, lines=1,
                    elem_id="address", scale=4,
                )  # fmt: skip
                add = gr.Button(i18n("add_address"), elem_id="add_address", scale=1, min_width=120)
            gr.on(
                [add.click, address.submit], self._add_address, [self.gallery, address], [self.gallery, address],
                concurrency_id="addresses", concurrency_limit=4, show_progress="hidden", api_visibility="private",
            )  # fmt: skip

    @staticmethod
    def names(value: GalleryValue) -> list[str]:
        """What the client names, for the guard."""
        return [path for path, _ in value or []]

    def _add_address(self, value: GalleryValue, address: str, request: gr.Request) -> Iterator[tuple[Any, str]]:
        yield from shown_errors(self._fetched)(value, address, request)

    def _fetched(self, value: GalleryValue, address: str, request: gr.Request) -> Iterator[tuple[Any, str]]:  # noqa: ARG002  # for its language
        config = self._service.config
        if not address.strip():
            raise ImageError(
                Message(
                    "Type the address of a picture first, such as {example}.", example="https://example.com/photo.jpg"
                )
            )
        held = self._held(value)
        file = fetch_picture(address.strip(), max_bytes=config.max_upload_mb << 20, max_pixels=config.max_pixels)
        yield [str(path) for path in (*held, file)], ""

    def _held(self, value: GalleryValue) -> list[Path]:
        """The pictures that are there, with room for one more; only what is proved to be an upload may be sent back."""
        most = self._service.config.max_pictures
        held = uploaded_files(self.names(value), most) if value else []
        if len(held) >= most:
            raise ImageError(
                Message("There are {count} pictures already; at most {most} are taken.", count=len(held), most=most)
            )
        return held

    def _show_example(self, value: GalleryValue, request: gr.Request, event: gr.EventData) -> list[str]:
        number = event.index  # of the client's making
        if not isinstance(number, int) or not 0 <= number < len(examples()):
            raise gr.Error("There is no such example.", print_exception=False)
        try:
            held = self._held(value)
        except ImageError as error:
            raise gr.Error(speaker(request)(error.message), print_exception=False) from error
        return [str(path) for path in (*held, example_uploaded(number))]
