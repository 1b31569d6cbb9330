"""The predictions of visitors' pictures, cached so that tuning need not run the network again."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segmentation.arrays import Size
from segmentation.bases import Bases
from segmentation.corrected import OwnPlanes, load_planes
from segmentation.corrections import Correction
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture
from segmentation.picture.resize import shrunk
from segmentation.prediction import Prediction
from segmentation.recipe import Recipe
from segmentation.settings import NETWORK_SETTINGS, with_values
from segmentation.web.guard.uploads import touch_files

PREVIEW_SIDE = 720  # pixels of the longer side of a live preview: about what the page shows

EXPIRED = Message("The predictions of this run have expired. Cut out again.")


class SmallPicture(NamedTuple):
    """A picture at screen size."""

    picture: Picture
    size: Size  # of the full-size picture


class Predictions:
    """The predictions of one run's pictures. Thread-safe; `PredictionCache` bounds their number and lifetime."""

    def __init__(self, sources: Sequence[Path], recipe: Recipe) -> None:
        """Start without predictions.

        Args:
            sources: The pictures' files.
            recipe: The recipe the network runs with. Tuning may change all but its model and network settings.
        """
        self.id = secrets.token_urlsafe(16)
        self.recipe = recipe
        self._sources = tuple(sources)
        self._by_picture: dict[int, Prediction] = {}
        self._small: OrderedDict[Path, SmallPicture] = OrderedDict()
        self._planes: tuple[object, OwnPlanes] = None, OwnPlanes()
        self._lock = threading.Lock()
        # held while a picture is decoded: the other one is needed by the cache, which all visitors share
        self._reading = threading.Lock()
        self.bases = Bases()
        """What is solved of the pictures last corrected, at full size and at screen size."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The pictures' files, in the order of their numbers."""
        return self._sources

    def add_sources(self, sources: Iterable[Path]) -> None:
        """Append pictures."""
        with self._lock:
            self._sources += tuple(sources)

    @property
    def by_picture(self) -> dict[int, Prediction]:
        """Number of a picture -> its prediction; a snapshot."""
        with self._lock:
            return dict(self._by_picture)

    def add(self, index: int, prediction: Prediction) -> None:
        """Store the prediction of a picture."""
        with self._lock:
            self._by_picture[index] = prediction

    def drop_caches(self) -> None:
        """Drop what only makes the next stroke or click fast, and is computed again when it is needed."""
        self.bases.clear()
        with self._lock:
            for index, prediction in self._by_picture.items():
                self._by_picture[index] = replace(prediction, embedding=None)

    @property
    def nbytes(self) -> int:
        """Memory used, in bytes."""
        with self._lock:
            maps = sum(prediction.nbytes for prediction in self._by_picture.values())
            return maps + sum(small.picture.rgb.nbytes for small in self._small.values()) + self.bases.nbytes

    def refined(self, recipe: Recipe) -> Recipe:
        """The new settings, with the model and network settings of these predictions.

        Classes are those of the settings' model: for another one's predictions, the original ones stay.
        """
        own = NETWORK_SETTINGS if recipe.model == self.recipe.model else (*NETWORK_SETTINGS, "classes")
        settings = with_values(recipe.settings, **{name: getattr(self.recipe.settings, name) for name in own})
        return replace(recipe, model=self.recipe.model, settings=settings)

    def is_reusable_for(self, recipe: Recipe) -> bool:
        """Whether a recipe has the model and network settings of these predictions."""
        return self.refined(recipe) == recipe

    def small(self, path: Path, limits: Limits) -> SmallPicture:
        """A picture at screen size. The last two stay in memory: the one being tuned and its backdrop.

        Raises:
            ImageError: Its file no longer exists.
        """
        with self._reading:
            with self._lock:
                known = self._small.get(path)
            if known is None:
                picture = load_image(path, **limits._asdict())
                known = SmallPicture(shrunk(picture, PREVIEW_SIDE), picture.size)
            with self._lock:
                self._small[path] = known
                self._small.move_to_end(path)
                while len(self._small) > 2:
                    self._small.popitem(last=False)
            return known

    def small_planes(self, correction: Correction, small: SmallPicture, limits: Limits) -> OwnPlanes:
        """A visitor's own mask and trimap of a picture at screen size. The last ones stay in memory.

        Raises:
            ImageError: A file no longer exists, or does not fit the picture.
        """
        key = correction.mask, correction.trimap, small.size
        with self._reading:
            known, planes = self._planes
            if known != key:
                planes = load_planes(correction, small.size, limits).shrunk(small.picture.size)
                self._planes = key, planes
            return planes

    def clear(self) -> None:
        """Drop all predictions."""
        with self._lock:
            self._by_picture.clear()
            self._small.clear()
            self._planes = None, OwnPlanes()
        self.bases.clear()


class PredictionCache:
    """The predictions of all visitors' runs, by unguessable id. Over budget, the least recently used go first."""

    def __init__(self, budget: int, seconds: float) -> None:
        """Make an empty cache.

        Args:
            budget: Total bytes of all maps and embeddings, and so the limit for one run too: pictures beyond it cannot
                be tuned.
            seconds: Runs unused for this long are dropped.
        """
        self._budget = budget
        self._seconds = seconds
        self._runs: OrderedDict[str, tuple[Predictions, float]] = OrderedDict()  # with the time of last use
        self._lock = threading.Lock()

    def add(self, run: Predictions) -> None:
        """Add a run."""
        with self._lock:
            self._runs[run.id] = run, time.monotonic()

    def store(self, run: Predictions, index: int, prediction: Prediction) -> None:
        """Store a picture's prediction, if its run is in the cache and has room for it, or else without embedding."""
        with self._lock:
            if run.id in self._runs:
                old = run.by_picture.get(index)

                def room() -> int:
                    return self._budget - run.nbytes + (old.nbytes if old else 0)

                if prediction.nbytes > room():
                    run.bases.clear()
                if prediction.nbytes > room():
                    prediction = replace(prediction, embedding=None)
                if prediction.nbytes <= room():
                    run.add(index, prediction)
        self.trim()

    def get(self, run_id: object) -> Predictions:
        """A run by its id; its expiry restarts.

        Raises:
            SettingsError: The id is wrong, or the run has expired or was dropped for newer ones.
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
        """Mark a run and its uploads as in use, which restarts their expiry."""
        with self._lock:
            if run.id in self._runs:
                self._runs[run.id] = run, time.monotonic()
                self._runs.move_to_end(run.id)
        touch_files(run.sources)

    def forget(self, run: Predictions) -> None:
        """Drop a run whose visitor is gone or has started over."""
        with self._lock:
            self._runs.pop(run.id, None)
        run.clear()

    def trim(self) -> None:
        """Drop runs that have expired or exceed the budget; before the latter, what is only cached for speed."""
        with self._lock:
            sizes = {run_id: run.nbytes for run_id, (run, _) in self._runs.items()}
            total = sum(sizes.values())
            for run_id, (run, _) in self._runs.items():
                if total > self._budget:
                    run.drop_caches()
                    total -= sizes[run_id] - run.nbytes
                    sizes[run_id] = run.nbytes
            for run_id, (run, used) in list(self._runs.items()):
                old = time.monotonic() - used > self._seconds
                if old or total > self._budget:
                    total -= sizes[run_id]
                    run.clear()
                    del self._runs[run_id]
