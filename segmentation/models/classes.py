"""Names of a semantic network's classes, as its repository declares them, as names for settings and files."""

import re
import unicodedata
from collections.abc import Mapping

from segmentation.models.spec import BACKGROUND
from segmentation.settings import EACH_OR_ALL

_BACKGROUNDS = (BACKGROUND, "bg", "unlabeled", "unlabelled", "unknown", "none", "void", "ignore", "nothing", "no-label")
_LONGEST = 60  # characters, which leaves room for a number within an `Identifier`


def class_names(id2label: Mapping[str, str] | Mapping[int, str]) -> dict[int, str]:
    """Number of each class -> its name in lower case, from the `id2label` of a repository's `config.json`.

    Accents and case are dropped, and whatever is no letter, digit, dot or underscore becomes a hyphen. Of several
    synonyms ("door;double door", "screen, crt screen") the first counts. Names that are equal after that are numbered
    ("wall", "wall-2"), and so are "each" and "all", which mean something in settings. A name without any Latin letter
    or digit becomes "class-7".

    The class that stands for everything else is called "background": the one of that name, or else the first called
    "unlabeled", "none", "void" and so on, whatever its number. The others of these names are left out. There may be
    none: ADE20K begins with "wall".

    Args:
        id2label: Number -> name; in JSON the numbers are strings.

    Returns:
        In the order of the numbers. Empty if there are no names: none at all, or only the one or two that transformers
        writes for networks without classes ("LABEL_0", "LABEL_1").

    Raises:
        ValueError: A key is not a whole number from 0 up, or a name is not a text.
    """
    named = {_number(key): _identifier(name, _number(key)) for key, name in id2label.items()}
    if len(named) <= 2 and all(re.fullmatch(r"label[_-]\d+", name) for name in named.values()):
        return {}
    unnamed = [number for number in sorted(named) if named[number] in _BACKGROUNDS]
    rest = next((number for number in unnamed if named[number] == BACKGROUND), next(iter(unnamed), None))
    taken = {BACKGROUND, *EACH_OR_ALL}
    names: dict[int, str] = {}
    for number in sorted(named):
        if number in unnamed:
            if number == rest:
                names[number] = BACKGROUND
            continue
        name, count = named[number], 1
        while name in taken:
            count += 1
            name = f"{named[number]}-{count}"
        taken.add(name)
        names[number] = name
    return names


def _number(key: str | int) -> int:
    if isinstance(key, bool) or not re.fullmatch(r"[0-9]{1,6}", str(key)):
        raise ValueError(f"{key!r:.40} is not the number of a class")
    return int(key)


def _identifier(name: object, number: int) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{name!r:.40} is not the name of a class")
    first = next((part for part in re.split(r"[;,]", name) if part.strip()), "")
    plain = unicodedata.normalize("NFKD", first).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")
    return words[:_LONGEST].rstrip("-._") or f"class-{number}"
