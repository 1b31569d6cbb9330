"""Where cutouts are written: names that depend only on the picture, and no user's file overwritten."""

import hashlib
import os
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol, Self

from segmentation.elsewhere import address_of, identity
from segmentation.errors import ImageError
from segmentation.manifest import Done, Made, Manifest, file_key
from segmentation.messages import Message

Namer = Callable[[int, str], str]
"""A picture's index and a class ("" if there is only one) -> path of the cutout below its folder."""


def tree_names(
    places: Sequence[PurePath], names: Sequence[str], ending: str, numbered: bool = False, *, flat: bool = False
) -> Namer:
    """As `cutout_names`, in the folders that the pictures lie in.

    Args:
        places: The pictures' folders, relative.
        names: The pictures' names.
        ending: The extension of the files.
        numbered: As in `cutout_names`.
        flat: Write all into one folder; pictures with the same name are then named after their folders too.
    """
    if flat:
        spelled = Counter(file_key(name) for name in names)
        names = [
            "-".join([*place.parts, name]) if spelled[file_key(name)] > 1 else name
            for place, name in zip(places, names, strict=True)
        ]
        return cutout_names(names, ending, numbered)
    groups: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        groups.setdefault(file_key(str(place)), []).append(index)
    named: dict[int, tuple[Namer, int]] = {}
    for group in groups.values():
        namer = cutout_names([names[index] for index in group], ending, numbered)
        named |= {index: (namer, number) for number, index in enumerate(group)}

    def name(index: int, label: str) -> str:
        namer, number = named[index]
        return str(places[index] / namer(number, label))

    return name


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
        spelled.setdefault(file_key(short), set()).add(file_key(long))
    taken: set[str] = set()
    last: Counter[str] = Counter()  # so that a million pictures of one name take no time
    stems = []
    for short, long in pairs:
        wanted = long if len(spelled[file_key(short)]) > 1 else short
        stem, number = wanted, last[wanted] or 1
        while file_key(stem) in taken:
            number += 1
            stem = f"{wanted}-{number}"
        last[wanted] = number
        taken.add(file_key(stem))
        stems.append(stem)
    return stems


def _safe(name: str) -> str:
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", unicodedata.normalize("NFC", name))
    # file systems allow 255 bytes for the whole name
    return plain.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .") or "picture"


_SECOND = 10**9  # nanoseconds: stores give the time of a file in a list more precisely than when asked for it alone


class InTheWayError(ImageError):
    """A file that must not be overwritten lies where a cutout belongs."""


@dataclass(frozen=True, slots=True)
class Input:
    """A picture's file as it was before the work."""

    size: int
    time: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> Self | None:
        """A file as it is now; None if it cannot be read, which whoever decodes it says."""
        try:
            stat = file.stat()
            return cls(stat.st_size, stat.st_mtime_ns, _sha256(file))
        except OSError:
            return None


class Destination(Protocol):
    """Where the cutouts of a batch are written; pictures are given by their index."""

    def check(self, index: int, files: Iterable[Path], /) -> None:
        """Check that the cutouts of a picture may be written to these files."""

    def begin(self, index: int, /) -> None:
        """Remember what a picture is before it is read."""

    def writing(self, index: int, file: Path, /) -> AbstractContextManager[Path]:
        """Where to write a cutout."""

    def finish(self, index: int, files: Iterable[Path], error: str | None, /) -> tuple[str, ...]:
        """Record that a picture is done, or failed for a reason that lies in itself.

        Returns:
            Sentences about what went wrong.
        """


class Outputs:
    """The files of one batch in a user's folder, and those below it."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[Path],
        *,
        overwrite: bool = False,
        key: Callable[[int], str] | None = None,
        manifests: dict[Path, Manifest] | None = None,
        elsewhere: Mapping[Path, tuple[int, int]] | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            folder: Where the cutouts go.
            sources: The pictures, none of which is ever overwritten.
            overwrite: Replace files that were not made here.
            key: What stands for settings and model, by index of the picture; without it, no picture is recorded as
                done.
            manifests: What is known of folders already; those of this batch are added.
            elsewhere: Bytes and modification in nanoseconds since 1970 of pictures with addresses, as far as known;
                others are taken for what they were.
        """
        self._folder, self._sources, self._overwrite, self._key = folder, sources, overwrite, key
        self._elsewhere = elsewhere or {}
        self._manifests: dict[Path, Manifest] = {} if manifests is None else manifests
        self._lock = threading.Lock()
        self._inputs: dict[int, Input | None] = {}
        self._spelled = {_spelled(source) for source in sources}
        self._inodes = {inode for source in sources if (inode := _inode(source))}

    def _manifest(self, folder: Path) -> Manifest:
        with self._lock:
            if folder not in self._manifests:
                self._manifests[folder] = Manifest(folder)
            return self._manifests[folder]

    def earlier(self, index: int) -> Done | None:
        """How a picture ended before; None if it, its settings or its model are others, or its cutouts are gone."""
        done = self._manifest(self._folder).done(self._sources[index])
        if done is None or self._key is None or done.key != self._key(index):
            return None
        if not self._is_same(self._sources[index], done):
            return None
        return done if done.has_its_files(self._folder) else None

    def _is_same(self, source: Path, done: Done) -> bool:
        """Whether a picture is what it was."""
        if address_of(source):
            size, time = self._elsewhere.get(source, (done.size, done.time))
            return size == done.size and abs(time - done.time) < _SECOND
        try:
            stat = source.stat()
            return stat.st_size == done.size and (stat.st_mtime_ns == done.time or _sha256(source) == done.sha256)
        except OSError:
            return False

    def begin(self, index: int) -> None:
        """Remember what a picture is before it is read."""
        self.began(index, Input.of(self._sources[index]))

    def began(self, index: int, known: Input | None) -> None:
        """Remember what a picture was before it was read elsewhere."""
        self._inputs[index] = known

    def check(self, index: int, files: Iterable[Path]) -> None:
        """Check that the cutouts of a picture may be written to these files.

        Raises:
            InTheWayError: One is a picture of this batch, or a file that was not made here from this picture.
        """
        source = self._sources[index]
        for file in files:
            if _inode(file) in self._inodes or _spelled(file) in self._spelled:
                raise InTheWayError(
                    Message(
                        "{name}: its cutout would overwrite the picture {file}. Choose another folder with -o.",
                        name=source.name, file=file.name,
                    )
                )  # fmt: skip
            made_of = self._manifest(file.parent).source(file)
            if os.path.lexists(file) and not self._overwrite and made_of != identity(source):
                reason = (
                    Message("was made from {other}", other=made_of)
                    if made_of is not None
                    else Message("was not made here from this picture, or has been changed since")
                )
                raise InTheWayError(
                    Message(
                        "{name} was skipped: {file} exists and {reason}. Choose another folder with -o, or replace "
                        "it with "
                        "--overwrite.",
                        name=source.name, file=file.name, reason=reason,
                    )
                )  # fmt: skip

    @contextmanager
    def writing(self, index: int, file: Path) -> Iterator[Path]:
        """Where to write a cutout, which then appears under its name, whole and recorded.

        Raises:
            InTheWayError: See `check`.
            OSError: It cannot be written.
        """
        self.check(index, [file])  # again: another command may have written there in the meantime
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.part")
        try:
            yield partial
            with partial.open("rb+") as written:
                os.fsync(written.fileno())  # before it is recorded: power may fail
            self._manifest(file.parent).add(file, self._sources[index], partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    def finish(self, index: int, files: Iterable[Path], error: str | None) -> tuple[str, ...]:
        """Record that a picture is done, or failed for a reason that lies in itself and its settings.

        Returns:
            Sentences about what went wrong.
        """
        known = self._inputs.pop(index, None)
        if known is None or self._key is None:
            return ()
        picture, key = identity(self._sources[index]), self._key(index)
        try:
            made = tuple(Made.of(file, self._folder) for file in files)
            done = Done(picture, known.size, known.time, known.sha256, key, made, error)
            self._manifest(self._folder).finish(done)
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            return (Message("That it is done could not be recorded ({reason}).", reason=reason),)
        return ()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _inode(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _spelled(file: Path) -> tuple[str, str]:
    """A file that does not exist here yet: on another file system, another spelling might be the same file."""
    return str(file.parent.absolute()), file_key(file.name)
