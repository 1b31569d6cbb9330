"""The files of a run: replaced ones go after a while, but never while they are being packed."""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segmentation.web.guard.uploads import touch_files
from segmentation.web.runs.corrections import Corrections
from segmentation.web.runs.outcomes import Outcomes

RETIRED_SECONDS = 10.0  # replaced files stay this long, since a page may still be requesting them


class RunFiles:
    """Thread-safe."""

    def __init__(self, folder: Path, outcomes: Outcomes, corrections: Corrections) -> None:
        """Watch over the files of these outcomes.

        Args:
            folder: Where new ones are written.
            outcomes: Those of the run; replaced ones may come from folders of other runs.
            corrections: Those of the run, which may have files too.
        """
        self._folder, self._outcomes, self._corrections = folder, outcomes, corrections
        self._lock, self._packing = threading.Lock(), threading.Lock()
        self._retired: list[tuple[float, Path]] = []  # replaced files, with the time of replacement

    @contextmanager
    def all_kept(self) -> Iterator[list[Path]]:
        """The cutouts' files, none of which is deleted meanwhile."""
        with self._packing:
            yield [cutout.file for _, cutout in self._outcomes.cutouts]

    def retire(self, files: Iterable[Path]) -> None:
        """Schedule these files for deletion, and delete those retired long enough ago."""
        now = time.monotonic()
        with self._lock:
            self._retired += [(now, file) for file in files]
        if not self._packing.acquire(blocking=False):  # the ZIP being written may need them
            return
        try:
            with self._lock:
                old = [(since, file) for since, file in self._retired if now - since > RETIRED_SECONDS]
                self._retired = [entry for entry in self._retired if entry not in old]
            for _, file in old:
                file.unlink(missing_ok=True)
        finally:
            self._packing.release()

    def touch(self) -> None:
        """Mark folders, backdrops and own planes as in use, so that they are not deleted for their age."""
        cutouts = [cutout.file for _, cutout in self._outcomes.cutouts]
        touch_files([self._folder, *cutouts, *self._outcomes.backdrops, *self._corrections.files])

    def delete(self) -> None:
        """Delete all of them."""
        for folder in {self._folder, *(cutout.file.parent for _, cutout in self._outcomes.cutouts)}:
            shutil.rmtree(folder, ignore_errors=True)
