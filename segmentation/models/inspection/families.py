"""Families of networks recognised by their structure, as data: what each implies where nothing is declared.

The structures were read in the authors' code and, for U-2-Net and MODNet, in their files; ISNet's and BiRefNet's files
were not at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts

_HALF, _ONE, _NONE = (0.5,) * 3, (1.0,) * 3, (0.0,) * 3
IMAGENET = {"scale": 255.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF_UNIT = {"scale": 255.0, "mean": _HALF, "std": _ONE}
_HALF_HALF = {"scale": 255.0, "mean": _HALF, "std": _HALF}
_UNIT = {"scale": 255.0, "mean": _NONE, "std": _ONE}
_ANY = (0, 1 << 40)
_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv", "FusedConv")

Range = tuple[int, int]  # from and to, both included


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of one structure. All conditions must hold; those left at their defaults always do."""

    name: str
    title: str
    input: Mapping[str, Any]
    """Values of `InputSpec` that it implies."""
    output: Mapping[str, Any] = field(default_factory=dict)
    """Values of `OutputSpec` that it implies, for a mask of one plane unless it names classes."""
    varies: bool = False
    """Whether networks of this structure were trained with different normalisations."""
    operators: Mapping[str, Range] = field(default_factory=dict)
    convolutions: Range = _ANY
    parameters: Range = _ANY
    planes: Range | None = None
    """Channels of the first output."""
    multiple_of: int | None = None
    edge: int | None = None
    """Height and width that the graph is fixed to."""
    input_name: str = ""
    output_name: str = ""


# 33 poolings are the eleven U-blocks of both U-2-Net and ISNet; ISNet halves the picture once more, before them.
_U_BLOCKS = {"MaxPool": (33, 33)}

FAMILIES = (
    Family(
        "u2net-clothes", Message("U²-Net for clothes"), _HALF_HALF,
        {"classes": {0: "background", 1: "upper", 2: "lower", 3: "full"}},
        operators=_U_BLOCKS, multiple_of=32, planes=(4, 4),
    ),
    Family(
        "u2net", "U²-Net", {**IMAGENET, "scale": "image_max", "size": (320, 320), "interpolation": "lanczos"},
        {"normalise": "minmax"}, operators=_U_BLOCKS, multiple_of=32, planes=(1, 1),
    ),
    Family(
        "isnet-anime", Message("IS-Net for drawings"), {**_UNIT, "size": (1024, 1024), "resize": "letterbox_center"},
        operators=_U_BLOCKS, multiple_of=64, input_name="img", output_name="mask",
    ),
    Family(
        "isnet", "IS-Net", {**_HALF_UNIT, "size": (1024, 1024)}, {"normalise": "minmax"}, varies=True,
        operators=_U_BLOCKS, multiple_of=64, planes=(1, 1),
    ),
    Family(
        "modnet", "MODNet", {**_HALF_HALF, "size": 512, "resize": "fit_short", "multiple_of": 32},
        {"true_alpha": True},
        operators={"InstanceNormalization": (10, 40)}, parameters=(5_500_000, 7_500_000), planes=(1, 1),
    ),
    # The backbone runs twice, at full and half size: 48 attentions of Swin-L, 24 of Swin-T.
    Family(
        "birefnet", "BiRefNet", {**IMAGENET, "size": (1024, 1024)},
        operators={"Softmax": (48, 60)}, parameters=(180_000_000, 260_000_000), planes=(1, 1),
    ),
    Family(
        "birefnet-lite", "BiRefNet lite", {**IMAGENET, "size": (1024, 1024)},
        operators={"Softmax": (24, 30)}, parameters=(35_000_000, 60_000_000), planes=(1, 1),
    ),
    Family(
        "birefnet-deformable", "BiRefNet", {**IMAGENET, "size": (1024, 1024)},
        operators={"DeformConv": (1, 200), "Softmax": (10, 60)}, planes=(1, 1),
    ),
    Family(
        "mediapipe-selfie", "MediaPipe selfie segmentation", _UNIT, edge=256, parameters=(50_000, 300_000),
        planes=(1, 1), convolutions=(20, 120),
    ),
    Family(
        "pphumanseg", "PP-HumanSeg", _HALF_HALF, edge=192, planes=(2, 2), parameters=(1_000_000, 3_000_000),
    ),
    # Vision transformers start from weights pretrained on ImageNet, nearly all with its normalisation.
    Family("transformer", Message("a vision transformer"), IMAGENET, operators={"Softmax": (8, 4000)}, varies=True),
)  # fmt: skip
"""In order: the first that fits counts."""


def family_of(facts: GraphFacts, planes: int | None, edges: tuple[int, int] | None) -> Family | None:
    """The family that a graph belongs to.

    Args:
        facts: The graph.
        planes: Channels of the output that was taken for the mask; None if open.
        edges: Height and width of the input, if fixed.
    """
    return next((family for family in FAMILIES if _fits(family, facts, planes, edges)), None)


def _fits(family: Family, facts: GraphFacts, planes: int | None, edges: tuple[int, int] | None) -> bool:
    count = facts.operators.get
    return all((
        all(_within(count(name, 0), wanted) for name, wanted in family.operators.items()),
        _within(sum(count(name, 0) for name in _CONVOLUTIONS), family.convolutions),
        _within(facts.parameters, family.parameters),
        family.planes is None or _within(1 if planes is None else planes, family.planes),
        family.multiple_of in (None, facts.multiple_of),
        family.edge is None or edges == (family.edge, family.edge),
        family.input_name in ("", facts.inputs[0].name),
        family.output_name in ("", facts.outputs[0].name),
    ))  # fmt: skip


def _within(value: int, wanted: Range) -> bool:
    return wanted[0] <= value <= wanted[1]
