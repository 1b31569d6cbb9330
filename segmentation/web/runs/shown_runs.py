"""The runs that pages show, so that a reloaded page finds its own again."""

import threading
from collections.abc import Callable

from segmentation.web.runs.run import Run


class ShownRuns:
    """By unguessable id. Thread-safe."""

    def __init__(self, forget: Callable[[Run], None], keep_alive: Callable[[Run], None]) -> None:
        """Start empty.

        Args:
            forget: Deletes a run that no page shows.
            keep_alive: Restarts the expiry of one that is shown again.
        """
        self._forget, self._keep_alive = forget, keep_alive
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def __contains__(self, run: Run) -> bool:
        """Whether a page has shown it."""
        with self._lock:
            return run.predictions.id in self._runs

    def show(self, run: Run) -> str:
        """Register a run as shown by a page, which can resume it by the returned id."""
        with self._lock:
            self._runs[run.predictions.id] = run
        return run.predictions.id

    def resume(self, run_id: object) -> Run | None:
        """The run that a page showed before it was reloaded; None if it has expired."""
        with self._lock:
            run = self._runs.get(run_id) if isinstance(run_id, str) else None
            if run is None or not len(run.outcomes) or not run.folder.is_dir():
                return None
            run.view.add_page()
        self._keep_alive(run)
        return run

    def leave(self, run: Run) -> None:
        """Note that a page stopped showing a run; once no page shows it, it is deleted."""
        replaced = run.view.take_replaced()
        if replaced:
            self.leave(replaced)
        with self._lock:
            is_unused = run.view.drop_page()
        if is_unused:
            self.drop(run)

    def drop(self, run: Run) -> None:
        """Delete a run, whatever page shows it."""
        with self._lock:
            self._runs.pop(run.predictions.id, None)
        self._forget(run)

    def drop_expired(self) -> None:
        """Delete the runs whose files were deleted for their age."""
        with self._lock:
            expired = [run for run in self._runs.values() if not run.is_at_work and not run.folder.is_dir()]
        for run in expired:
            self.drop(run)
