"""How many runs there may be at once, whichever way they came: through Gradio's queue, or through a door beside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segmentation.messages import Message

FULL = "The queue is full: {waiting} are already waiting. Try again in a moment."
SHUTTING_DOWN = Message("The server is shutting down. Try again in a minute.")


class FullError(Exception):
    """There is no room for another run; the text is a `Message`."""

    @property
    def message(self) -> Message:
        """The sentence."""
        message = self.args[0]
        assert isinstance(message, Message)
        return message


class Admission:
    """Counts runs, in progress or waiting. Thread-safe.

    Attributes:
        most: How many there may be.
        in_queue: How many of them came through Gradio's queue; set by `separate_queues`.
    """

    def __init__(self, most: int) -> None:
        """Start without runs."""
        self.most = most
        self.in_queue: Callable[[], int] = lambda: 0
        self._lock = threading.Lock()
        self._outside = 0
        self._is_closed = False

    @property
    def outside(self) -> int:
        """How many came beside the queue."""
        return self._outside

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take the place of a run beside the queue.

        Raises:
            FullError: There is none left, or the server is shutting down.
        """
        with self._lock:
            if self._is_closed:
                raise FullError(SHUTTING_DOWN)
            waiting = self._outside + self.in_queue()
            if waiting >= self.most:
                raise FullError(Message(FULL, waiting=waiting))
            self._outside += 1
        try:
            yield
        finally:
            with self._lock:
                self._outside -= 1

    def close(self) -> None:
        """Give no further place away."""
        self._is_closed = True
