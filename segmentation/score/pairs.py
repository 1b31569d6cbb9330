"""Pictures and their true mattes or masks among files: those whose names agree but for the ending."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segmentation.errors import ImageError
from segmentation.inputs import note
from segmentation.messages import Message
from segmentation.score.source import Source, listing, printable

_TRUTH = r"(alphas?|annotations?|ground[-_ ]?truths?|gts?|labels?|masks?|mattes?|truths?)"
_TRUTH_FOLDER = re.compile(rf"(.*[-_. ])?{_TRUTH}([-_. ].*)?", re.IGNORECASE)
_TRUTH_NAME = re.compile(rf"(.+)[-_. ]{_TRUTH}", re.IGNORECASE)
_PICTURE_FOLDER = re.compile(r"(.*[-_. ])?(images?|imgs?|im|inputs?|originals?|photos?|pictures?|rgb)([-_. ].*)?", re.I)
_LOSSY = (".avif", ".heic", ".heif", ".jpeg", ".jpg", ".webp")  # endings of photographs rather than of truths


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its truth."""

    picture: Source
    truth: Source

    @property
    def name(self) -> str:
        """The picture's file name, for people."""
        return printable(self.picture.place.name)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was found."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    """Sentences about files that were left out."""


def find_pairs(truth: Path, pictures: Path | None = None) -> Pairs:
    """The pictures that have a truth.

    Args:
        truth: A folder or ZIP that holds both, or only truths. Pictures and truths lie in two folders in it, whose
            names tell which is which (`images`, `masks`), or beside each other. Then the truth is lossless and its
            picture is not (`cat.png`, `cat.jpg`), or its name says what it is (`cat-mask.png`).
        pictures: A folder or ZIP of the pictures, if `truth` holds only truths.

    Raises:
        ImageError: A path does not exist, a ZIP is damaged or too large, or there are no pairs.
    """
    listings = [listing(path) for path in (truth, pictures) if path]
    if pictures:
        found = [_matched(listings[1].pictures, listings[0].pictures)]
    else:
        found = [_matched(*_split(group)) for group in _by_parent(listings[0].pictures).values()]
    pairs = [pair for part in found for pair in part.pairs]
    notes = [
        *note(
            [printable(name) for each in listings for name in each.others],
            "{count} files are not pictures, or cannot be read: {names}.",
            "1 file is not a picture, or cannot be read: {names}.",
        ),
        *note(
            [n for part in found for n in part.without_truth],
            "{count} pictures have no truth: {names}.",
            "1 picture has no truth: {names}.",
        ),
        *note(
            [n for part in found for n in part.without_picture],
            "{count} truths have no picture: {names}.",
            "1 truth has no picture: {names}.",
        ),
        *note(
            [n for part in found for n in part.ambiguous],
            "{count} names stand for several files and were left out: {names}.",
            "1 name stands for several files and was left out: {names}.",
        ),
    ]
    if not pairs:
        raise ImageError(
            Message("There is no picture with a truth in {path}. {notes}", path=truth, notes=" ".join(notes)).strip()
        )
    return Pairs(tuple(pairs), tuple(notes))


def _by_parent(sources: Iterable[Source]) -> dict[PurePosixPath, list[Source]]:
    """Groups that belong together: a folder of truths and the folders beside it, or one folder that has both."""
    folders: dict[PurePosixPath, list[Source]] = {}
    for source in sources:
        folders.setdefault(source.place.parent, []).append(source)
    with_truths = {folder.parent for folder in folders if folder.name and _TRUTH_FOLDER.fullmatch(folder.name)}
    groups: dict[PurePosixPath, list[Source]] = {}
    for folder, members in folders.items():
        beside = folder.name and folder.parent in with_truths
        groups.setdefault(folder.parent if beside else folder, []).extend(members)
    return groups


def _split(group: list[Source]) -> tuple[list[Source], list[Source]]:
    """The pictures and the truths of a group."""
    folders = {source.place.parent for source in group}
    truths = {folder for folder in folders if _TRUTH_FOLDER.fullmatch(folder.name)}
    if truths and folders != truths:
        pictures = folders - truths
        named = {folder for folder in pictures if _PICTURE_FOLDER.fullmatch(folder.name)}
        return (
            [source for source in group if source.place.parent in (named or pictures)],
            [source for source in group if source.place.parent in truths],
        )
    stems = {_key(source.place.stem) for source in group}
    lossy = {_key(source.place.stem) for source in group if source.place.suffix.lower() in _LOSSY}

    def is_truth(source: Source) -> bool:
        if (named := _TRUTH_NAME.fullmatch(source.place.stem)) and _key(named[1]) in stems:
            return True
        return _key(source.place.stem) in lossy and source.place.suffix.lower() not in _LOSSY

    return [source for source in group if not is_truth(source)], [source for source in group if is_truth(source)]


@dataclass(frozen=True, slots=True)
class _Match:
    pairs: list[Pair]
    without_truth: list[str]
    without_picture: list[str]
    ambiguous: list[str]


def _matched(pictures: list[Source], truths: list[Source]) -> _Match:
    by_key: dict[str, list[Source]] = {}
    for source in pictures:
        by_key.setdefault(_key(source.place.stem), []).append(source)
    true: dict[str, list[Source]] = {}
    for source in truths:
        key, named = _key(source.place.stem), _TRUTH_NAME.fullmatch(source.place.stem)
        true.setdefault(_key(named[1]) if named and key not in by_key else key, []).append(source)
    several = sorted(key for key in by_key.keys() & true.keys() if len(by_key[key]) > 1 or len(true[key]) > 1)
    return _Match(
        [Pair(one[0], true[key][0]) for key, one in by_key.items() if key in true and key not in several],
        [printable(source.place.name) for key, one in by_key.items() if key not in true for source in one],
        [printable(source.place.name) for key, one in true.items() if key not in by_key for source in one],
        [printable(key) for key in several],
    )


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
