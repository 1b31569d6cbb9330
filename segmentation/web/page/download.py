"""Everything in one ZIP."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.web.page.controls import Controls
from segmentation.web.page.scripts import messenger
from segmentation.web.page.status import line
from segmentation.web.runs.archive import write_archive
from segmentation.web.runs.run import NOTHING_YET, Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.work import keep_alive
from segmentation.web.texts import i18n, speaker


class Download:
    """The question before it, if pictures have different settings, and its handlers. Its button is the page's."""

    def __init__(self, service: Service, controls: Controls, status: Any) -> None:
        """Lay out the question in the current context."""
        self._service, self._controls, self._status = service, controls, status
        with gr.Column(visible=False, elem_id="zip_question") as self.question:
            self._text = gr.Markdown("")
            with gr.Row():
                self.apply = gr.Button(i18n("zip_apply"), elem_id="zip_apply", size="sm")
                self.as_is = gr.Button(i18n("zip_as_is"), elem_id="zip_as_is", size="sm")
        self._archive = messenger("archive")

    @property
    def outputs(self) -> list[Any]:
        """What the handlers update."""
        return [self._archive, self._status, self.question, self._text]

    def pack_or_ask(self, run: Run | None, request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        """Everything in one ZIP; if the pictures have different settings, ask the visitor first."""
        if run is not None and run.outcomes.is_mixed:
            recipe, backdrop = self._controls.read(values)
            have, of = self._service.share_of(run, recipe, backdrop)
            question = Message("{have} of {of} pictures have these settings. Apply them to all?", have=have, of=of)
            yield {self.question: gr.update(visible=True), self._text: speaker(request)(question)}
            return
        yield from self.pack(run, request)

    def pack(self, run: Run | None, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Everything in one ZIP, as it is."""
        if run is None:
            raise SettingsError(NOTHING_YET)
        keep_alive(run, self._service.predictions)
        archive = write_archive(run)
        count = len(run.outcomes.cutouts)
        packed = (
            Message("{count} cutouts are in {file}.", count=count, file=archive.name)
            if count > 1
            else Message("1 cutout is in {file}.", file=archive.name)
        )
        # the time makes each value different, so that the browser reacts to it
        download = {"file": str(archive), "name": archive.name, "at": time.time_ns()}
        yield {
            self._archive: download,
            self._status: line(speaker(request)(packed)),
            self.question: gr.update(visible=False),
        }
