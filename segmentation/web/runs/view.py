"""What pages show of a run: how many pages there are, which cutout is selected, and what they showed before."""

import threading
import time
from typing import TYPE_CHECKING

from segmentation.cutout_files import Cutout
from segmentation.web.runs.outcomes import Outcomes

if TYPE_CHECKING:
    from segmentation.web.runs.run import Run


class View:
    """Thread-safe.

    Attributes:
        shown_since: Version of the display. It only grows: a page showing a lower one is stale.
        wanted: Number of the picture that the visitor requested last, which the page should show.
        replaced: The earlier run whose results are still shown.
    """

    def __init__(self, outcomes: Outcomes) -> None:
        """Begin with one page that shows nothing yet."""
        self.shown_since = time.time_ns()
        self.wanted: int | None = None
        self.replaced: Run | None = None
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._pages = 1
        self._selected = ""

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

    @property
    def selected(self) -> tuple[int, Cutout] | None:
        """The selected cutout with the number of its picture; None if there are none.

        By default it is the first; where its picture has other cutouts now, as its classes were joined, their first.
        """
        cutouts, (picture, _, _) = self._outcomes.cutouts, self._selected.partition(" ")
        of_picture = [entry for entry in cutouts if str(entry[0]) == picture]
        chosen = (entry for entry in of_picture if key_of(*entry) == self._selected)
        return next(chosen, next(iter(of_picture or cutouts), None))

    def picture_of(self, key: object) -> int | None:
        """Number of the picture with that cutout, or that failed; None if there is none."""
        for index, outcome in self._outcomes.by_picture.items():
            if key == failed_key_of(index) or any(key == key_of(index, cutout) for cutout in outcome.cutouts):
                return index
        return None

    def select(self, key: object) -> None:
        """Select the cutout with that key, if there is one."""
        if any(key == key_of(*entry) for entry in self._outcomes.cutouts):
            self._selected = str(key)


def key_of(index: int, cutout: Cutout) -> str:
    """A cutout's key for page and server: the number of the picture, and the class if there are several."""
    return f"{index} {cutout.label}"


def failed_key_of(index: int) -> str:
    """The key of a picture that failed."""
    return f"{index} failed"
