"""The planes of a semantic network -> a probability map for each class in the picture."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import ProbabilityMap, Size
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.spec import BACKGROUND, OutputSpec
from segmentation.picture.resize import resize

PRESENT = 0.1
"""A class is in the picture if somewhere it is at least this likely, relative to the likeliest class there."""

MOST_VALUES = 32 << 20  # of all maps together: 128 MB


def class_maps(planes: npt.NDArray[Any], spec: OutputSpec, size: Size) -> dict[str, ProbabilityMap]:
    """A map for each class that is in the picture; of a network with one class besides the background, always its map.

    The other classes are left out before the softmax, so the maps of all classes in the picture add up to 1 everywhere.
    Scores smaller than the network's input are enlarged before they are compared, as transformers does: enlarged
    afterwards, outlines would follow the small pixels.

    Args:
        planes: (classes, h, w) scores or probabilities, or (1, h, w) class numbers.
        spec: How to read them.
        size: Height and width of the picture in the network's input.

    Returns:
        By name, in the order of the registry; the name is "" if there is only one class besides the background.

    Raises:
        SessionError: There are fewer planes than classes.
    """
    if planes.shape[0] == 1:
        maps = _of_numbers(planes[0], spec)
    elif max(spec.classes) >= planes.shape[0]:
        raise SessionError(
            Message(
                "The network has {shape} classes; the registry names class {classes}.",
                shape=planes.shape[0],
                classes=max(spec.classes),
            )
        )
    else:
        maps = _of_scores(planes, spec, size)
    if spec.class_names:
        return {name: maps[name] for name in spec.class_names if name in maps}
    (only,) = (name for name in spec.classes.values() if name != BACKGROUND)
    return {"": maps[only] if only in maps else np.zeros(planes.shape[1:], np.float32)}


def _of_numbers(numbers: npt.NDArray[Any], spec: OutputSpec) -> dict[str, ProbabilityMap]:
    found = set(np.unique(numbers).tolist())
    return {name: (numbers == number).astype(np.float32) for number, name in spec.classes.items() if number in found}


def _of_scores(planes: npt.NDArray[Any], spec: OutputSpec, size: Size) -> dict[str, ProbabilityMap]:
    soft = spec.activation == "softmax"
    are_probabilities = soft and add_up_to_one(planes)
    present = _present(planes, are_probabilities, soft, always=() if spec.class_names else spec.classes)
    chosen = planes[present].astype(np.float32)
    if are_probabilities:  # their logarithms are logits
        half = planes.dtype == np.float16
        least = np.finfo(np.float16).smallest_subnormal if half else np.finfo(np.float32).tiny
        np.log(np.maximum(chosen, np.float32(least), out=chosen), out=chosen)
    if chosen[0].size < math.prod(size) <= MOST_VALUES // len(chosen):
        chosen = np.stack([resize(plane, size, "bilinear") for plane in chosen])
    if soft:
        chosen -= chosen.max(axis=0)
        np.exp(chosen, out=chosen)
        chosen /= chosen.sum(axis=0)
    else:
        chosen = _highest(chosen)
    places = {number: place for place, number in enumerate(present)}
    # copies, so that the planes of the other classes are not kept
    return {name: chosen[places[number]].copy() for number, name in spec.classes.items() if number in places}


def _present(planes: npt.NDArray[Any], are_probabilities: bool, soft: bool, always: Collection[int] = ()) -> list[int]:
    """Numbers of the classes in the picture. Plane by plane, as all of them may be 150 MB."""
    enough = planes.max(axis=0).astype(np.float32)
    if are_probabilities:
        enough *= PRESENT
    elif soft:
        enough += math.log(PRESENT)
    return [number for number, plane in enumerate(planes) if number in always or (plane >= enough).any()]


def _highest(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 where a plane is the highest, 0 elsewhere; of equal ones, the first."""
    best = planes.argmax(axis=0)
    return np.stack([(best == place).astype(np.float32) for place in range(len(planes))])


def add_up_to_one(planes: npt.NDArray[Any]) -> bool:
    """Whether they are probabilities already: the graph itself may end in a softmax."""
    return bool(planes.min() >= 0 and np.abs(planes.sum(axis=0, dtype=np.float32) - 1).max() < 1e-2)
