"""The pictures among the files and folders a user names, and notes on what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.outputs import Manifest
from segmentation.picture.file_kind import file_kind

_NAMED = 3  # files that a sentence names; it only counts the rest


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures found, and notes on the rest."""

    pictures: list[Path]
    notes: tuple[str, ...]
    """One sentence for each kind of file that was left out."""


def find_pictures(paths: Iterable[Path]) -> Found:
    """Files as given, and the pictures directly in each folder, by content; cutouts made here are left out.

    Raises:
        ImageError: A path does not exist, or there are no pictures.
    """
    pictures: list[Path] = []
    others: list[str] = []
    made: list[str] = []
    folders: list[str] = []
    hidden: list[str] = []
    manifests: dict[Path, Manifest] = {}
    for path in paths:
        if path.is_dir():
            entries = sorted(path.iterdir())
            folders += [f"{path.name or path}/{entry.name}" for entry in entries if entry.is_dir()]
            files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
            hidden += [entry.name for entry in entries if entry.name.startswith(".") and file_kind(entry).is_readable]
            readable = [file for file in files if file_kind(file).is_readable]
            others += [file.name for file in files if file not in set(readable)]
        elif path.is_file():
            readable = [path]
        else:
            raise ImageError(Message("{path} does not exist.", path=path))
        for file in readable:
            manifest = manifests.setdefault(file.parent, Manifest(file.parent))
            (pictures if manifest.source(file) is None else made).append(file)  # type: ignore[arg-type]
    notes = [
        *note(others, "{count} files are not pictures: {names}.", "1 file is not a picture: {names}."),
        *note(
            [Path(file).name for file in made],
            "{count} files are cutouts made here and were left out: {names}.",
            "1 file is a cutout made here and was left out: {names}.",
        ),
        *note(hidden, "{count} hidden files were left out: {names}.", "1 hidden file was left out: {names}."),
        *note(folders, "{count} folders were not searched: {names}.", "1 folder was not searched: {names}."),
    ]
    if not pictures:
        raise ImageError(Message("There are no pictures. {notes}", notes=" ".join(notes)).strip())
    return Found(pictures, tuple(notes))


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
