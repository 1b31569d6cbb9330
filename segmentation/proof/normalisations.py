"""The usual ways to turn 0..255 into the numbers that networks are trained on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from segmentation.messages import Message


class Normalisation(NamedTuple):
    """A usual way to turn 0..255 into the numbers that networks are trained on."""

    name: Message
    weight: float
    scale: Any
    mean: float | tuple[float, float, float]
    std: float | tuple[float, float, float]

    def values(self) -> dict[str, Any]:
        """As fields of an `InputSpec`."""
        mean, std = (value if isinstance(value, tuple) else (value,) * 3 for value in (self.mean, self.std))
        return {"scale": self.scale, "mean": mean, "std": std}


_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

NORMALISATIONS = (
    Normalisation(Message("ImageNet colours"), 1.0, 255.0, *_IMAGENET),
    Normalisation(Message("−1 to 1"), 0.8, 255.0, 0.5, 0.5),
    Normalisation(Message("0 to 1"), 0.7, 255.0, 0.0, 1.0),
    Normalisation(Message("−0.5 to 0.5"), 0.7, 255.0, 0.5, 1.0),
    Normalisation(Message("0 to 255"), 0.25, 1.0, 0.0, 1.0),
    # differs from the first only in pictures without white
    Normalisation(Message("ImageNet colours of the brightest"), 0.06, "image_max", *_IMAGENET),
)
"""Likeliest first. The ComfyUI node's (mean 0.485, std 1) is left out: its masks are those of −0.5 to 0.5."""


def same_normalisation(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two normalisations differ by less than half a level of a pixel."""
    if (one["scale"] == "image_max") != (other["scale"] == "image_max"):
        return False
    scales = [1.0 if each["scale"] == "image_max" else 255.0 / each["scale"] for each in (one, other)]
    return all(
        abs((level * scales[0] - mean) / std - (level * scales[1] - other_mean) / other_std) < 0.002 * scales[0] / std
        for level in (0.0, 1.0)
        for mean, std, other_mean, other_std in zip(one["mean"], one["std"], other["mean"], other["std"], strict=True)
    )
