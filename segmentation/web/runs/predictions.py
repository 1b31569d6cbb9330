"""The predictions of visitors' pictures, cached so that tuning need not run the network again."""

import contextlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segmentation.arrays import Size
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture
from segmentation.picture.resize import shrunk
from segmentation.pipeline import Prediction
from segmentation.recipe import Recipe
from segmentation.settings import with_values

PREVIEW_SIDE = 720  # pixels of the longer side of what is tuned while the hand moves: about what the page shows

EXPIRED = Message("The predictions of this run are not kept any longer. Cut out again.")


class SmallPicture(NamedTuple):
    """A picture at screen size."""

    picture: Picture
    size: Size  # of the whole picture


class Predictions:
    """Those of one run's pictures. Safe for threads; `PredictionCache` bounds how many there are, and how long."""

    def __init__(self, sources: Sequence[Path], recipe: Recipe) -> None:
        """Hold none yet.

        Args:
            sources: The pictures' files.
            recipe: What the network is asked with: tuning may change all but its model, mean, std and size.
        """
        self.id = secrets.token_urlsafe(16)
        self.recipe = recipe
        self._sources = tuple(sources)
        self._by_picture: dict[int, Prediction] = {}
        self._small: OrderedDict[Path, SmallPicture] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def sources(self) -> tuple[Path, ...]:
        """The pictures' files, by their numbers."""
        return self._sources

    def add_sources(self, sources: Iterable[Path]) -> None:
        """Further pictures, behind those that are there."""
        with self._lock:
            self._sources += tuple(sources)

    @property
    def by_picture(self) -> dict[int, Prediction]:
        """Number of a picture -> its prediction, as of now."""
        with self._lock:
            return dict(self._by_picture)

    def add(self, index: int, prediction: Prediction) -> None:
        """Hold the prediction of a picture."""
        with self._lock:
            self._by_picture[index] = prediction

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        with self._lock:
            maps = sum(prediction.nbytes for prediction in self._by_picture.values())
            return maps + sum(small.picture.rgb.nbytes for small in self._small.values())

    def refined(self, recipe: Recipe) -> Recipe:
        """New settings, but for what only the network can change."""
        asked = self.recipe.settings
        settings = with_values(recipe.settings, mean=asked.mean, std=asked.std, size=asked.size)
        return replace(recipe, model=self.recipe.model, settings=settings)

    def asks_the_same(self, recipe: Recipe) -> bool:
        """Whether a recipe asks the network the same."""
        return self.refined(recipe) == recipe

    def small(self, path: Path, limits: Limits) -> SmallPicture:
        """A picture at screen size. The last two stay in memory: the one being tuned and the one behind it.

        Raises:
            ImageError: Its file is gone.
        """
        with self._lock:
            if path not in self._small:
                picture = load_image(path, **limits._asdict())
                self._small[path] = SmallPicture(shrunk(picture, PREVIEW_SIDE), picture.size)
            self._small.move_to_end(path)
            while len(self._small) > 2:
                self._small.popitem(last=False)
            return self._small[path]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_picture.clear()
            self._small.clear()


class PredictionCache:
    """The predictions of all visitors' runs, by ids nobody can guess: beyond a budget the longest unused go first."""

    def __init__(self, budget: int, seconds: float) -> None:
        """Make an empty cache.

        Args:
            budget: Bytes of all maps together, and so of one run's too: pictures beyond it cannot be tuned.
            seconds: A run that was not used for so long is forgotten.
        """
        self._budget = budget
        self._seconds = seconds
        self._runs: OrderedDict[str, tuple[Predictions, float]] = OrderedDict()  # with the time of its last use
        self._lock = threading.Lock()

    def add(self, run: Predictions) -> None:
        """Take in a run."""
        with self._lock:
            self._runs[run.id] = run, time.monotonic()

    def store(self, run: Predictions, index: int, prediction: Prediction) -> None:
        """Store the prediction of one more picture, if its run is in the cache and has room for it."""
        with self._lock:
            if run.id in self._runs and run.nbytes + prediction.nbytes <= self._budget:
                run.add(index, prediction)
        self.trim()

    def get(self, run_id: object) -> Predictions:
        """A run by its id; its time begins again.

        Raises:
            SettingsError: There is none: a wrong id, or its time is over, or newer runs needed the room.
        """
        with self._lock:
            run, _ = self._runs.get(run_id, (None, 0.0)) if isinstance(run_id, str) else (None, 0.0)
        if run is None or not run.by_picture:
            raise SettingsError(
                Message(
                    "This run has expired or does not exist. Take `run` from the report of /segment, or call it again."
                )
            )
        self.touch(run)
        return run

    def touch(self, run: Predictions) -> None:
        """It is in use: it goes last, and so do its uploads, which are deleted by their age."""
        with self._lock:
            if run.id in self._runs:
                self._runs[run.id] = run, time.monotonic()
                self._runs.move_to_end(run.id)
        touch_files(run.sources)

    def forget(self, run: Predictions) -> None:
        """Its visitor is gone, or has started over."""
        with self._lock:
            self._runs.pop(run.id, None)
        run.clear()

    def trim(self) -> None:
        """Forget what is too old or too much."""
        with self._lock:
            sizes = {run_id: run.nbytes for run_id, (run, _) in self._runs.items()}
            total = sum(sizes.values())
            for run_id, (run, used) in list(self._runs.items()):
                old = time.monotonic() - used > self._seconds
                if old or total > self._budget:
                    total -= sizes[run_id]
                    run.clear()
                    del self._runs[run_id]


def touch_files(files: Iterable[Path]) -> None:
    """These files and their folders are in use: what is deleted by its age begins again."""
    for path in {path for file in files for path in (file, file.parent)}:
        with contextlib.suppress(OSError):  # gone; a later read will say so
            os.utime(path)
