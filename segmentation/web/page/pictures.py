"""The picture sources: drop, paste, pick, webcam, web address, or an example with one click."""

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
from segmentation.web.page.examples import example_buttons, example_uploaded, examples, hero_pictures
from segmentation.web.page.scripts import handler, scripted
from segmentation.web.runs.service import Service
from segmentation.web.texts import i18n, speaker

GalleryValue = list[tuple[str, str | None]] | None
"""The value of a gallery: paths sent by the client, and captions."""


class Pictures:
    """The first screen, the gallery of pictures to cut out, and the controls that fill it."""

    def __init__(self, service: Service) -> None:
        """Lay out the gallery in the current context."""
        self._service = service
        self.hero = scripted("hero", hero_pictures())
        self.gallery = gr.Gallery(
            # an empty list accepts every file: the server decides which are pictures
            label=i18n("pictures"), type="filepath", file_types=[], sources=["upload", "webcam", "clipboard"],
            interactive=True, columns=6, height=144, object_fit="contain", fit_columns=False, buttons=["fullscreen"],
            # A click shows the cutout. In Gradio's preview, the cross that clears the gallery sits where Close does.
            allow_preview=False, elem_id="pictures",
        )  # fmt: skip
        refuse_addresses(self.gallery)

    def lay_out_other_sources(self) -> None:
        """Lay out the examples and the web address in the current context."""
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
                js=handler("expectPictures"),
            )  # fmt: skip

    @staticmethod
    def names(value: GalleryValue) -> list[str]:
        """The paths sent by the client, to be checked by the guard."""
        return [path for path, _ in value or []]

    def _add_address(self, value: GalleryValue, address: str, request: gr.Request) -> Iterator[tuple[Any, str]]:
        yield from shown_errors(self._fetched)(value, address, request)

    def _fetched(self, value: GalleryValue, address: str, request: gr.Request) -> Iterator[tuple[Any, str]]:  # noqa: ARG002  # for its language
        config = self._service.config
        if not address.strip():
            raise ImageError(
                Message(
                    "Enter the address of a picture first, such as {example}.", example="https://example.com/photo.jpg"
                )
            )
        present = self._present(value)
        file = fetch_picture(address.strip(), max_bytes=config.max_upload_mb << 20, max_pixels=config.max_pixels)
        yield [str(path) for path in (*present, file)], ""

    def _present(self, value: GalleryValue) -> list[Path]:
        """The pictures in the gallery, if there is room for one more; only verified uploads may be sent back."""
        most = self._service.config.max_pictures
        present = uploaded_files(self.names(value), most) if value else []
        if len(present) >= most:
            raise ImageError(
                Message("There are already {count} pictures; the limit is {most}.", count=len(present), most=most)
            )
        return present

    def _show_example(self, value: GalleryValue, request: gr.Request, event: gr.EventData) -> list[str]:
        number = event.index  # not trusted: set by the client
        if not isinstance(number, int) or not 0 <= number < len(examples()):
            raise gr.Error("There is no such example.", print_exception=False)
        try:
            present = self._present(value)
        except ImageError as error:
            raise gr.Error(speaker(request)(error.message), print_exception=False) from error
        return [str(path) for path in (*present, example_uploaded(number))]
