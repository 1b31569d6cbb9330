"""Pictures that lie elsewhere, such as https://example.com/a.jpg or s3://bucket/a.jpg; a `Path` has one slash less."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import NamedTuple, TypeAlias

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s/]")
_SPELLED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/([^/].*)", re.DOTALL)


class Elsewhere(NamedTuple):
    """A picture behind an address."""

    address: str
    place: PurePath
    """Its folder, relative to what was named."""
    stat: tuple[int, int] | None
    """Bytes, and its modification in nanoseconds since 1970 (0 if unknown); None if nobody was asked."""


Listing: TypeAlias = Callable[[str], list[Elsewhere]]
"""An address -> the picture there, or all below it."""


def is_address(name: str) -> bool:
    """Whether a name is an address, and no file's."""
    return _ADDRESS.match(name) is not None


def address_of(source: Path) -> str | None:
    """The address that a path spells; None for a file of this machine."""
    found = _SPELLED.fullmatch(source.as_posix()) if os.name == "posix" else None
    return found and f"{found[1]}://{found[2]}"


def identity(source: Path) -> str:
    """What a picture is recorded as: its address, or its absolute path."""
    return address_of(source) or str(source.absolute())
