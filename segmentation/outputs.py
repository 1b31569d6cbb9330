"""Where cutouts are written: names that depend only on the picture, and no user's file overwritten."""

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
"""Lies beside the cutouts: which files were written, and from which picture. One line per file; the last one counts."""

Namer = Callable[[int, str], str]
"""A picture's index and a class ("" if there is only one) -> file name of the cutout."""

_SECONDS = 2.1  # the coarsest rounding of modification times by file systems, plus a little


def cutout_names(names: Sequence[str], ending: str, numbered: bool = False) -> Namer:
    """`<stem>-cutout` for each picture, or `<stem>-<class>-cutout` if the network has several classes.

    Args:
        names: The pictures' names.
        ending: The extension of the files.
        numbered: The labels end in the number of a subject, which then ends the name: `<stem>-cutout-2`. Elsewhere it
            could make it that of another picture.
    """
    stems = safe_stems(names)

    def name(index: int, label: str) -> str:
        if not numbered:
            return f"{stems[index]}{f'-{label}' if label else ''}-cutout{ending}"
        class_, _, number = label.rpartition("-")
        return f"{stems[index]}{f'-{class_}' if class_ else ''}-cutout{f'-{number}' if number else ''}{ending}"

    return name


def safe_stems(names: Sequence[str]) -> list[str]:
    """File names without their extensions, safe on every file system and distinct.

    Pictures that differ only in their extension keep it, so that no name depends on the order; only pictures with the
    very same name are numbered. Names are compared as file systems may do: in one Unicode form, ignoring case.
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
    # file systems allow 255 bytes for the whole name
    return plain.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .") or "picture"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Manifest:
    """Which files in a folder are cutouts made here, and from which picture. Safe for threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Read it; a folder without a manifest has no cutouts made here."""
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
            except (ValueError, TypeError, KeyError):  # a line truncated by a crash
                continue

    def source(self, file: Path) -> str | None:
        """The picture a file was made from; None if it was not made here, or was changed since."""
        entry = self._made.get(_key(file.name))
        try:
            stat = file.stat()
        except OSError:
            return None
        if entry is None or entry.get("size") != stat.st_size or abs(entry.get("time", 0) - stat.st_mtime) > _SECONDS:
            return None
        return str(entry.get("source"))

    def add(self, file: Path, source: Path) -> None:
        """Record that a file was made from a picture.

        Raises:
            OSError: The manifest cannot be written.
        """
        stat = file.stat()
        entry = {"file": file.name, "size": stat.st_size, "time": stat.st_mtime, "source": str(source.absolute())}
        with self._lock:
            self._made[_key(file.name)] = entry
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            # a single appending write: concurrent processes do not interleave their lines
            handle = os.open(self._folder / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line.encode("utf-8", "surrogatepass"))
            finally:
                os.close(handle)


class Outputs:
    """The files of one batch in a user's folder."""

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
        """Check that the cutouts of a picture may be written to these files.

        Raises:
            ImageError: One is a picture of this batch, or a file that was not made here from this picture.
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
                    else Message("was not made here from this picture, or has been changed since")
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
        """Record that a file was written.

        Raises:
            OSError: The manifest cannot be written.
        """
        self._manifest.add(file, self._sources[index])


def _same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:  # one does not exist; on another file system the other spelling might be the same file
        return _key(file.name) == _key(other.name) and file.parent.absolute() == other.parent.absolute()
