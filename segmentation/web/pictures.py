"""The ways in: drop, paste, pick, photograph, by address, or an example at one click."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import ImageError
from segmentation.web.addresses import fetch_picture
from segmentation.web.events import shown_errors
from segmentation.web.examples import example_buttons, example_uploaded, examples
from segmentation.web.service import Service
from segmentation.web.texts import i18n
from segmentation.web.uploads import refuse_addresses, uploaded_files

Shown = list[tuple[str, str | None]] | None
"""What a gallery holds: paths as the client names them, and captions."""

_EXAMPLE_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (button) trigger("select", { index: Number(button.dataset.example) });
});
"""


class Pictures:
    """The gallery of pictures to cut out, and what fills it."""

    def __init__(self, service: Service) -> None:
        """Lay the gallery out where this is called."""
        self._service = service
        self.gallery = gr.Gallery(
            label=i18n("pictures"), type="filepath", file_types=["image"], sources=["upload", "webcam", "clipboard"],
            interactive=True, columns=4, height=240, object_fit="contain", fit_columns=False, buttons=["fullscreen"],
            elem_id="pictures",
        )  # fmt: skip
        refuse_addresses(self.gallery)

    def further_ways(self) -> None:
        """Lay out the examples and the address where this is called."""
        with gr.Column(visible=bool(examples()), elem_id="examples"):
            gr.Markdown(i18n("examples"))
            self.example = gr.HTML(example_buttons(), js_on_load=_EXAMPLE_SCRIPT, apply_default_css=False)
        self.example_chosen = self.example.select(
            self._show_example, None, self.gallery, queue=False, show_progress="hidden", api_visibility="private"
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
    def names(shown: Shown) -> list[str]:
        """What the client names, for the guard."""
        return [path for path, _ in shown or []]

    def _add_address(self, shown: Shown, address: str) -> Iterator[tuple[Any, str]]:
        yield from shown_errors(self._fetched)(shown, address)

    def _fetched(self, shown: Shown, address: str) -> Iterator[tuple[Any, str]]:
        config = self._service.config
        if not address.strip():
            raise ImageError("Type the address of a picture first, such as https://example.com/photo.jpg.")
        # only what is proved to be this visitor's upload may be sent back
        held = uploaded_files(self.names(shown), config.max_pictures) if shown else []
        if len(held) >= config.max_pictures:
            raise ImageError(f"There are {len(held)} pictures already; at most {config.max_pictures} are taken.")
        file = fetch_picture(address.strip(), max_bytes=config.max_upload_mb << 20, max_pixels=config.max_pixels)
        yield [str(path) for path in (*held, file)], ""

    @staticmethod
    def _show_example(event: gr.EventData) -> list[str]:
        number = event.index  # of the client's making
        if not isinstance(number, int) or not 0 <= number < len(examples()):
            raise gr.Error("There is no such example.", print_exception=False)
        return [str(example_uploaded(number))]
