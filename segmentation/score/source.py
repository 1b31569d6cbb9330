"""Where a picture comes from: a file, or an entry of a ZIP, which is never written to disk."""

import contextlib
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.picture.file_kind import HEAD_BYTES, file_kind, kind_of
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture

MAX_ENTRIES, MAX_ENTRY_BYTES = 20_000, 256 << 20  # of a ZIP; each entry is read into memory on its own

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # an LZMA entry may demand gigabytes of memory


class Source(Protocol):
    """A picture that can be loaded, more than once."""

    @property
    def place(self) -> PurePosixPath:
        """Its name, with the folders that it lies in."""

    def load(self, limits: Limits) -> Picture:
        """Decode it.

        Raises:
            ImageError: It is not a picture, is damaged, too large, or cannot be read.
        """


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of a folder."""

    path: Path
    place: PurePosixPath

    def load(self, limits: Limits) -> Picture:
        """Decode it. Raises as `Source.load`."""
        return load_image(self.path, name=printable(self.path.name), **limits._asdict())


@dataclass(frozen=True, slots=True)
class EntrySource:
    """An entry of a ZIP."""

    archive: "ZipFile"
    info: zipfile.ZipInfo
    place: PurePosixPath

    def load(self, limits: Limits) -> Picture:
        """Decode it. Raises as `Source.load`."""
        name = printable(self.place.name)
        return load_image(self.archive.read(self.info, name), name=name, **limits._asdict())


class ZipFile:
    """A ZIP of pictures from anywhere. Nothing in it is written to disk, so its names lead nowhere. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Read its directory.

        Raises:
            ImageError: It is not a ZIP, is damaged, or has too many entries.
        """
        self._lock = threading.Lock()
        with _zip_errors(path.name):
            self._zip = zipfile.ZipFile(path)
        if len(self._zip.infolist()) > MAX_ENTRIES:
            raise ImageError(
                Message(
                    "{name} has {count} entries; the limit is {most}.",
                    name=path.name, count=len(self._zip.infolist()), most=MAX_ENTRIES,
                )
            )  # fmt: skip

    def listing(self) -> "Listing":
        """Its pictures, by content; hidden files are left out."""
        found: list[Source] = []
        others = []
        for info in self._zip.infolist():
            place = PurePosixPath(info.filename.replace("\\", "/"))
            if info.is_dir() or any(part.startswith((".", "__MACOSX")) for part in place.parts if part != ".."):
                continue
            try:
                is_picture = kind_of(self._head(info, HEAD_BYTES, place.name)).is_readable
            except ImageError:
                is_picture = False
            if is_picture:
                found.append(EntrySource(self, info, place))
            else:
                others.append(place.name)
        return Listing(found, others)

    def read(self, info: zipfile.ZipInfo, name: str) -> bytes:
        """The bytes of an entry.

        Raises:
            ImageError: It is too large, damaged, or encrypted.
        """
        data = self._head(info, MAX_ENTRY_BYTES + 1, name)  # what it declares as its size may be wrong
        if len(data) > MAX_ENTRY_BYTES:
            raise ImageError(
                Message("{name} is {size:.0f} MB, too large for one picture.", name=name, size=info.file_size / 1e6)
            )
        return data

    def _head(self, info: zipfile.ZipInfo, most: int, name: str) -> bytes:
        if info.compress_type not in _METHODS:
            raise ImageError(Message("{name} is compressed in a way that is not read here.", name=name))
        with self._lock, _zip_errors(name), self._zip.open(info) as entry:
            return entry.read(most)


@contextlib.contextmanager
def _zip_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        # RuntimeError: it is encrypted
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
        raise ImageError(
            Message("{name} cannot be read ({reason}).", name=printable(name), reason=printable(reason))
        ) from error


@dataclass(frozen=True, slots=True)
class Listing:
    """The pictures of a folder or ZIP."""

    pictures: list[Source]
    others: list[str]
    """Names of files that are no pictures, or cannot be read."""


def listing(path: Path) -> Listing:
    """The pictures in a ZIP, or directly in a folder and in the folders in it, by content; hidden ones are left out.

    Raises:
        ImageError: It does not exist, or is a file that is no ZIP, is damaged, or has too many entries.
    """
    if not path.exists():
        raise ImageError(Message("{path} does not exist.", path=path))
    if path.is_file():
        return ZipFile(path).listing()
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    below = [file for entry in entries if entry.is_dir() for file in sorted(entry.iterdir())]
    files = [file for file in (*entries, *below) if file.is_file() and not file.name.startswith(".")]
    found: list[Source] = [
        FileSource(file, PurePosixPath(file.relative_to(path).as_posix()))
        for file in files
        if file_kind(file).is_readable
    ]
    return Listing(found, [file.name for file in files if not file_kind(file).is_readable])


def printable(name: str) -> str:
    """A name from anywhere without characters that would act on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in name)
