"""The keys of a `preprocessor_config.json` -> values of `InputSpec`; nonsense becomes a doubt."""

import math
from typing import Any

from segmentation.messages import Message
from segmentation.settings import MAX_SIZE

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}  # Pillow's numbers
_MULTIPLES = ("ensure_multiple_of", "size_divisor", "size_divisibility")


class Preprocessor:
    """A preprocessor's values, with a doubt for each that makes no sense."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.doubts: list[str] = []

    def flag(self, key: str) -> bool | None:
        """True or false; None if it is not there."""
        value = self.values.get(key)
        if isinstance(value, bool):
            return value
        self.ignored(key)
        return None

    def ignored(self, key: str) -> None:
        """Doubt a value, if there is one."""
        value = self.values.get(key)
        if value is not None:
            self.doubts.append(
                Message("The declared {key} makes no sense ({value}), so it was ignored.", key=key, value=_short(value))
            )

    def size(self) -> dict[str, Any]:
        """size, resize, multiple_of and pad_value."""
        found: dict[str, Any] = {}
        for key in _MULTIPLES:
            multiple = _edge(self.values.get(key))
            if multiple and multiple > 1:
                found["multiple_of"] = multiple
            elif multiple is None:
                self.ignored(key)
        if self.flag("do_resize") is False:
            return found
        size, padded = self.values.get("size"), self.flag("do_pad") is True
        if isinstance(size, list) and len(size) == 2:
            size = {"height": size[0], "width": size[1]}
        if (edge := _edge(size)) is not None:
            return found | {"size": (edge, edge), "resize": "stretch"}
        if not isinstance(size, dict):
            self.ignored("size")
            return found
        height, width, short, long = (
            _edge(size.get(key)) for key in ("height", "width", "shortest_edge", "longest_edge")
        )
        if height and width:
            return found | {"size": (height, width), "resize": "stretch"}
        if short:
            return found | {"size": short, "resize": "fit_short"} | ({"max_size": long} if long else {})
        if long and padded:
            canvas = self.values.get("pad_size")
            pads = [_edge(canvas.get(key)) for key in ("height", "width")] if isinstance(canvas, dict) else [long, long]
            square = (pads[0] or long, pads[1] or long)
            # padding follows normalisation, and is 0 there
            return found | {"size": square, "resize": "letterbox_topleft", "pad_value": "mean"}
        if long:
            return found | {"size": long, "resize": "fit_long"}
        self.ignored("size")
        return found

    def interpolation(self) -> dict[str, Any]:
        """How to resize."""
        resample = self.values.get("resample")
        if isinstance(resample, int) and not isinstance(resample, bool) and resample in _RESAMPLE:
            return {"interpolation": _RESAMPLE[resample]}
        self.ignored("resample")
        return {}

    def normalisation(self) -> dict[str, Any]:
        """scale, mean and std."""
        if not self.values:
            return {}
        found: dict[str, Any] = {}
        rescale, normalise = self.flag("do_rescale"), self.flag("do_normalize")
        mean, std = self.levels("image_mean", "mean"), self.levels("image_std", "std")
        if rescale is False:
            found["scale"] = 1.0
        elif (factor := self.factor()) is not None:
            found["scale"] = 1 / factor
        elif rescale or mean or normalise is False:
            found["scale"] = 255.0
        if normalise is False:
            return found | {"mean": (0.0,) * 3, "std": (1.0,) * 3}
        if mean is None or std is None or 0.0 in std:
            if normalise:
                self.doubts.append(Message("Normalisation is declared, but not with which mean and std."))
            return found
        if normalise is None:
            self.doubts.append(
                Message("mean and std are declared, but not whether to normalise with them; they are used.")
            )
        return found | {"mean": mean, "std": std}

    def factor(self) -> float | None:
        """The declared factor; None if there is none."""
        value = self.values.get("rescale_factor")
        number = _number(value)
        if number is not None and 1e-6 < number <= 255:
            return 1 / 255 if abs(number * 255 - 1) < 1e-3 else number
        self.ignored("rescale_factor")
        return None

    def levels(self, *keys: str) -> tuple[float, float, float] | None:
        """The first of these keys as three numbers."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            parts = value if isinstance(value, list) else [value]
            numbers = [number for part in parts[:4] if (number := _number(part)) is not None and abs(number) <= 1000]
            if len(numbers) == len(parts) and len(parts) in (1, 3):
                red, green, blue = numbers if len(numbers) == 3 else numbers * 3
                return red, green, blue
            self.ignored(key)
        return None


def _edge(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 1 <= number <= MAX_SIZE else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def _short(value: Any) -> str:
    return repr(value)[:60]
