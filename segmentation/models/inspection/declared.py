"""A repository's `preprocessor_config.json` and `config.json` -> what they declare about input and classes.

The keys are those of transformers and transformers.js. The files come from strangers: any value may be nonsense.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segmentation.messages import Message
from segmentation.models.classes import class_names
from segmentation.models.inspection.preprocessor import Preprocessor
from segmentation.models.spec import BACKGROUND

_MOST_BYTES = 1 << 20
_MOST_CLASSES = 1000
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
    reader = Preprocessor(preprocessor)
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


def _problem(reader: Preprocessor, about: dict[str, Any], model_type: str) -> str:
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
    if all(isinstance(label, str) and re.fullmatch(r"LABEL_\d+", label) for label in labels.values()):
        return {}
    try:
        names = class_names(labels)
    except ValueError:
        return {}
    return {} if set(names.values()) == {BACKGROUND} else names


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    if data is None or len(data) > _MOST_BYTES:
        return None
    try:
        content = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _word(value: Any) -> str:
    return value[:80] if isinstance(value, str) else ""
