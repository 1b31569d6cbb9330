"""Which output of a graph may be the mask, and how it may be read."""

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, OutputFacts, Proposal
from segmentation.models.spec import OutputSpec
from segmentation.proof.alternatives import Option, doubt_of

_SMALLEST = 8  # pixels a side; a smaller output is not a mask
_OTHER_PLANE = 0.4  # weight of the other one of two planes
_OTHER_OUTPUT = 0.25  # weight of the first of the other outputs; each further one weighs half of that
_OTHER_READING = 0.3


def outputs(proposal: Proposal, facts: GraphFacts) -> list[Option]:
    """Which output is the mask, and how it is read; named in all of them."""
    own = _output(proposal.contract.output, facts)
    spec = proposal.contract.output.model_copy(update={"name": own.name})
    if spec.kind == "labels":
        return [Option(1.0, output=spec)]
    options = [Option(1.0, output=spec), *_readings(proposal, spec, own)]
    if doubt := doubt_of(proposal, "output.index"):
        others = [other for other in facts.outputs if other != own and _is_a_mask(other)]
        for place, other in enumerate(others):
            reading = spec if other.activation == own.activation else _usual_reading(other)
            found = reading.model_copy(update={"name": other.name, "index": facts.outputs.index(other)})
            name = Message("output {output}", output=other.name)
            options.append(Option(_OTHER_OUTPUT * doubt * 0.5**place, name, output=found))
    return options


def companion_of(spec: OutputSpec, facts: GraphFacts) -> str:
    """Name of another output that should show the same mask; "" if there is none."""
    own = _output(spec, facts)
    return next(
        (
            other.name
            for other in facts.outputs
            if other != own and _is_a_mask(own) and _is_a_mask(other) and other.activation == own.activation
        ),
        "",
    )


def _readings(proposal: Proposal, spec: OutputSpec, own: OutputFacts) -> list[Option]:
    options: list[Option] = []
    if _planes(own) == 2 and (doubt := doubt_of(proposal, "output.channel")):
        swapped = spec.model_copy(update={"channel": 1 - min(spec.channel, 1)})
        options.append(Option(_OTHER_PLANE * doubt, Message("the other plane"), output=swapped))
    if spec.activation == "softmax":
        return options
    if not (doubt := doubt_of(proposal, "output.activation", "output.normalise")):
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
            options.append(Option(_OTHER_READING * doubt, name, output=reading))
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
