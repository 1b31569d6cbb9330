"""Live tuning: the selected picture follows the settings, first at screen size, then in full."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from segmentation.corrections import check_inside, read_correction
from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.recipe import Recipe
from segmentation.web.page.controls import Controls
from segmentation.web.page.next_run import NEXT_RUN
from segmentation.web.page.screen import Screen
from segmentation.web.page.viewer import preview_value, viewer_value
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.tuning import Token
from segmentation.web.texts import Say, speaker

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

    def correct(self, run: Run | None, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        """Take what the visitor says about a picture, and select it.

        The event has the `key` of a cutout or failed picture, its new `correction`, and a `revision` that grows with
        each. The correction is what `Correction.as_json` gives; what it leaves out is erased. It may be its JSON text,
        and must be if it is long: the server accepts few lists, but long strings.
        """
        # not trusted: set by the client
        key, value, revision = (getattr(event, name, None) for name in ("key", "correction", "revision"))
        index = run.view.picture_of(key) if run else None
        if run is None or index is None:
            return self._screen.nothing()
        report = run.outcomes.by_picture[index].report
        try:
            correction = read_correction(value)
            if report.height and report.width:
                check_inside(correction, (report.height, report.width))
        except SettingsError as error:
            return self._screen.say(speaker(request)(error.message))
        latest = revision if type(revision) is int else None
        run.corrections.set(index, run.corrections.get(index).with_marks_of(correction), latest)
        run.view.select(key)
        return self._screen.nothing()

    def preview(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> dict[Any, Any]:
        """The selected picture at screen size with the current settings."""
        screen = self._screen
        if run is None or not self._follows(run, live):
            return screen.nothing()
        say = speaker(request)
        run.tuning.begin()  # makes work for earlier settings stale
        try:
            recipe, backdrop = self._wanted(run, live, values)
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
        """The selected picture in full size, once the settings have settled; ends as soon as they change again.

        Before it come pictures that the visitor left right after correcting them.
        """
        yield self._screen.nothing()
        selected = run.view.selected if run else None
        if run is None or selected is None or not self._follows(run, live):
            return
        say, token = speaker(request), run.tuning.current
        settled = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < settled:
            if token.is_stale:
                return
            time.sleep(0.02)
        for index in (each for each in run.corrected_since if each != selected[0]):
            yield from self._in_full(run, index, self._own(run, index), token, say)
            if token.is_stale:
                return
        if token.is_done:
            return
        try:
            wanted = self._wanted(run, live, values)
            if not self._is_up_to_date(run, *wanted):
                yield from self._in_full(run, selected[0], wanted, token, say)
                return
        except SegmentationError as error:
            yield self._screen.say(say(error.message))
            return
        token.finish()
        yield {self._screen.viewer: viewer_value(run, say)}  # replaces a preview shown in the meantime

    def catch_up(self, run: Run | None, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Pictures whose corrections arrived, but whose page was gone before they were in full size."""
        yield self._screen.nothing()
        if run is None:
            return
        token = run.tuning.current
        for index in run.corrected_since:
            yield from self._in_full(run, index, self._own(run, index), token, speaker(request))
            if token.is_stale:
                return

    def _in_full(
        self, run: Run, index: int, wanted: tuple[Recipe, Any], token: Token, say: Say
    ) -> Iterator[dict[Any, Any]]:
        """One picture in full size; ends as soon as something changes again."""
        screen, start = self._screen, time.perf_counter()
        try:
            again = self._service.refinement(run.predictions, *wanted, [index], corrections=run.corrections.snapshot())
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
        selected = run.view.selected
        if selected and selected[0] == index:
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
        return run.outcomes.made_by.get(selected[0]) == self._service.made_by(run, recipe, backdrop, selected[0])

    @staticmethod
    def _follows(run: Run, live: bool) -> bool:
        """Whether the selected picture is to follow now: settings if the visitor wants that, corrections always."""
        return live or bool(run.corrected_since)

    def _wanted(self, run: Run, live: bool, values: Sequence[Any]) -> tuple[Recipe, Any]:
        """Recipe and backdrop for the selected picture: those of the controls, unless it keeps its own."""
        selected = run.view.selected
        if live or selected is None:
            return self._controls.read(values)
        return self._own(run, selected[0])

    @staticmethod
    def _own(run: Run, index: int) -> tuple[Recipe, Any]:
        """Recipe and backdrop that a picture was made with."""
        recipe, backdrop, _ = run.outcomes.made_by[index]
        return recipe, str(backdrop) if backdrop else None
