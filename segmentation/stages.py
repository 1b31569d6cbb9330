"""The stages of a picture: announced as they begin, and timed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnStage = Callable[[str], None]
"""Called with the name of each stage as it begins."""


@contextmanager
def stage(name: str, timings: dict[str, float], on_stage: OnStage | None) -> Iterator[None]:
    """Announce a stage, and add its seconds to the timings."""
    if on_stage:
        on_stage(name)
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start
