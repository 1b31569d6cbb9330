"""What a graph tells about itself, and the contract proposed for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from segmentation.models.spec import Contract

Source = Literal["given", "registry", "declared", "graph", "family", "guess"]
"""Where a value of a contract comes from: the caller, a registry entry of the same file, the repository's configuration
files, the graph, a family of models recognised by its structure, or nothing better than custom."""

Activation = Literal["none", "sigmoid", "softmax", "argmax", "clip"]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorFacts(_Facts):
    """An input or output of a graph."""

    name: str
    dtype: str
    """NumPy's name, such as "float16"; "string" or "other" for what is no number."""
    shape: tuple[int | str | None, ...] | None
    """Dimensions; a name or None for those left open. None if the graph does not say even how many there are."""


class OutputFacts(TensorFacts):
    """An output of a graph."""

    activation: Activation = "none"
    """The last operation that bounds its values, seen through reshaping and resizing."""
    operator: str = ""
    """The operation that computes its values, seen through the same; "" if it cannot be told."""
    planes: int | None = None
    """The channels of which an argmax chose one."""


class GraphFacts(_Facts):
    """What a graph tells without being run."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[OutputFacts, ...]
    opset: int
    producer: str = ""
    custom_domains: tuple[str, ...] = ()
    """Operator domains that ONNX Runtime does not bring along."""
    parameters: int = 0
    """Number of trained values."""
    operators: dict[str, int] = {}
    """How often each operator occurs."""
    data_files: tuple[str, ...] = ()
    """Names of external data files, as written in the graph."""
    multiple_of: int | None = None
    """What the sizes of an open input must be multiples of; None if that cannot be told."""
    scale: float | None = None
    """The divisor that the graph itself applies to its input first; None if it does not."""
    mean: tuple[float, float, float] | None = None
    """The mean, of values in 0..1, that the graph itself subtracts; None if it does not normalise."""
    std: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """The contract proposed for a graph, and what each value rests on."""

    contract: Contract
    sources: Mapping[str, Source]
    """By key, such as "input.mean" and "output.activation"."""
    family: str = ""
    """Name of the recognised family, or ""."""
    doubts: tuple[str, ...] = ()
    """Sentences about contradictions and guesses."""
    problem: str = ""
    """A sentence on why it cannot be used as a segmentation model at all; "" if it can."""
    contradictions: tuple[str, ...] = field(default=())
    """Those of the doubts that are about what the authors declare."""
