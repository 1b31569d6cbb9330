"""A visitor's run: its pictures, what the network said about them, and the cutouts made of that."""

import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from segmentation.arrays import Size
from segmentation.batch import Cutout, Outcome, Report, write_zip
from segmentation.errors import SettingsError
from segmentation.image import Picture, load_image, shrunk
from segmentation.pipeline import Prediction
from segmentation.recipe import Recipe, save_recipe
from segmentation.session import Session

DRAFT_SIDE = 720  # pixels of the longer side of what is tuned while the hand moves: about what the page shows

RETIRED_SECONDS = 10.0

NOT_KEPT = "What the network said about this run is not kept any more: run again."


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
        settings = replace(recipe.settings, mean=asked.mean, std=asked.std, size=asked.size)
        return replace(recipe, model=self.recipe.model, settings=settings)

    def small(self, path: Path, max_pixels: int) -> Small:
        """A picture at screen size; the last two are kept, which are the one being tuned and what is put behind it.

        Raises:
            ImageError: Its file is gone.
        """
        with self._lock:
            if path not in self._small:
                picture = load_image(path, max_pixels=max_pixels)
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
            budget: Bytes of all maps together; those of the newest run stay whatever they take.
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
        """Keep what the network said about one picture more, while its run is kept at all."""
        with self._lock:
            if kept.id in self._runs:
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
                "There is no such run (any more): take `run` from the report of /segment, or run /segment again."
            )
        self.touch(kept)
        return kept

    def touch(self, kept: Kept) -> None:
        """It is in use: it goes last, and so do its uploads, which are deleted by their age."""
        with self._lock:
            kept.used = time.monotonic()
            if kept.id in self._runs:
                self._runs.move_to_end(kept.id)
        for source in kept.sources:
            for path in (source, source.parent):
                try:
                    os.utime(path)
                except OSError:  # gone; whoever needs it will say so
                    break

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
                if old or (total > self._budget and len(self._runs) > 1):
                    total -= sizes[run_id]
                    kept.give_up()
                    del self._runs[run_id]


@dataclass(eq=False)
class Run:
    """A run so far: cutouts and reports in the order of the pictures, whatever order they finish in."""

    folder: Path
    kept: Kept
    recipe: Recipe
    backdrop: Path | None = None
    network: Session | dict[int, Prediction] | None = None  # until it has begun: a page must not hold a network loaded
    total: int = 0
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    recipes: dict[int, tuple[Recipe, Path | None]] = field(default_factory=dict)
    """Recipe and backdrop of the pictures that were tuned since."""
    now: str = ""  # which picture is in which stage
    running: bool = True
    stop: threading.Event = field(default_factory=threading.Event)
    selected: tuple[int, str] | None = None  # picture and class looked at
    redoing: "Run | None" = None  # what makes its pictures anew
    tuning: int = 0  # counts up with the hand: what was begun for a lower number is stale
    tuned: int = 0  # what of it is done in full size
    _retired: list[tuple[float, Path]] = field(default_factory=list)  # files replaced by others, and when

    @property
    def cutouts(self) -> list[tuple[int, Cutout]]:
        """Number of the picture and cutout, in order."""
        return [(index, cutout) for index, outcome in sorted(self.outcomes.items()) for cutout in outcome.cutouts]

    @property
    def files(self) -> list[Path]:
        """The cutouts' files."""
        return [cutout.file for _, cutout in self.cutouts]

    @property
    def reports(self) -> list[Report]:
        """An entry a picture."""
        return [outcome.report for _, outcome in sorted(self.outcomes.items())]

    @property
    def done(self) -> float:
        """Share of the pictures that are finished."""
        return len(self.outcomes) / max(1, self.total)

    @property
    def position(self) -> int | None:
        """Where the selected cutout stands among all; the first if it is gone, None where there is none."""
        places = [(index, cutout.label) for index, cutout in self.cutouts]
        if not places:
            return None
        return places.index(self.selected) if self.selected in places else 0

    def select(self, position: int) -> None:
        """Look at the cutout in that place, or at the nearest there is."""
        cutouts = self.cutouts
        if cutouts:
            index, cutout = cutouts[max(0, min(position, len(cutouts) - 1))]
            self.selected = index, cutout.label

    def adopt(self, other: "Run") -> list[str]:
        """Take over the pictures that another run did anew; their old files go, but for pictures that failed anew.

        Returns:
            What failed, as sentences.
        """
        failed = []
        for index, outcome in list(other.outcomes.items()):
            old = self.outcomes.get(index)
            if old is outcome:
                continue
            if outcome.report["error"] and old and old.cutouts:
                failed.append(str(outcome.report["error"]))
                continue
            if old:
                self.retire(file for cutout in old.cutouts for file in cutout.all_files)
            self.outcomes[index] = outcome
            self.recipes[index] = other.recipe, other.backdrop
        return failed

    def retire(self, files: Iterable[Path]) -> None:
        """Delete these files soon: a page may be on its way to them still. Those retired a while ago go now."""
        now = time.monotonic()
        gone = [file for since, file in self._retired if now - since > RETIRED_SECONDS]
        self._retired = [entry for entry in self._retired if entry[1] not in gone] + [(now, file) for file in files]
        for file in gone:
            file.unlink(missing_ok=True)

    def archive(self) -> Path:
        """All cutouts in one ZIP, with the settings that make them again: of the run, and of pictures tuned alone."""
        extras: dict[tuple[Recipe, Path | None], str] = {}
        usual = self.recipe, self.backdrop
        files = self.files
        for index, outcome in sorted(self.outcomes.items()):
            of = self.recipes.get(index, usual)
            if outcome.cutouts and of not in extras:
                stem = "settings" if of == usual else f"settings-{outcome.cutouts[0].file.stem.removesuffix('-cutout')}"
                extras[of] = stem
        for (recipe, backdrop), stem in extras.items():
            behind = None
            if backdrop:
                behind = self.folder / f"{stem}-backdrop{backdrop.suffix}"
                shutil.copyfile(backdrop, behind)
                files.append(behind)
            files.append(self.folder / f"{stem}.yaml")
            save_recipe(recipe, files[-1], behind.name if behind else None)
        return write_zip(files, self.folder / "cutouts.zip")
