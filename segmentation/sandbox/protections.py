"""What keeps a sandboxed process apart on this machine."""

import sys
from dataclasses import dataclass

from segmentation.sandbox.landlock import landlock_version
from segmentation.sandbox.seccomp import has_seccomp


@dataclass(frozen=True, slots=True)
class Protection:
    """One of the protections."""

    name: str
    available: bool
    prevents: str
    """What it prevents, as the end of "nothing prevents a model from ..."."""


def protections() -> tuple[Protection, ...]:
    """The protections, with whether this machine has them. A process of its own and a time limit it always has."""
    linux = sys.platform == "linux"
    return (
        Protection("memory limit", linux, "using all memory"),
        Protection("Landlock", landlock_version() > 0, "reading other files"),
        Protection("seccomp", has_seccomp(), "opening connections and starting programs"),
    )


def missing_protections() -> str:
    """A sentence on what is missing here; "" if nothing is."""
    missing = [protection for protection in protections() if not protection.available]
    if not missing:
        return ""
    names, harm = (", ".join(getattr(p, key) for p in missing) for key in ("name", "prevents"))
    return f"This system lacks {names}: nothing prevents a model that exploits ONNX Runtime from {harm}."
