"""The components that handlers update."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.web.page.status import line, progress, table
from segmentation.web.page.viewer import viewer_value
from segmentation.web.runs.run import Run
from segmentation.web.texts import Say, speaker

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a handler yields: component -> value. Gradio leaves the other components as they are."""

    status: Any
    viewer: Any
    report: Any
    last_run: Any
    run_id: Any
    selected: Any
    """Key of the cutout or failed picture that the viewer shows, filled in by the browser."""

    @property
    def results(self) -> list[Any]:
        """What shows a run."""
        return [self.status, self.viewer, self.report]

    def say(self, text: str, state: str = "", say: Say = str) -> dict[Any, Any]:
        """A status line, and the state that the page is in from now on; see `status.line`."""
        return {self.status: line(text, state, say)}

    def told(self, work: Callable[P, Iterator[dict[Any, Any]]]) -> Callable[P, Iterator[dict[Any, Any]]]:
        """Work whose errors the status line tells too."""

        @functools.wraps(work)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> Iterator[dict[Any, Any]]:
            try:
                yield from work(*args, **kwargs)
            except SegmentationError as error:
                say = speaker(next((arg for arg in args if isinstance(arg, gr.Request)), None))
                yield self.say(say(error.message), "failed", say)
                raise

        return wrapped

    def progress(self, run: Run, say: Say, part: Run | None = None) -> dict[Any, Any]:
        """How far a run is, or the part of it that is being done."""
        return {self.status: progress(run, say, part)}

    def cutouts(self, run: Run, say: Say) -> dict[Any, Any]:
        """The results of a run so far."""
        return {self.viewer: viewer_value(run, say), self.report: table(run.outcomes.reports, say)}

    def nothing(self) -> dict[Any, Any]:
        """Keep waiting: Gradio would clear the outputs of a generator that yields nothing."""
        return {self.status: gr.skip()}
