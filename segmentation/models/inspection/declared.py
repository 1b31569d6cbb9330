"""A repository's `preprocessor_config.json` and `config.json` -> what they declare about input and classes.

The keys are those of transformers and transformers.js. The files come from strangers: any value may be nonsense.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segmentation.messages import Message
from segmentation.settings import MAX_SIZE

_MOST_BYTES = 1 << 20
_MOST_CLASSES = 1000
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}  # Pillow's numbers
_MULTIPLES = ("ensure_multiple_of", "size_divisor", "size_divisibility")
_BACKGROUND = re.compile(r"_*(back[ -]?ground|bg|unlabell?ed|void|none)_*", re.IGNORECASE)
_INSTANCES = re.compile(r"detr|mask2?former|oneformer|yolo|mask.?rcnn|panoptic", re.IGNORECASE)
_PROMPTS = re.compile(r"^(sam|sam2|sam_hq|edgetam)(_|$|image|video|hiera|feature|model|processor)", re.IGNORECASE)
_SEGMENTS = re.compile(r"segmentation|matting", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the authors declare; nothing of it is checked against the graph."""

    input: Mapping[str, Any]
    """Values of `InputSpec`, as far as they are declared."""
    classes: Mapping[int, str]
    """Class number -> identifier; empty unless they have names."""
    model_type: str = ""
    doubts: tuple[str, ...] = ()
    """Sentences about what was ignored or read in one of several ways."""
    problem: str = ""
    """A sentence on why it is not a segmentation model for pictures alone; "" if nothing says so."""


NOTHING = Declared({}, {})


def parse_declared(preprocessor_config: bytes | None, config: bytes | None) -> Declared:
    """`read_declared` for the files' bytes; a file that is no sensible JSON is ignored with a doubt."""
    doubts: list[str] = []
    parsed = []
    for name, data in (("preprocessor_config.json", preprocessor_config), ("config.json", config)):
        parsed.append(_parsed(data))
        if data is not None and parsed[-1] is None:
            doubts.append(Message("{file} is not sensible JSON, so it was ignored.", file=name))
    declared = read_declared(*parsed)
    return Declared(
        declared.input, declared.classes, declared.model_type, (*doubts, *declared.doubts), declared.problem
    )


def read_declared(preprocessor_config: dict[str, Any] | None, config: dict[str, Any] | None) -> Declared:
    """What the two files of a repository declare.

    Args:
        preprocessor_config: Content of `preprocessor_config.json`; None if there is none.
        config: Content of `config.json`; None if there is none.
    """
    preprocessor, about = preprocessor_config or {}, config or {}
    if isinstance(nested := preprocessor.get("image_processor"), dict):  # processor_config.json has it one level down
        preprocessor = nested
    reader = _Reader(preprocessor)
    values = reader.size() | reader.interpolation() | reader.normalisation()
    if reader.flag("do_flip_channel_order"):
        values["channels"] = "BGR"
    model_type = _word(about.get("model_type"))
    problem = _problem(reader, about, model_type)
    return Declared(
        input=values,
        classes=_classes(about.get("id2label")),
        model_type=model_type,
        doubts=tuple(reader.doubts),
        problem=problem,
    )


class _Reader:
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


def _problem(reader: _Reader, about: dict[str, Any], model_type: str) -> str:
    architectures = about.get("architectures")
    named = [name for name in (architectures if isinstance(architectures, list) else []) if isinstance(name, str)][:4]
    processor = _word(reader.values.get("image_processor_type") or reader.values.get("feature_extractor_type"))
    kinds = [model_type, processor, *named]
    if any(_PROMPTS.search(kind) for kind in kinds):
        return Message("It is declared as a promptable model, which needs points or boxes besides the picture.")
    if any(_INSTANCES.search(kind) for kind in kinds):
        return Message("It is declared as a model that finds separate objects (instance or panoptic segmentation), "
                       "which is not supported.")  # fmt: skip
    crops = reader.flag("do_center_crop")
    if crops or (crops is None and reader.values.get("crop_size") is not None):
        if any(_SEGMENTS.search(name) for name in named):
            reader.doubts.append(Message("A crop to the picture's centre is declared; the whole picture is used."))
        else:
            return Message("It is declared as a classifier, which looks at the picture's centre only: it is not a "
                           "segmentation model.")  # fmt: skip
    return ""


def _classes(labels: Any) -> dict[int, str]:
    """Class number -> identifier; {} where the labels are placeholders or nonsense."""
    if not isinstance(labels, dict) or not 0 < len(labels) <= _MOST_CLASSES:
        return {}
    found: dict[int, str] = {}
    for number, label in labels.items():
        if not (isinstance(number, str) and re.fullmatch(r"\d{1,4}", number) and isinstance(label, str)):
            return {}
        found[int(number)] = label
    if all(re.fullmatch(r"LABEL_\d+", label) for label in found.values()):
        return {}
    taken: dict[int, str] = {}
    for number in sorted(found):
        name = identifier(found[number]) or f"class-{number}"
        while name in taken.values():
            name = f"{name[:58]}-{number}"
        taken[number] = name
    return {} if set(taken.values()) == {"background"} else taken


def identifier(label: str) -> str:
    """A label as the registry writes classes: "Upper-clothes" -> "upper-clothes"; "" if nothing is left of it."""
    if _BACKGROUND.fullmatch(label.strip()):
        return "background"
    return re.sub(r"[^a-z0-9._]+", "-", label.lower()).strip("-._")[:60]


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    if data is None or len(data) > _MOST_BYTES:
        return None
    try:
        content = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _edge(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 1 <= number <= MAX_SIZE else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def _word(value: Any) -> str:
    return value[:80] if isinstance(value, str) else ""


def _short(value: Any) -> str:
    return repr(value)[:60]
