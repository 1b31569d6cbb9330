"""Live tuning: the selected picture follows the settings, first at screen size, then in full."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from segmentation.corrections import check_inside, read_correction
from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.recipe import Recipe
from segmentation.web.background import with_progress
from segmentation.web.page.controls import Controls
from segmentation.web.page.next_run import NEXT_RUN
from segmentation.web.page.screen import Screen
from segmentation.web.page.viewer import preview_value, viewer_value
from segmentation.web.runs.previews import OvertakenError, TooSlowError
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.tuning import Target, Token
from segmentation.web.texts import Say, speaker

REPLACED = Message("This cutout was replaced by a new run, so it was not corrected. Correct the new one.")
SETTLE_SECONDS = 0.35  # without a change, before the full size is computed


class LiveTuning:
    """Handlers of a moving slider, and of what is drawn on the picture."""

    def __init__(self, service: Service, controls: Controls, screen: Screen, preview_data: Any) -> None:
        """Take what they work with; `preview_data` brings previews to the viewer."""
        self._service, self._controls, self._screen = service, controls, screen
        self._preview_data = preview_data

    def correct(self, run: Run | None, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        """Take what the visitor says about a picture.

        The event has the `run` that the page shows, the `key` of a cutout or failed picture, its new `correction`, and
        a `revision` that grows with each. The correction is what `Correction.as_json` gives; what it leaves out is
        erased. It may be its JSON text, and must be if it is long: the server accepts few lists, but long strings.
        """
        # not trusted: set by the client
        shown, key, value, revision = (getattr(event, name, None) for name in ("run", "key", "correction", "revision"))
        if run and shown not in (None, run.folder.name):  # there, the key may be another picture's
            return self._screen.say(speaker(request)(REPLACED))
        index = run.outcomes.picture_of(key) if run else None
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
        run.corrections.change(index, lambda known: known.with_marks_of(correction), latest)
        return self._screen.nothing()

    def preview(self, selected: str, run: Run | None, live: bool, request: gr.Request, *values: Any) -> dict[Any, Any]:
        """The selected picture at screen size with the current settings."""
        screen = self._screen
        if run is None or not self._follows(run, live):
            return screen.nothing()
        say = speaker(request)
        try:
            target = self._target(selected, run, live, values)
        except SegmentationError as error:  # a moving slider may pass invalid values
            run.tuning.begin()
            return screen.say(say(error.message))
        token = run.tuning.begin(target)  # makes work for earlier settings stale
        try:
            if self._is_up_to_date(run, target):  # the page was reloaded, or a slider was moved back
                return {self._preview_data: None}
            preview = self._service.preview(run, token.number, target)
        except OvertakenError:
            return screen.nothing()
        except TooSlowError:  # an earlier answer would look like one to this click
            return {self._preview_data: None}
        except SegmentationError as error:
            return screen.say(say(error.message))
        if preview is None:  # nothing is shown: no picture is done yet, or none has a cutout
            waits = len(run.outcomes) and not run.is_at_work and not run.corrected_since
            return screen.say(say(NEXT_RUN)) if waits else screen.nothing()
        notes = [say(Message("Preview in {seconds:.2f} s.", seconds=preview.seconds)), *map(say, preview.warnings)]
        return screen.say(" ".join(notes)) | {self._preview_data: preview_value(run, preview)}

    def tune(self, run: Run | None, live: bool, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """The latest tuning step in full size, once the settings have settled; ends as soon as they change again.

        It does not read the controls: by now, they may be ahead of the latest step. Before it come pictures that the
        visitor left right after correcting them, or that failed and have a mask of their own now.
        """
        yield self._screen.nothing()
        token = run.tuning.current if run else None
        target = token.target if token else None
        selected = run.outcomes.selected(target.selected) if run and target else None
        if run is None or token is None or target is None or not self._follows(run, live):
            return
        say = speaker(request)
        settled = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < settled:
            if token.is_stale:
                return
            time.sleep(0.02)
        for index in (each for each in run.corrected_since if selected is None or each != selected[0]):
            yield from self._in_full(run, index, self._own(run, index), token, say)
            if token.is_stale:
                return
        if token.is_done or selected is None:
            return
        try:
            if not self._is_up_to_date(run, target):
                yield from self._in_full(run, selected[0], (target.recipe, target.backdrop), token, say)
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
        screen, start, revision = self._screen, time.perf_counter(), run.corrections.revision(index)
        try:
            for report in with_progress(partial(self._service.prepare, wanted[0])):
                if token.is_stale:
                    return
                yield screen.say(say(report[0])) if report else screen.nothing()
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
        if not outcome.cutouts:
            run.correction_failed(index, revision)
        if not outcome.cutouts and not outcome.report.error:  # the shown one stays, or nothing could be tuned further
            yield screen.say(" ".join(map(say, outcome.report.warnings)))
            return
        failed = run.adopt(again, index) or outcome.report.error
        target = token.target
        selected = run.outcomes.selected(target.selected) if target else None
        # a picture that only catches up has not got the settings of that step
        if target and selected and selected[0] == index and wanted == (target.recipe, target.backdrop):
            token.finish()
        updated = Message(
            "{name} updated in {seconds:.1f} s.",
            name=run.predictions.sources[index].name, seconds=time.perf_counter() - start,
        )  # fmt: skip
        yield screen.say(say(failed or updated)) | screen.cutouts(run, say)

    def _is_up_to_date(self, run: Run, target: Target) -> bool:
        """Whether the selected picture was made with these settings."""
        selected = run.outcomes.selected(target.selected)
        if selected is None:
            return False
        made_by = self._service.made_by(run, target.recipe, target.backdrop, selected[0])
        return run.outcomes.made_by.get(selected[0]) == made_by

    @staticmethod
    def _follows(run: Run, live: bool) -> bool:
        """Whether the selected picture is to follow now: settings if the visitor wants that, corrections always."""
        return live or bool(run.corrected_since)

    def _target(self, selected: str, run: Run, live: bool, values: Sequence[Any]) -> Target:
        """The selected picture with the settings of the controls, unless it keeps its own."""
        entry = run.outcomes.selected(selected)
        if live or entry is None:
            return Target(selected, *self._controls.read(values))
        return Target(selected, *self._own(run, entry[0]))

    @staticmethod
    def _own(run: Run, index: int) -> tuple[Recipe, Any]:
        """Recipe and backdrop that a picture was made with, or failed with."""
        recipe, backdrop = run.outcomes.wanted_of(index)
        return recipe, str(backdrop) if backdrop else None
