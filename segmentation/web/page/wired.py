"""What the events of the page have in common. All are private: scripts use the public endpoints."""

from dataclasses import dataclass
from typing import Any

from segmentation.web.api import QUEUE_NAME
from segmentation.web.page.cutting import Cutting
from segmentation.web.page.layout import Layout
from segmentation.web.page.live_tuning import LiveTuning
from segmentation.web.page.next_run import NextRun
from segmentation.web.page.screen import Screen
from segmentation.web.page.scripts import handler
from segmentation.web.page.visit import Visit

UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LIVE: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Of two events in a row, Gradio would by default drop the second; `always_last` would send the first again
EACH = UNQUEUED | {"trigger_mode": "multiple"}
# what the viewer shows comes with each event that is about it: one of its own could be overtaken
SELECTED: dict[str, Any] = {"js": handler("addSelected")}


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the events call."""

    visit: Visit
    cutting: Cutting
    tuning: LiveTuning
    next_run: NextRun


@dataclass(frozen=True, slots=True)
class Wired:
    """What is to be connected."""

    layout: Layout
    screen: Screen
    handlers: Handlers
    settings: Any
    """What this browser stores."""

    @property
    def values(self) -> list[Any]:
        """All controls, in the order in which handlers take their values."""
        return self.layout.controls.all

    @property
    def stored(self) -> list[Any]:
        """The controls whose values the browser stores."""
        controls = self.layout.controls
        return [controls.by_name[name] for name in controls.stored_names]

    @property
    def limit(self) -> int:
        """How many of a kind run at once."""
        return self.layout.service.config.concurrency

    @property
    def tuning(self) -> dict[str, Any]:
        """Options of events that compute full sizes."""
        return {"concurrency_id": "tune", "concurrency_limit": 2 * self.limit}

    @property
    def queued(self) -> dict[str, Any]:
        """Options of events that run networks."""
        runs = self.layout.service.config.runs
        return {
            "concurrency_id": QUEUE_NAME, "concurrency_limit": runs, "show_progress_on": self.screen.status,
            "api_visibility": "private",
        }  # fmt: skip
