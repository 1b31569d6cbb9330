"""The components that handlers update."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from segmentation.web.page.status import line, progress, table
from segmentation.web.page.viewer import viewer_value
from segmentation.web.runs.run import Run
from segmentation.web.texts import Say


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

    def say(self, text: str) -> dict[Any, Any]:
        """A status line."""
        return {self.status: line(text)}

    def progress(self, run: Run, say: Say, part: Run | None = None) -> dict[Any, Any]:
        """How far a run is, or the part of it that is being done."""
        return {self.status: progress(run, say, part)}

    def cutouts(self, run: Run, say: Say) -> dict[Any, Any]:
        """The results of a run so far."""
        return {self.viewer: viewer_value(run, say), self.report: table(run.outcomes.reports, say)}

    def nothing(self) -> dict[Any, Any]:
        """Keep waiting: Gradio would clear the outputs of a generator that yields nothing."""
        return {self.status: gr.skip()}
