"""The tuning steps of a run: each change of a setting makes work for earlier steps stale."""

import threading
from dataclasses import dataclass
from typing import Any

from segmentation.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Target:
    """What a tuning step is for: one cutout, and the settings that it should have."""

    selected: str  # key of the cutout, as sent by the client
    recipe: Recipe
    backdrop: Any  # path, as sent by the client


@dataclass(frozen=True, slots=True)
class Token:
    """One tuning step."""

    number: int
    """Counts up; the browser compares it too."""
    target: Target | None
    """None if there is nothing to tune."""
    _tuning: "Tuning"

    @property
    def is_stale(self) -> bool:
        """Whether a later step has begun."""
        return self._tuning.current.number != self.number

    @property
    def is_done(self) -> bool:
        """Whether this step, or a later one, is finished in full size."""
        return self._tuning.done >= self.number

    def finish(self) -> None:
        """Mark this step as finished in full size."""
        self._tuning.finish(self)


class Tuning:
    """Counts the tuning steps of a run. Thread-safe."""

    def __init__(self) -> None:
        """Start at step 0."""
        self._lock = threading.Lock()
        self._current = Token(0, None, self)
        self._done = 0

    @property
    def current(self) -> Token:
        """The latest step."""
        return self._current

    @property
    def done(self) -> int:
        """Number of the latest step that is finished in full size."""
        return self._done

    def begin(self, target: Target | None = None) -> Token:
        """Begin a new step."""
        with self._lock:
            self._current = Token(self._current.number + 1, target, self)
            return self._current

    def finish(self, token: Token) -> None:
        """Mark a step as finished in full size."""
        with self._lock:
            self._done = max(self._done, token.number)
