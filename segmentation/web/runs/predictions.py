"""What networks said about visitors' pictures, kept so that tuning need not ask them again."""

import contextlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
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

DRAFT_SIDE = 720  # pixels of the longer side of what is tuned while the hand moves: about what the page shows

NOT_KEPT = Message("The predictions of this run are not kept any longer. Cut out again.")


class Small(NamedTuple):
    """A picture at screen size."""

    picture: Picture
    size: Size  # of the whole picture


@dataclass(eq=False)
class Kept:
    """What the network said about the pictures of one run. `KeptRuns` bounds how much of it there is, and how long."""

    sources: list[Path]
    recipe: Recipe
    """What the network was asked: tuning may change all but its model, mean, std and size."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    predictions: dict[int, Prediction] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)
    _small: OrderedDict[Path, Small] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def nbytes(self) -> int:
        """Bytes it takes in memory."""
        maps = sum(said.nbytes for said in list(self.predictions.values()))
        return maps + sum(small.picture.rgb.nbytes for small in list(self._small.values()))

    def refined(self, recipe: Recipe) -> Recipe:
        """New settings, but for what only the network can change."""
        asked = self.recipe.settings
        settings = with_values(recipe.settings, mean=asked.mean, std=asked.std, size=asked.size)
        return replace(recipe, model=self.recipe.model, settings=settings)

    def asks_the_same(self, recipe: Recipe) -> bool:
        """Whether a recipe asks the network the same."""
        return self.refined(recipe) == recipe

    def small(self, path: Path, limits: Limits) -> Small:
        """A picture at screen size; the last two are kept, which are the one being tuned and what is put behind it.

        Raises:
            ImageError: Its file is gone.
        """
        with self._lock:
            if path not in self._small:
                picture = load_image(path, **limits._asdict())
                self._small[path] = Small(shrunk(picture, DRAFT_SIDE), picture.size)
            self._small.move_to_end(path)
            while len(self._small) > 2:
                self._small.popitem(last=False)
            return self._small[path]

    def give_up(self) -> None:
        """Forget it all."""
        with self._lock:
            self.predictions.clear()
            self._small.clear()


class KeptRuns:
    """The maps of all visitors' runs, by ids nobody can guess: the longest unused go first beyond a budget of bytes."""

    def __init__(self, budget: int, seconds: float) -> None:
        """Make an empty store.

        Args:
            budget: Bytes of all maps together, and so of one run's too: pictures beyond it cannot be tuned.
            seconds: After so long without use a run is forgotten.
        """
        self._budget = budget
        self._seconds = seconds
        self._runs: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, kept: Kept) -> None:
        """Keep a run."""
        with self._lock:
            self._runs[kept.id] = kept

    def keep(self, kept: Kept, index: int, said: Prediction) -> None:
        """Keep what the network said about one picture more, while its run is kept at all and has room for it."""
        with self._lock:
            if kept.id in self._runs and kept.nbytes + said.nbytes <= self._budget:
                kept.predictions[index] = said
        self.trim()

    def get(self, run_id: object) -> Kept:
        """A run by its id; its time begins anew.

        Raises:
            SettingsError: There is none: a wrong id, or its time is over, or newer runs needed the room.
        """
        with self._lock:
            kept = self._runs.get(run_id) if isinstance(run_id, str) else None
        if kept is None or not kept.predictions:
            raise SettingsError(
                Message(
                    "This run has expired or does not exist. Take `run` from the report of /segment, or call it again."
                )
            )
        self.touch(kept)
        return kept

    def touch(self, kept: Kept) -> None:
        """It is in use: it goes last, and so do its uploads, which are deleted by their age."""
        with self._lock:
            kept.used = time.monotonic()
            if kept.id in self._runs:
                self._runs.move_to_end(kept.id)
        touch_files(kept.sources)

    def forget(self, kept: Kept) -> None:
        """Its visitor is gone, or has begun anew."""
        with self._lock:
            self._runs.pop(kept.id, None)
        kept.give_up()

    def trim(self) -> None:
        """Forget what is too old or too much."""
        with self._lock:
            sizes = {run_id: kept.nbytes for run_id, kept in self._runs.items()}
            total = sum(sizes.values())
            for run_id, kept in list(self._runs.items()):
                old = time.monotonic() - kept.used > self._seconds
                if old or total > self._budget:
                    total -= sizes[run_id]
                    kept.give_up()
                    del self._runs[run_id]


def touch_files(files: Iterable[Path]) -> None:
    """These files and their folders are in use: what is deleted by its age begins anew."""
    for path in {path for file in files for path in (file, file.parent)}:
        with contextlib.suppress(OSError):  # gone; whoever needs it will say so
            os.utime(path)
