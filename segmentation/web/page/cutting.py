"""Cutting out: runs from their start to their end, and new settings for all pictures."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.web.events import progress_bar
from segmentation.web.page.controls import Controls
from segmentation.web.page.next_run import NextRun
from segmentation.web.page.own_planes import OwnPlanes, Waiting
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.screen import Screen
from segmentation.web.page.viewer import viewer_value
from segmentation.web.runs.run import NOTHING_YET, Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, speaker

STARTING = Message("Starting")

Updates = Iterator[dict[Any, Any]]


class Cutting:
    """Handlers of Cut out, Stop, Retry and Apply to all."""

    def __init__(self, service: Service, controls: Controls, screen: Screen, next_run: NextRun, own: OwnPlanes) -> None:
        """Take what they work with."""
        self._service, self._controls, self._screen, self._next_run = service, controls, screen, next_run
        self._own = own

    def run(
        self, pictures: GalleryValue, last: Run | None, waiting: Waiting, request: gr.Request, *values: Any
    ) -> Updates:
        """Cut out every picture, or those the last run has not done; each appears when it is done."""
        say, screen, service = speaker(request), self._screen, self._service
        recipe, backdrop = self._controls.read(values)
        names, on_progress = Pictures.names(pictures), progress_bar(say)
        if last:
            last.pause()  # its missing pictures are done together with those that were added
            if service.is_complete(last, names, recipe):  # then only the other settings can differ
                have, of = service.share_of(last, recipe, backdrop)
                yield self._still(last, say)
                if have == of:
                    yield screen.progress(last, say)
                else:
                    yield from self.apply_to_all(last, request, *values)
                return
        part = service.rest(last, names, recipe, backdrop, on_progress=on_progress) if last else None
        starting = screen.say(say(STARTING), "working")
        if last and part:
            yield starting | self._still(last, say) | {screen.last_run: last}
            for update in self._do(last, part, say):
                yield update | self._remembered(last)
            return
        corrections, problem = (
            (service.carried_over(last, names), None) if last else self._own.corrections(names, waiting)
        )
        run = service.new_run(names, recipe, backdrop, on_progress, corrections)
        run.view.replaced = last
        yield (screen.say(say(problem), "working") if problem else starting) | {screen.last_run: run}
        # Gradio removes its progress bar after the first answer, so from here on the status line shows its own
        for finished_one in service.work.process(run, for_page=True):
            update = screen.progress(run, say)
            if finished_one:
                update |= screen.cutouts(run, say)
            yield update | self._remembered(run)
        if not run.stop.is_set():
            yield screen.progress(run, say)

    def _remembered(self, run: Run) -> dict[Any, Any]:
        """Once it has results, a run is what the browser comes back to, and the one before it is left."""
        if not len(run.outcomes) or run in self._service.shown:
            return {}
        if replaced := run.view.take_replaced():
            self._service.shown.leave(replaced)
        return {self._screen.run_id: self._service.shown.show(run)}

    def _still(self, run: Run, say: Say) -> dict[Any, Any]:
        """The same run goes on, so its cutouts can be corrected in the meantime: the page was waiting to know."""
        run.view.reset()
        return {self._screen.viewer: viewer_value(run, say)}

    def retry(
        self, pictures: GalleryValue, run: Run | None, request: gr.Request, event: gr.EventData, *values: Any
    ) -> Updates:
        """Retry a picture that failed."""
        number, say = event.index, speaker(request)  # not trusted: set by the client
        if run is None or type(number) is not int or number not in dict(run.outcomes.failed):
            raise SettingsError(NOTHING_YET)
        recipe, backdrop = self._controls.read(values)
        part = self._service.rest(run, Pictures.names(pictures), recipe, backdrop, [number], progress_bar(say))
        if part is None:
            raise SettingsError(Message("These settings or pictures need a new run. Press Cut out."))
        yield from self._do(run, part, say)

    def apply_to_all(self, run: Run | None, request: gr.Request, *values: Any) -> Updates:
        """Refine every picture of the run with the current settings, without running the network."""
        say, screen = speaker(request), self._screen
        if run is None or not len(run.outcomes):
            raise SettingsError(NOTHING_YET)
        if run.is_at_work:
            raise SettingsError(Message("The run is still in progress. Apply the settings when it is done."))
        recipe, backdrop = self._controls.read(values)
        again = self._service.refinement(
            run.predictions, recipe, backdrop, None, progress_bar(say), run.corrections.snapshot()
        )
        run.tuning.begin().finish()
        problems: list[str] = []
        yield from self._do(run, again, say, problems)
        if again.stop.is_set():
            return
        have, of = run.outcomes.share_of((again.recipe, again.backdrop), run.corrections.snapshot())
        # do not report the settings as applied if some need a new run
        waiting = self._next_run.needed_for(run.predictions, recipe)
        sentences = [*problems, waiting or _applied(have, of)]
        yield screen.say(" ".join(map(say, sentences)), "done") | {screen.viewer: viewer_value(run, say)}

    def _do(self, run: Run, part: Run, say: Say, problems: list[str] | None = None) -> Updates:
        """Process a part of a run and take over its results.

        Args:
            run: The run.
            part: Some of its pictures, for the first time or again.
            say: Speaks the visitor's language.
            problems: Collects what failed while the old cutout stays.
        """
        screen = self._screen
        run.do_part(part)
        before, adopted = run.outcomes.by_picture, set[int]()
        for finished_one in self._service.work.process(part, for_page=True):
            for index in part.outcomes.by_picture.keys() - adopted:
                adopted.add(index)
                if run.outcomes.by_picture.get(index) is before.get(index):  # else live tuning made a newer one
                    problem = run.adopt(part, index)
                    if problem and problems is not None:
                        problems.append(problem)
            yield screen.progress(run, say, part) | (screen.cutouts(run, say) if finished_one else {})
        if not part.stop.is_set():
            yield screen.progress(run, say, part) | screen.cutouts(run, say)

    def stop(self, run: Run | None, request: gr.Request) -> dict[Any, Any]:
        """Stop the run. Finished pictures stay, and so do earlier results until there are new ones."""
        say, screen = speaker(request), self._screen
        if run is None or not run.halt():
            return screen.say(say(Message("Nothing is running.")))
        if len(run.outcomes):
            kept = Message("Stopped. Finished pictures are kept.")
            return screen.say(say(kept), "stopped", say)
        stopped = screen.say(say(Message("Stopped before any picture was finished.")), "stopped", say)
        return stopped | ({screen.last_run: run.view.replaced} if run.view.replaced else {})


def _applied(have: int, of: int) -> Message:
    if have == of:
        return (
            Message("All pictures now have these settings.")
            if of > 1
            else Message("The picture now has these settings.")
        )
    return Message("{have} of {of} pictures have these settings. Cut out again for the others.", have=have, of=of)
