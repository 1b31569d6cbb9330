"""What a worker has made, in a folder of the job's own, until whoever runs the job gives it its name."""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from segmentation.batch import Outcome, not_written
from segmentation.corrections import NOTHING
from segmentation.cutout_files import Cutout
from segmentation.elsewhere import address_of
from segmentation.outputs import Input, InTheWayError, Outputs
from segmentation.report import Report
from segmentation.work import Task

_PREFIX = ".segmatte-ray-"
_OLD = 86_400  # seconds after which a killed job's folder is deleted; one at work is written to all the time


@dataclass(frozen=True, slots=True)
class Staged:
    """A picture that a worker has finished."""

    index: int
    report: Report
    cutouts: tuple[Cutout, ...]
    """Their files lie in the job's folder."""
    known: Input | None
    """The picture's file as it was before."""
    is_lasting: bool
    """Whether it would end the same way again."""


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A folder for one job beside its cutouts, and so on the same disk; deleted afterwards.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - _OLD:
                shutil.rmtree(old)
    staging = folder / f"{_PREFIX}{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class Attempt:
    """Where a worker writes: a folder for one attempt at some pictures, so that a second one never meets its files."""

    def __init__(self, staging: Path, sources: Sequence[Path], scratch: Path | None = None) -> None:
        """Make the folder.

        Args:
            staging: The job's folder.
            sources: The pictures.
            scratch: A folder of this machine, for pictures that have to be downloaded.

        Raises:
            OSError: It cannot be made.
        """
        self.folder = staging / uuid.uuid4().hex
        self.folder.mkdir()
        self.inputs: dict[int, Input | None] = {}
        self.lasting: set[int] = set()
        self._sources, self._scratch = sources, scratch

    def read_from(self, index: int) -> Path:
        """Where a picture is read from."""
        source = self._sources[index]
        if self._scratch is None or not address_of(source):
            return source
        return self._scratch / str(index) / source.name

    def name(self, index: int, label: str) -> str:
        """A file's name: a `Namer`."""
        return f"{index}-{hashlib.sha256(label.encode()).hexdigest()[:16]}"

    def check(self, index: int, files: Iterable[Path], /) -> None:
        """Nothing is in the way here; `take` checks."""

    def begin(self, index: int, /) -> None:
        """Remember what a picture is before it is read; download it first, if it has an address.

        Raises:
            SegmentationError: It cannot be downloaded.
        """
        file, time = self.read_from(index), None
        if address := address_of(self._sources[index]):
            from segmentation.cluster.stores import download

            file.parent.mkdir()
            time = download(address, file)
        known = Input.of(file)
        self.inputs[index] = known if known is None or time is None else replace(known, time=time)

    @contextmanager
    def writing(self, _: int, file: Path, /) -> Iterator[Path]:
        """The file, forced to disk afterwards: here, as all workers do that at the same time.

        Raises:
            OSError: It cannot be written.
        """
        yield file
        with file.open("rb+") as written:
            os.fsync(written.fileno())

    def finish(self, index: int, _: Iterable[Path], __: str | None, /) -> tuple[str, ...]:
        """Remember that a picture would end the same way again."""
        self.lasting.add(index)
        return ()


def take(staged: Staged, task: Task, outputs: Outputs) -> Outcome:
    """Give the cutouts of a picture their names, and record that it is done.

    Only the process that runs the job does so: its record has one writer, though the network's file system may know no
    locks, and a picture that two workers have made is taken once.

    Args:
        staged: What a worker has made.
        task: The job's pictures.
        outputs: Their folder.
    """
    index, report = staged.index, staged.report
    source = task.sources[index]
    cutouts: list[Cutout] = []
    error, is_lasting = report.error, staged.is_lasting
    try:
        for cutout in staged.cutouts:
            file = task.folder / task.namer(index, cutout.label)
            with outputs.writing(index, file) as partial:
                cutout.file.replace(partial)
            cutouts.append(replace(cutout, file=file))
    except InTheWayError as problem:
        error, is_lasting = problem.message, False
    except OSError as problem:
        error, is_lasting = not_written(source.name, problem), False
    warnings = report.warnings
    if is_lasting:
        outputs.began(index, staged.known)
        warnings += outputs.finish(index, [each.file for each in cutouts], error)
    names = tuple(each.file.relative_to(task.folder).as_posix() for each in cutouts)
    return Outcome(
        index, source.name, tuple(cutouts), replace(report, files=names, warnings=warnings, error=error),
        correction=task.corrections.get(index, NOTHING),
    )  # fmt: skip
