"""What pages show of a run: how many pages there are, and what they showed before."""

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmentation.web.runs.run import Run


class View:
    """Thread-safe.

    Attributes:
        shown_since: Version of the display. It only grows: a page showing a lower one is stale.
        wanted: Number of the picture that the visitor requested last, which the page should show.
        replaced: The earlier run whose results are still shown.
    """

    def __init__(self) -> None:
        """Begin with one page that shows nothing yet."""
        self.shown_since = time.time_ns()
        self.wanted: int | None = None
        self.replaced: Run | None = None
        self._lock = threading.Lock()
        self._pages = 1

    def reset(self) -> None:
        """Make pages discard what they show and display the run from scratch."""
        self.shown_since = time.time_ns()

    def take_replaced(self) -> "Run | None":
        """The run it replaces, which is no longer shown. Returned once, then None."""
        with self._lock:
            replaced, self.replaced = self.replaced, None
            return replaced

    def add_page(self) -> None:
        """Count another page that shows the run; a reloaded page counts as another."""
        with self._lock:
            self._pages += 1

    def drop_page(self) -> bool:
        """Count a page that stopped showing the run.

        Returns:
            Whether no page shows it now.
        """
        with self._lock:
            self._pages -= 1
            return self._pages <= 0
