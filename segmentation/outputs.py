"""Where cutouts are written: names that depend on their picture alone, and no file of a person's overwritten."""

import json
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from segmentation.errors import ImageError
from segmentation.messages import Message

MANIFEST = ".segmatte.jsonl"
"""Beside the cutouts: which files were written, and from which picture. A line a file, the last one counts."""

Namer = Callable[[int, str], str]
"""File name of the cutout of a picture's number and a class ("" where there is only one)."""

_SECONDS = 2.1  # what file systems round modification times to at most, and a little


def cutout_names(names: Sequence[str], ending: str) -> Namer:
    """`<stem>-cutout` for each picture, and `<stem>-<class>-cutout` where the network tells classes apart."""
    stems = safe_stems(names)
    return lambda index, label: f"{stems[index]}{f'-{label}' if label else ''}-cutout{ending}"


def safe_stems(names: Sequence[str]) -> list[str]:
    """File names without their endings, made safe for every file system and different from each other.

    Where pictures differ in nothing but their ending it stays, so that no name depends on who came first; only pictures
    of the very same name are counted. Names are compared as file systems may do: in one Unicode form, without case.
    """
    pairs = [(_safe(Path(name).stem), _safe(Path(name).name)) for name in names]
    spelled: dict[str, set[str]] = {}
    for short, long in pairs:
        spelled.setdefault(_key(short), set()).add(_key(long))
    taken: set[str] = set()
    stems = []
    for short, long in pairs:
        wanted = long if len(spelled[_key(short)]) > 1 else short
        stem, number = wanted, 1
        while _key(stem) in taken:
            number += 1
            stem = f"{wanted}-{number}"
        taken.add(_key(stem))
        stems.append(stem)
    return stems


def _safe(name: str) -> str:
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", unicodedata.normalize("NFC", name))
    # file systems count bytes: 255 for the whole name
    return plain.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .") or "picture"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Manifest:
    """Which files of a folder are cutouts that were made here, and of what. Safe for threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Read it; a folder without one has no cutouts of ours."""
        self._folder = folder
        self._lock = threading.Lock()
        self._made: dict[str, dict[str, Any]] = {}
        try:
            lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                self._made[_key(entry["file"])] = entry
            except (ValueError, TypeError, KeyError):  # a line cut off when the machine went down
                continue

    def source(self, file: Path) -> str | None:
        """Of which picture a file was made; None where it was not made here, or is no longer what was written."""
        entry = self._made.get(_key(file.name))
        try:
            stat = file.stat()
        except OSError:
            return None
        if entry is None or entry.get("size") != stat.st_size or abs(entry.get("time", 0) - stat.st_mtime) > _SECONDS:
            return None
        return str(entry.get("source"))

    def add(self, file: Path, source: Path) -> None:
        """Note that a file was made of a picture.

        Raises:
            OSError: The manifest cannot be written.
        """
        stat = file.stat()
        entry = {"file": file.name, "size": stat.st_size, "time": stat.st_mtime, "source": str(source.absolute())}
        with self._lock:
            self._made[_key(file.name)] = entry
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            # one write to its end: processes at the same time do not mix their lines
            handle = os.open(self._folder / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line.encode("utf-8", "surrogatepass"))
            finally:
                os.close(handle)


class Outputs:
    """The files of one batch in a person's folder."""

    def __init__(self, folder: Path, sources: Sequence[Path], *, overwrite: bool = False) -> None:
        """Nothing is written yet.

        Args:
            folder: Where the cutouts go.
            sources: The pictures, none of which is ever overwritten.
            overwrite: Replace files that were not made here.
        """
        self._manifest = Manifest(folder)
        self._sources = sources
        self._overwrite = overwrite

    def check(self, index: int, files: Iterable[Path]) -> None:
        """Whether the cutouts of a picture may be written to these files.

        Raises:
            ImageError: One is a picture of this batch, or a file that was not made from this picture here.
        """
        source = self._sources[index]
        for file in files:
            if any(_same(file, other) for other in self._sources):
                raise ImageError(
                    Message(
                        "{name}: its cutout would overwrite the picture {file}. Choose another folder with -o.",
                        name=source.name, file=file.name,
                    )
                )  # fmt: skip
            made_of = self._manifest.source(file)
            if os.path.lexists(file) and not self._overwrite and made_of != str(source.absolute()):
                reason = (
                    Message("was made from {other}", other=made_of)
                    if made_of is not None
                    else Message("was not made here from this picture, or was changed since")
                )
                raise ImageError(
                    Message(
                        "{name} was skipped: {file} exists and {reason}. Choose another folder with -o, or replace "
                        "it with "
                        "--overwrite.",
                        name=source.name, file=file.name, reason=reason,
                    )
                )  # fmt: skip

    def wrote(self, index: int, file: Path) -> None:
        """Note what was written.

        Raises:
            OSError: The manifest cannot be written.
        """
        self._manifest.add(file, self._sources[index])


def _same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:  # one is not there: on another file system it might be, by another spelling
        return _key(file.name) == _key(other.name) and file.parent.absolute() == other.parent.absolute()
