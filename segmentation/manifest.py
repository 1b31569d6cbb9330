"""What was made in a folder: each cutout's file, and each picture that is done or failed.

A text file of JSON lines that is only appended to. A line is one write, so that processes do not interleave theirs, and
a process that is killed leaves at most one line without an end, which is passed over. (SQLite would need locks that
network file systems lack, and nobody could read it.)
"""

import json
import os
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from segmentation.elsewhere import identity

MANIFEST = ".segmatte.jsonl"
"""Lies beside the cutouts."""

_SECONDS = 2.1  # the coarsest rounding of modification times by file systems, plus a little


def file_key(name: str) -> str:
    """A file name as file systems may compare it: in one Unicode form, ignoring case."""
    return unicodedata.normalize("NFC", name).casefold()


class Made(NamedTuple):
    """A cutout's file as it was written."""

    file: str
    """Its path below the folder."""
    size: int
    """Bytes."""
    time: float
    """Its modification, in seconds since 1970."""

    @classmethod
    def of(cls, file: Path, folder: Path) -> "Made":
        """A file below a folder as it is now.

        Raises:
            OSError: It is not there.
        """
        stat = file.stat()
        return cls(file.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime)

    def is_unchanged(self, stat: os.stat_result) -> bool:
        """Whether a file still is that one."""
        return self.size == stat.st_size and abs(self.time - stat.st_mtime) <= _SECONDS


@dataclass(frozen=True, slots=True)
class Done:
    """A picture that was worked on to its end."""

    picture: str
    """Its absolute path or its address."""
    size: int
    """Bytes of the picture's file."""
    time: int
    """Its modification, in nanoseconds since 1970."""
    sha256: str
    key: str
    """Stands for the settings and the model."""
    files: tuple[Made, ...]
    """Its cutouts."""
    error: str | None = None
    """Why it failed."""

    def has_its_files(self, folder: Path) -> bool:
        """Whether its cutouts are still there, unchanged."""
        try:
            return all(made.is_unchanged((folder / made.file).stat()) for made in self.files)
        except OSError:
            return False


class Manifest:
    """The manifest of one folder. Safe for threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Read it; a folder without a manifest has nothing that was made here."""
        self._path = folder / MANIFEST
        self._lock = threading.Lock()
        self._made: dict[str, list[tuple[Made, str]]] = {}  # with its picture, as often as it was made
        self._done: dict[str, Done] = {}
        self._is_torn = False
        for entry in self._read():
            try:
                if "file" in entry:
                    made = Made(entry["file"], int(entry["size"]), float(entry["time"]))
                    self._made.setdefault(file_key(made.file), []).append((made, str(entry["source"])))
                else:
                    self._keep(Done(**entry | {"files": tuple(Made(*made) for made in entry["files"])}))
            except (TypeError, KeyError, ValueError):  # not written by this version
                continue

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError:
            return
        self._is_torn = bool(lines[-1])
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # a line truncated by a crash
                continue
            if isinstance(entry, dict):
                yield entry

    def source(self, file: Path) -> str | None:
        """The picture a file was made from; None if it was not made here, or was changed since."""
        made = self._made.get(file_key(file.name))
        try:
            stat = file.stat() if made else None
        except OSError:
            return None
        if not made or not stat:
            return None
        return next((source for each, source in reversed(made) if each.is_unchanged(stat)), None)

    def add(self, file: Path, source: Path, written: Path | None = None) -> None:
        """Record that a file was made from a picture.

        Args:
            file: The file.
            source: The picture.
            written: Where its content lies until it is given its name. To record it first means that whoever is killed
                in between leaves no file of unknown origin.

        Raises:
            OSError: The manifest cannot be written.
        """
        stat = (written or file).stat()
        made, picture = Made(file.name, stat.st_size, stat.st_mtime), identity(source)
        self._append(made._asdict() | {"source": picture})
        with self._lock:
            self._made.setdefault(file_key(file.name), []).append((made, picture))

    def done(self, picture: Path) -> Done | None:
        """The last time a picture was worked on to its end."""
        return self._done.get(identity(picture))

    def finish(self, done: Done) -> None:
        """Record that a picture was worked on to its end.

        Raises:
            OSError: The manifest cannot be written.
        """
        self._append({name: getattr(done, name) for name in Done.__slots__})
        self._keep(done)

    def _keep(self, done: Done) -> None:
        with self._lock:
            self._done[done.picture] = done

    def _append(self, entry: dict[str, Any]) -> None:
        with self._lock:
            line = ("\n" if self._is_torn else "") + json.dumps(entry) + "\n"
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.write(handle, line.encode("ascii")) < len(line):
                    self._is_torn = True
                    raise OSError(28, "No space left on device")
                self._is_torn = False
                os.fsync(handle)
            finally:
                os.close(handle)
