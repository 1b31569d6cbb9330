"""Contract proposed for a graph -> the contracts that are plausible beside it, with how plausible each is beforehand.

Only what is uncertain is varied. The weights are rough on purpose: ImageNet's colours are the most frequent on the Hub,
but the others are common enough that the picture, which often only leans one way, must be able to decide between them.
A declared value is doubted as often as one turned out to be wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, OutputFacts, Proposal, Source
from segmentation.models.inspection.families import FAMILIES
from segmentation.models.spec import Contract, InputSpec, OutputSpec

MOST = 6  # runs of a proof, and masks that it shows

_DOUBT: Mapping[Source, float] = {
    "given": 0.0, "registry": 0.0, "graph": 0.0, "declared": 0.08, "family": 0.15, "guess": 1.0,
}  # fmt: skip
"""How much of its weight an alternative keeps against a value from this source. RMBG-2.0's first revision declared a
wrong mean and std, one in about a dozen that were compared with their authors' code."""

_SMALLEST = 8  # pixels a side; a smaller output is not a mask
_LEAST = 0.004  # weight below which an alternative is not worth a run


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

_FAMILY = 1.0  # weight of the normalisation of the recognised family, where something else is proposed
_SWAPPED = 0.2  # weight of the other order of the channels: few networks are trained on BGR
_OTHER_PLANE = 0.4  # of two planes
_OTHER_OUTPUT = 0.25  # the first of the others; each further one weighs half of that
_OTHER_READING = 0.3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plausible contract."""

    contract: Contract
    name: str
    """For people: the normalisation, and in what else it differs from the proposal."""
    sources: Mapping[str, Source]
    """What each value rests on, as in `Proposal`; "guess" for those that differ from it."""
    prior: float = 1.0
    """How plausible it is before the picture was seen; 1 for the proposal."""
    companion: str = ""
    """Name of another output that should show the same mask, as of networks supervised at several depths; or ""."""


class _Option(NamedTuple):
    """One alternative for one uncertain part of a contract; the first of each part is the proposal's own."""

    prior: float
    name: str = ""
    input: Mapping[str, Any] = {}
    output: OutputSpec | None = None


def candidates(proposal: Proposal, facts: GraphFacts) -> tuple[Candidate, ...]:
    """The plausible contracts, the proposed one first, then by plausibility.

    They need at most `MOST` runs of the network; several may read the same run's output differently.

    Args:
        proposal: The contract to vary.
        facts: What its graph tells.
    """
    parts = (_normalisations(proposal), _orders(proposal), _outputs(proposal, facts))
    found: list[Candidate] = []
    runs: list[tuple[InputSpec, str | None]] = []
    for options in sorted(product(*parts), key=lambda options: -_prior(options)):
        candidate = _candidate(proposal, options, facts)
        contract = candidate.contract
        run = contract.input, contract.output.name
        if candidate.prior < _LEAST or any(contract == other.contract for other in found):
            continue
        if run not in runs:
            if len(runs) == MOST:
                continue
            runs.append(run)
        found.append(candidate)
    return tuple(found)


def _prior(options: Iterable[_Option]) -> float:
    prior = 1.0
    for option in options:
        prior *= option.prior
    return prior


def _candidate(proposal: Proposal, options: tuple[_Option, ...], facts: GraphFacts) -> Candidate:
    contract, sources = proposal.contract, dict(proposal.sources)
    changes = {key: value for option in options for key, value in option.input.items()}
    output = next((option.output for option in options if option.output), contract.output)
    varied = Contract(input=contract.input.model_copy(update=changes), output=output)
    for section, keys in (("input", changes), ("output", OutputSpec.model_fields)):
        before, after = getattr(contract, section), getattr(varied, section)
        changed = [key for key in keys if getattr(before, key) != getattr(after, key)]
        sources |= {f"{section}.{key}": "guess" for key in changed if key != "name"}
    first, *rest = [option.name for option in options if option.name]
    name = first
    for other in rest:
        name = Message("{name}, {other}", name=name, other=other)
    return Candidate(varied, name, sources, _prior(options), _companion(output, facts))


def _companion(spec: OutputSpec, facts: GraphFacts) -> str:
    own = _output(spec, facts)
    return next(
        (
            other.name
            for other in facts.outputs
            if other != own and _is_a_mask(own) and _is_a_mask(other) and other.activation == own.activation
        ),
        "",
    )


def _doubt(proposal: Proposal, *keys: str) -> float:
    """How much an alternative to these values weighs, which stand or fall together."""
    return max(_DOUBT[proposal.sources.get(key, "guess")] for key in keys)


def _normalisations(proposal: Proposal) -> list[_Option]:
    spec = proposal.contract.input
    own = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    known = next((each for each in NORMALISATIONS if same_normalisation(each.values(), own)), None)
    options = [_Option(1.0, known.name if known else Message("colours as proposed"), own)]
    doubt = _doubt(proposal, "input.scale", "input.mean", "input.std")
    if spec.dtype != "uint8" and doubt:
        family = next((each.input for each in FAMILIES if each.name == proposal.family), {})
        for each in NORMALISATIONS:
            if each != known:
                usual = "mean" in family and same_normalisation(each.values(), family)
                weight = _FAMILY if usual else each.weight
                options.append(_Option(weight * doubt, each.name, each.values()))
    return options


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


def _orders(proposal: Proposal) -> list[_Option]:
    options = [_Option(1.0)]
    doubt = _doubt(proposal, "input.channels")
    if proposal.sources.get("input.mean") == "declared":  # red first is what the convention means by saying nothing
        doubt = min(doubt, _DOUBT["declared"])
    if doubt:
        swapped = "RGB" if proposal.contract.input.channels == "BGR" else "BGR"
        name = Message("blue first") if swapped == "BGR" else Message("red first")
        options.append(_Option(_SWAPPED * doubt, name, {"channels": swapped}))
    return options


def _outputs(proposal: Proposal, facts: GraphFacts) -> list[_Option]:
    """Which output is the mask, and how it is read; named in all of them."""
    own = _output(proposal.contract.output, facts)
    spec = proposal.contract.output.model_copy(update={"name": own.name})
    if spec.kind == "labels":
        return [_Option(1.0, output=spec)]
    options = [_Option(1.0, output=spec), *_readings(proposal, spec, own)]
    if doubt := _doubt(proposal, "output.index"):
        others = [other for other in facts.outputs if other != own and _is_a_mask(other)]
        for place, other in enumerate(others):
            reading = spec if other.activation == own.activation else _usual_reading(other)
            found = reading.model_copy(update={"name": other.name, "index": facts.outputs.index(other)})
            name = Message("output {output}", output=other.name)
            options.append(_Option(_OTHER_OUTPUT * doubt * 0.5**place, name, output=found))
    return options


def _readings(proposal: Proposal, spec: OutputSpec, own: OutputFacts) -> list[_Option]:
    options: list[_Option] = []
    if _planes(own) == 2 and (doubt := _doubt(proposal, "output.channel")):
        swapped = spec.model_copy(update={"channel": 1 - min(spec.channel, 1)})
        options.append(_Option(_OTHER_PLANE * doubt, Message("the other plane"), output=swapped))
    if spec.activation == "softmax":
        return options
    if not (doubt := _doubt(proposal, "output.activation", "output.normalise")):
        return options
    plain = OutputSpec(name=spec.name, index=spec.index, channel=spec.channel)
    bounded = own.activation in ("sigmoid", "clip", "softmax")
    for name, changes in (
        (Message("as it is"), {}),
        (Message("with a sigmoid"), {"kind": "logits", "activation": "sigmoid"}),
        (Message("stretched to black and white"), {"normalise": "minmax"}),
    ):
        reading = plain.model_copy(update=changes)
        if reading != spec and not (bounded and reading.activation == "sigmoid"):
            options.append(_Option(_OTHER_READING * doubt, name, output=reading))
    return options


def _output(spec: OutputSpec, facts: GraphFacts) -> OutputFacts:
    named = next((output for output in facts.outputs if output.name == spec.name), None)
    return named or facts.outputs[min(spec.index, len(facts.outputs) - 1)]


def _usual_reading(output: OutputFacts) -> OutputSpec:
    return OutputSpec(kind="logits", activation="sigmoid") if output.activation == "none" else OutputSpec()


def _is_a_mask(output: OutputFacts) -> bool:
    """Whether an output may be one plane of a picture's shape."""
    if output.shape is None or not output.dtype.startswith("float") or not 2 <= len(output.shape) <= 4:
        return False
    edges = [edge for edge in output.shape if not isinstance(edge, int) or edge >= _SMALLEST]
    return _planes(output) == 1 and len(edges) == 2 + (len(output.shape) == 4 and not isinstance(output.shape[0], int))


def _planes(output: OutputFacts) -> int:
    """The number of channels of an output, as far as that is a small one; else 1."""
    small = [edge for edge in output.shape or () if isinstance(edge, int) and 1 < edge < _SMALLEST]
    return small[0] if small else 1
