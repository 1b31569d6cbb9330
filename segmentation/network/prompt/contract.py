"""How a promptable network is asked: its registry entry, checked against its graphs and completed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.spec import ModelSpec, PromptSpec
from segmentation.network.contract import Node

DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}  # fmt: skip
CORNERS = 2  # points that a box takes where its corners are among the points


@dataclass(frozen=True, slots=True)
class Feed:
    """An input that is made from points, a box or the picture's size."""

    name: str
    shape: tuple[int | None, ...]
    """None where the graph leaves a dimension open."""
    dtype: str


@dataclass(frozen=True, slots=True)
class PromptContract:
    """What a promptable network takes and returns."""

    title: str
    spec: PromptSpec
    feeds: dict[str, Feed]
    """By name, of those inputs of `spec` that the graph has."""
    carried: tuple[str, ...]
    """Outputs of the encoder that the decoder takes; in one graph, its input for the picture."""
    logits: str
    """The output that becomes the mask."""

    @property
    def points(self) -> Feed:
        """The input for the points' coordinates, (1, n, 2) or (1, 1, n, 2)."""
        return self.feeds[self.spec.points]

    @property
    def fixed(self) -> int | None:
        """How many points it wants each time; None for any number."""
        return self.points.shape[-2]

    @property
    def most(self) -> int | None:
        """How many points, corners included, it takes; None for any number."""
        limits = [limit for limit in (self.spec.most, self.fixed) if limit is not None]
        return min(limits) if limits else None

    @property
    def takes_boxes(self) -> bool:
        """Whether it takes a box as such."""
        if self.spec.box is not None and self.spec.box in self.feeds:
            return True
        return self.spec.corners is not None and (self.most is None or self.most >= CORNERS)


def prompt_contract(
    spec: ModelSpec, embeddings: Sequence[str], inputs: Sequence[Node], outputs: Sequence[Node]
) -> PromptContract:
    """How to ask the graph that answers prompts.

    Args:
        spec: The model, whose entry has a section `prompt`.
        embeddings: Names of the encoder's outputs; of the picture's input if there is no encoder.
        inputs: The graph's inputs.
        outputs: The graph's outputs.

    Raises:
        SessionError: The graph contradicts the registry.
    """
    prompt, title = spec.prompt, spec.title
    assert prompt is not None, "it has one"
    assert spec.output.name is not None, "the registry checks it"
    given, returned = {node.name: node for node in inputs}, {node.name for node in outputs}
    for name in (prompt.points, prompt.labels):
        if name not in given:
            raise SessionError(
                Message("{title} has no input {name}; it has {names}.", title=title, name=name, names=", ".join(given))
            )
    for name in (spec.output.name, prompt.scores):
        if name not in returned:
            raise SessionError(
                Message(
                    "{title} has no output {name}; it has {names}.",
                    title=title, name=name, names=", ".join(sorted(returned)),
                )
            )  # fmt: skip
    carried = tuple(name for name in given if name in embeddings)
    unknown = [name for name in given if name not in (*carried, *prompt.known_inputs)]
    if unknown or not carried:
        raise SessionError(
            Message(
                "{title} needs {names} besides points and boxes, which nothing provides.",
                title=title, names=", ".join(unknown or embeddings),
            )
        )  # fmt: skip
    feeds = {name: _feed(title, given[name]) for name in prompt.known_inputs if name in given}
    coordinates = feeds[prompt.points]
    if len(coordinates.shape) not in (3, 4) or coordinates.shape[-1] not in (2, None):
        raise SessionError(
            Message("{title} does not take points: its input {name} is {shape}.",
                    title=title, name=coordinates.name, shape=list(coordinates.shape))
        )  # fmt: skip
    return PromptContract(title, prompt, feeds, carried, spec.output.name)


def _feed(title: str, node: Node) -> Feed:
    dtype = DTYPES.get(node.type)
    if dtype is None:
        raise SessionError(
            Message("{title}: the type of its input {name}, {type}, is not supported.",
                    title=title, name=node.name, type=node.type)
        )  # fmt: skip
    return Feed(node.name, tuple(edge if isinstance(edge, int) else None for edge in node.shape), dtype)
