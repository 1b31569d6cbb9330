"""How far a run is tuned: each move of the hand makes everything begun before it stale."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """One position of the hand."""

    number: int
    """Counts up; the browser compares it as well."""
    _tuning: "Tuning"

    @property
    def is_stale(self) -> bool:
        """Whether the hand has moved on."""
        return self._tuning.current.number != self.number

    @property
    def is_done(self) -> bool:
        """Whether this position, or a later one, is there in full size."""
        return self._tuning.done >= self.number

    def finish(self) -> None:
        """It is there in full size."""
        self._tuning.finish(self)


class Tuning:
    """Safe for threads."""

    def __init__(self) -> None:
        """Nothing was tuned yet."""
        self._lock = threading.Lock()
        self._current = Token(0, self)
        self._done = 0

    @property
    def current(self) -> Token:
        """The latest position."""
        return self._current

    @property
    def done(self) -> int:
        """Number of the latest position that is there in full size."""
        return self._done

    def begin(self) -> Token:
        """The hand moved."""
        with self._lock:
            self._current = Token(self._current.number + 1, self)
            return self._current

    def finish(self, token: Token) -> None:
        """That position is there in full size."""
        with self._lock:
            self._done = max(self._done, token.number)
