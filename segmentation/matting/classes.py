"""Probability maps by class -> those to cut out: each, or several joined into one."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from segmentation.arrays import ProbabilityMap
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.settings import Classes

NOT_FOUND = "None of the chosen classes is in this picture: {classes}."
NO_CLASSES = Message("This model does not tell classes apart, so {setting} has no effect.", setting="classes")

_LISTED = 30  # names of classes in a sentence
_LONGEST = 60  # characters of a label, as it becomes part of a file's name


def check_classes(chosen: Classes, known: Sequence[str], title: str) -> None:
    """Check that a model has the chosen classes; one that does not tell classes apart takes any.

    Args:
        chosen: The setting.
        known: Names of the model's classes; empty if it has only one.
        title: The model's name, for the sentence.

    Raises:
        SettingsError: It lacks one. The sentence names it and what there is, similar names first.
    """
    unknown = [name for name in chosen if name not in known] if known and isinstance(chosen, tuple) else []
    if unknown:
        raise SettingsError(
            Message(
                "{title} has no class {label}; it has {maps}.",
                title=title, label=repr(unknown[0]), maps=listed(known, unknown[0]),
            )
        )  # fmt: skip


def listed(known: Sequence[str], similar_to: str = "") -> str:
    """Names of classes for a sentence, which is short even if there are 150."""
    close = get_close_matches(similar_to, known, 3)
    names = [*close, *(name for name in known if name not in close)]
    return ", ".join(names[:_LISTED]) + ", ..." * (len(names) > _LISTED)


def labels_of(chosen: Classes, known: Sequence[str]) -> list[str]:
    """Labels of the cutouts that a picture may have.

    Args:
        chosen: The setting, checked.
        known: As in `check_classes`.
    """
    if not known:
        return [""]
    return list(known) if chosen == "each" else [joined_label(chosen)]


def joined_label(chosen: Classes) -> str:
    """Label of the cutout of joined classes, such as "hair-hat"; shortened if there are many."""
    if isinstance(chosen, str):
        return chosen
    label, rest = chosen[0], list(chosen[1:])
    while rest and len(label) + len(rest[0]) < _LONGEST:
        label += f"-{rest.pop(0)}"
    return f"{label}-and-{len(rest)}-more" if rest else label


def chosen_maps(maps: Mapping[str, ProbabilityMap], chosen: Classes, known: Sequence[str]) -> dict[str, ProbabilityMap]:
    """The maps to cut out, by label.

    The probability that a pixel belongs to any of several classes is the sum of theirs, so no seam is left where they
    meet.

    Args:
        maps: By name, of the classes in the picture.
        chosen: The setting, checked.
        known: As in `check_classes`.

    Returns:
        Empty if none of the classes is in the picture.
    """
    if not known or chosen == "each":
        return dict(maps)
    planes = [maps[name] for name in (known if chosen == "all" else chosen) if name in maps]
    if not planes:
        return {}
    total = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return {joined_label(chosen): np.minimum(total, 1.0, out=total)}
