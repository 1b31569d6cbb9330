"""Whose turn it is to download a model: one at a time for each visitor, and few for all together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from segmentation.errors import WeightsError
from segmentation.messages import Message


class DownloadTurns:
    """Who is downloading a model now. Thread-safe."""

    def __init__(self, at_once: int = 3) -> None:
        """Nobody is.

        Args:
            at_once: Downloads for all visitors together.
        """
        self._at_once = at_once
        self._lock = threading.Lock()
        self._visitors: set[str] = set()

    @contextmanager
    def turn(self, visitor: str) -> Iterator[None]:
        """Download in this block.

        Args:
            visitor: Address or session of the visitor.

        Raises:
            WeightsError: The visitor is downloading already, or too many others are.
        """
        with self._lock:
            if visitor in self._visitors:
                raise WeightsError(
                    Message("You are already downloading a model. Try again when that is done, or cancel it.")
                )
            if len(self._visitors) >= self._at_once:
                raise WeightsError(
                    Message("Other visitors are downloading models at the moment. Try again in a few minutes.")
                )
            self._visitors.add(visitor)
        try:
            yield
        finally:
            with self._lock:
                self._visitors.discard(visitor)
