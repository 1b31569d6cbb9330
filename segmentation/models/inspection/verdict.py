"""A proposal in plain words: what the network looks like, what will be done, and what is unsure."""

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, Proposal
from segmentation.models.inspection.families import FAMILIES
from segmentation.models.spec import InputSpec, OutputSpec

_MOST_NAMES = 8
_TITLES = {family.name: family.title for family in FAMILIES}


def verdict(facts: GraphFacts, proposal: Proposal) -> tuple[Message, ...]:
    """Sentences for people: looks like, input, colours, output; then each doubt."""
    if proposal.problem:
        return (as_message(proposal.problem),)
    return (looks_like(facts, proposal), *steps(facts, proposal), *map(as_message, proposal.doubts))


def steps(facts: GraphFacts, proposal: Proposal) -> tuple[Message, ...]:
    """What will be done with a picture: its size, its colours, and the output; nothing if there is a problem."""
    if proposal.problem:
        return ()
    contract = proposal.contract
    return _size(contract.input), _colours(contract.input), _output(facts, contract.output)


def as_message(text: str) -> Message:
    """A sentence as a message, which it may be already."""
    return text if isinstance(text, Message) else Message(text)


def looks_like(facts: GraphFacts, proposal: Proposal) -> Message:
    """What the network looks like."""
    large = facts.parameters >= 50_000
    count = f"{facts.parameters / 1e6:.1f}" if large else f"{facts.parameters}"
    parameters = (
        Message("{millions} million parameters", millions=count)
        if large
        else Message("{count} parameters", count=count)
    )
    if proposal.family:
        return Message("It looks like {family}, with {parameters}.",
                       family=_TITLES[proposal.family], parameters=parameters)  # fmt: skip
    return Message("It looks like a segmentation model, with {parameters}.", parameters=parameters)


def _size(spec: InputSpec) -> Message:
    size = spec.size
    if spec.resize == "fit_short":
        return Message("The picture's shorter side becomes {edge} pixels, in steps of {multiple}.",
                       edge=size, multiple=spec.multiple_of)  # fmt: skip
    if spec.resize == "fit_long":
        return Message("The picture's longer side becomes {edge} pixels, in steps of {multiple}.",
                       edge=size, multiple=spec.multiple_of)  # fmt: skip
    height, width = size if isinstance(size, tuple) else (size, size)
    if spec.resize == "stretch":
        return Message("The picture is stretched to {height} x {width} pixels.", height=height, width=width)
    return Message("The picture is fitted into {height} x {width} pixels, the rest is padded.",
                   height=height, width=width)  # fmt: skip


def _colours(spec: InputSpec) -> Message:
    mean, std = ", ".join(f"{level:g}" for level in spec.mean), ", ".join(f"{level:g}" for level in spec.std)
    order = Message("red, green, blue") if spec.channels == "RGB" else Message("blue, green, red")
    plain = not any(spec.mean) and set(spec.std) == {1.0}
    if spec.scale == "image_max":
        return Message("Colours ({order}) are divided by the picture's maximum and normalised with mean {mean} and "
                       "standard deviation {std}.", order=order, mean=mean, std=std)  # fmt: skip
    if plain and spec.scale == 1:
        return Message("Colours ({order}) go in as they are, 0 to 255.", order=order)
    if plain:
        return Message("Colours ({order}) are scaled to 0..{white:g}.", order=order, white=255 / spec.scale)
    return Message("Colours ({order}) are divided by {scale:g} and normalised with mean {mean} and standard deviation "
                   "{std}.", order=order, scale=spec.scale, mean=mean, std=std)  # fmt: skip


def _output(facts: GraphFacts, spec: OutputSpec) -> Message:
    name = spec.name or facts.outputs[spec.index].name
    if spec.kind == "labels":
        names = list(spec.classes.values())
        more = ", ..." if len(names) > _MOST_NAMES else ""
        return Message("Its output {name} tells {count} classes apart: {classes}.",
                       name=name, count=len(names), classes=", ".join(names[:_MOST_NAMES]) + more)  # fmt: skip
    if spec.activation == "softmax":
        return Message("Plane {channel} of its output {name} is the subject, after a softmax.",
                       channel=spec.channel + 1, name=name)  # fmt: skip
    if spec.activation == "sigmoid":
        return Message("Its output {name} becomes a mask by a sigmoid.", name=name)
    if spec.normalise == "minmax":
        return Message("Its output {name} is the mask, stretched to 0..1.", name=name)
    return Message("Its output {name} is the mask.", name=name)
