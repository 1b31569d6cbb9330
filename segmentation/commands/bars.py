"""A progress bar in the terminal."""

import sys
from typing import Any

from tqdm import tqdm


class Bars:
    """A download's progress bar. A context manager, which removes it."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar."""
        bar: tqdm[Any] = self._bar or tqdm(desc=name, total=total or None, unit="B", unit_scale=True, file=sys.stderr)
        self._bar = bar
        bar.update(done - bar.n)
