"""Live tuning: the selected picture follows the settings, first at screen size, then in full."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.recipe import Recipe
from segmentation.web.background import with_progress
from segmentation.web.page.controls import Controls
from segmentation.web.page.next_run import NEXT_RUN
from segmentation.web.page.screen import Screen
from segmentation.web.page.viewer import preview_value, viewer_value
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import speaker

SETTLE_SECONDS = 0.35  # without a change, before the full size is computed


class LiveTuning:
    """Handlers of a moving slider, and of the viewer's selection."""

    def __init__(self, service: Service, controls: Controls, screen: Screen, preview_data: Any) -> None:
        """Take what they work with; `preview_data` brings previews to the viewer."""
        self._service, self._controls, self._screen = service, controls, screen
        self._preview_data = preview_data

    @staticmethod
    def select(run: Run | None, event: gr.EventData) -> None:
        """Select another cutout."""
        if run:
            run.view.select(event.key)  # not trusted: set by the client

    def preview(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> dict[Any, Any]:
        """The selected picture at screen size with the current settings."""
        screen = self._screen
        if run is None or not live:
            return screen.nothing()
        say = speaker(request)
        run.tuning.begin()  # makes work for earlier settings stale
        try:
            recipe, backdrop = self._controls.read(values)
            if self._is_up_to_date(run, recipe, backdrop):  # the page was reloaded, or a slider was moved back
                return {self._preview_data: None}
            preview = self._service.preview(run, recipe, backdrop)
        except SegmentationError as error:  # a moving slider may pass invalid values
            return screen.say(say(error.message))
        if preview is None:  # nothing is shown: no picture is done yet, or none has a cutout
            waits = len(run.outcomes) and not run.is_at_work
            return screen.say(say(NEXT_RUN)) if waits else screen.nothing()
        notes = [say(Message("Preview in {seconds:.2f} s.", seconds=preview.seconds)), *map(say, preview.warnings)]
        return screen.say(" ".join(notes)) | {self._preview_data: preview_value(run, preview)}

    def tune(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        """The selected picture in full size, once the settings have settled; ends as soon as they change again."""
        screen = self._screen
        yield screen.nothing()
        selected = run.view.selected if run else None
        if run is None or not live or selected is None or run.tuning.current.is_done:
            return
        say = speaker(request)
        token, (index, _) = run.tuning.current, selected
        settled = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < settled:
            if token.is_stale:
                return
            time.sleep(0.02)
        start = time.perf_counter()
        try:
            recipe, backdrop = self._controls.read(values)
            if self._is_up_to_date(run, recipe, backdrop):
                token.finish()
                yield {screen.viewer: viewer_value(run, say)}  # replaces a preview shown in the meantime
                return
            for report in with_progress(partial(self._service.prepare, recipe)):
                if token.is_stale:
                    return
                yield screen.say(say(report[0])) if report else screen.nothing()
            again = self._service.refinement(run.predictions, recipe, backdrop, [index])
            for _ in self._service.work.process(again, for_page=True):
                if token.is_stale:
                    again.stop.set()
                    again.files.delete()
                    return
                yield screen.nothing()
        except SegmentationError as error:
            yield screen.say(say(error.message))
            return
        (outcome,) = again.outcomes.by_picture.values()
        if not outcome.cutouts and not outcome.report.error:  # the shown one stays, or nothing could be tuned further
            yield screen.say(" ".join(map(say, outcome.report.warnings)))
            return
        failed = run.adopt(again, index)
        token.finish()
        updated = Message(
            "{name} updated in {seconds:.1f} s.",
            name=run.predictions.sources[index].name, seconds=time.perf_counter() - start,
        )  # fmt: skip
        yield screen.say(say(failed or updated)) | screen.cutouts(run, say)

    def _is_up_to_date(self, run: Run, recipe: Recipe, backdrop: Any) -> bool:
        """Whether the selected picture was made with these settings."""
        selected = run.view.selected
        if selected is None:
            return False
        return run.outcomes.made_by.get(selected[0]) == self._service.made_by(run, recipe, backdrop)
