"""The pictures among the files and folders a user names, and notes on what was left out."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from segmentation.elsewhere import Elsewhere, Listing, address_of, is_address
from segmentation.errors import ImageError
from segmentation.manifest import Manifest
from segmentation.messages import Message
from segmentation.picture.file_kind import file_kind

STDIN = "-"
_NAMED = 3  # files that a sentence names; it only counts the rest
_HERE = PurePath()


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures found, and notes on the rest."""

    pictures: list[Path]
    notes: tuple[str, ...]
    """One sentence for each kind of file that was left out."""
    places: list[PurePath]
    """The folder of each picture, relative to what was named."""
    elsewhere: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Bytes and modification in nanoseconds since 1970 of pictures with addresses, as far as known."""


def find_pictures(named: Iterable[str | Path], leave_out: Path | None = None, listing: Listing | None = None) -> Found:
    """The pictures of files, folders and all folders below them, patterns and lists; cutouts made here are left out.

    Args:
        named: Files and folders; patterns such as 'photos/**/*.jpg'; and `@list.txt` for a file with a path on each
            line (or a zero byte after each), `@-` for such a list on standard input. Files keep the folders that a
            pattern or list has for them.
        leave_out: A folder that is not searched if it lies below another.
        listing: Finds pictures behind addresses such as s3://bucket/photos; without it, there are none.

    Raises:
        SettingsError: An address cannot be listed.
        ImageError: A path does not exist, a list cannot be read, or there are no pictures.
    """
    search = _Search(leave_out.resolve() if leave_out else None)
    for name in named:
        for path, place in _expanded(name):
            if listing is not None and (address := address_of(path)) and not path.exists():
                search.add_all(listing(address))
            else:
                search.add(path, place)
    if not search.pictures:
        raise ImageError(Message("There are no pictures. {notes}", notes=" ".join(search.notes())).strip())
    return Found(search.pictures, tuple(search.notes()), search.places, search.elsewhere)


def walk(folder: Path, leave_out: Path | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder from this one downward with the names of its files and of its hidden entries, sorted.

    Links to folders are not followed, which may lead in circles.
    """
    for place, folders, files in os.walk(folder):
        here = Path(place)
        hidden = [name for name in (*folders, *files) if name.startswith(".")]
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and not (leave_out and (here / name).resolve() == leave_out)
        )  # fmt: skip
        yield here, sorted(name for name in files if not name.startswith(".")), sorted(hidden)


class _Search:
    def __init__(self, leave_out: Path | None) -> None:
        self.pictures: list[Path] = []
        self.places: list[PurePath] = []
        self.elsewhere: dict[Path, tuple[int, int]] = {}
        self._leave_out = leave_out
        self._seen: set[str] = set()
        self._others: list[str] = []
        self._made: list[str] = []
        self._links: list[str] = []
        self._hidden: list[str] = []
        self._manifests: dict[Path, Manifest] = {}

    def add(self, path: Path, place: PurePath) -> None:
        if path.is_dir():
            for folder, files, hidden in walk(path, self._leave_out):
                below = place / folder.relative_to(path)
                for name in files:
                    file = folder / name
                    if file_kind(file).is_readable:
                        self._keep(file, below)
                    else:
                        self._others.append(name)
                self._hidden += [name for name in hidden if _is_hidden_picture(folder / name)]
                self._links += [entry.name for entry in os.scandir(folder) if entry.is_symlink() and entry.is_dir()]
        elif path.is_file():
            self._keep(path, place)
        else:
            raise ImageError(Message("{path} does not exist.", path=address_of(path) or path))

    def add_all(self, found: Iterable[Elsewhere]) -> None:
        for address, place, stat in found:
            path = Path(address)
            if address not in self._seen:
                self._seen.add(address)
                self.pictures.append(path)
                self.places.append(place)
                if stat is not None:
                    self.elsewhere[path] = stat

    def _keep(self, file: Path, place: PurePath) -> None:
        known = os.path.abspath(file)  # noqa: PTH100  # a string, as there may be a million
        if known in self._seen:  # a folder, and a file in it
            return
        self._seen.add(known)
        if file.parent not in self._manifests:
            self._manifests[file.parent] = Manifest(file.parent)
        if self._manifests[file.parent].source(file) is not None:
            self._made.append(file.name)
            return
        self.pictures.append(file)
        self.places.append(place)

    def notes(self) -> list[str]:
        return [
            *note(self._others, "{count} files are not pictures: {names}.", "1 file is not a picture: {names}."),
            *note(
                self._made,
                "{count} files are cutouts made here and were left out: {names}.",
                "1 file is a cutout made here and was left out: {names}.",
            ),
            *note(
                self._hidden, "{count} hidden files were left out: {names}.", "1 hidden file was left out: {names}."
            ),
            *note(
                self._links,
                "{count} links to folders were not followed: {names}.",
                "1 link to a folder was not followed: {names}.",
            ),
        ]  # fmt: skip


def _is_hidden_picture(path: Path) -> bool:
    # what is being written, or was when a command was killed, is no picture of anybody's
    return path.is_file() and path.suffix != ".part" and file_kind(path).is_readable


def _expanded(name: str | Path) -> Iterator[tuple[Path, PurePath]]:
    """What a name stands for: paths, each with its folder in the output."""
    text, path = str(name), Path(name)
    if path.exists() or isinstance(name, Path) or is_address(text):
        yield path, _HERE
    elif text.startswith("@"):
        for line in _lines(text[1:]):
            entry = Path(line)
            keeps = entry.is_file() and not entry.is_absolute() and ".." not in entry.parts
            yield entry, PurePath(entry.parent) if keeps else _HERE
    elif glob.has_magic(text):
        fixed = Path()
        for part in path.parts:
            if glob.has_magic(part):
                break
            fixed /= part
        found = [Path(each) for each in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207  # also from the root
        if not found:
            raise ImageError(Message("Nothing matches {pattern}.", pattern=text))
        for each in found:
            if each.is_file():  # the folders' files match by themselves, or not
                yield each, PurePath(each.parent.relative_to(fixed))
            elif "**" not in path.parts:
                yield each, PurePath(each.relative_to(fixed))
    else:
        yield path, _HERE


def _lines(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageError(Message("The list {name} cannot be read ({reason}).", name=name, reason=reason)) from error
    text = os.fsdecode(data).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    return [line for line in (text.split("\0") if "\0" in text else text.splitlines()) if line]


def note(names: list[str], several: str, one: str) -> list[str]:
    """A sentence that counts files and names the first ones; none if there are none.

    Args:
        names: Their names.
        several: The template for several, with {count} and {names}.
        one: The template for one, with {names}.
    """
    if not names:
        return []
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return [Message(one if len(names) == 1 else several, count=len(names), names=shown)]
