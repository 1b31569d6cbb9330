"""A model's input with the visitor's mean, std and size."""

from typing import Any

import numpy as np

from segmentation.arrays import Size
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.models.spec import InputSpec
from segmentation.settings import MIN_SIZE, Settings

_SQUASHED = 0.02  # share of the network's own input range below which it can hardly tell colours apart


def overridden(spec: InputSpec, settings: Settings) -> InputSpec:
    """The model's input contract with the visitor's mean, std and size in place of its own.

    Raises:
        SettingsError: The model does not support that size, or takes raw pixels.
    """
    changes: dict[str, Any] = {}
    for name in ("mean", "std"):
        value = getattr(settings, name)
        if value is not None:
            if spec.dtype == "uint8":
                raise SettingsError(Message("This model takes raw pixels: leave {setting} empty.", setting=name))
            changes[name] = value if isinstance(value, tuple) else (value,) * 3
    if settings.size is not None:
        _check_size(spec, settings.size)
        changes["size"] = settings.size
        if isinstance(settings.size, tuple) and spec.resize.startswith("fit"):
            changes["resize"] = "stretch"  # both edges are given, so there is nothing left to fit
    return spec.model_copy(update=changes)


def _check_size(spec: InputSpec, size: int | Size) -> None:
    edges = size if isinstance(size, tuple) else (size, size)
    if not spec.dynamic:
        own = spec.size if isinstance(spec.size, tuple) else (spec.size, spec.size)
        if edges != own:
            raise SettingsError(
                Message("size: this model works at {own} x {own_2} only; leave size empty.", own=own[0], own_2=own[1])
            )
        return
    for edge in edges:
        if not MIN_SIZE <= edge <= spec.max_size:
            raise SettingsError(
                Message(
                    "size must lie between {min_size} and {max_size} for this model, not {edge}.",
                    min_size=MIN_SIZE,
                    max_size=spec.max_size,
                    edge=edge,
                )
            )
        if edge % spec.multiple_of:
            below = edge - edge % spec.multiple_of
            near = [n for n in (below, below + spec.multiple_of) if n]
            raise SettingsError(
                Message(
                    "size must be a multiple of {multiple_of} for this model, not {edge}; nearest: {near}.",
                    multiple_of=spec.multiple_of,
                    edge=edge,
                    near=" or ".join(map(str, near)),
                )
            )


def squashed(spec: InputSpec, own: InputSpec) -> str:
    """A warning if mean and std leave the network almost no colour differences; else "".

    Args:
        spec: The input contract with the visitor's mean and std.
        own: The one with the model's.
    """
    if spec.dtype == "uint8":
        return ""
    black, white = (np.array([(level - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True)])
                    for level in (0.0, _white(spec)))  # fmt: skip
    usual = _white(own) / np.abs(own.std).max()
    reach = np.maximum(np.abs(black), np.abs(white)).max()
    if np.abs(white - black).max() < _SQUASHED * max(usual, float(reach)):
        return Message("This mean and std make all colours nearly the same to the network. Leave both empty.")
    return ""


def _white(spec: InputSpec) -> float:
    return 1.0 if spec.scale == "image_max" else 255.0 / spec.scale
