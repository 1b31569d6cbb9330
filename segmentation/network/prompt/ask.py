"""A picture -> its embedding, and points or a box on it -> what was pointed at."""

from dataclasses import dataclass

from segmentation.arrays import RGB, ProbabilityMap
from segmentation.corrections import Prompt
from segmentation.models.spec import InputSpec
from segmentation.network.prompt.embedding import Embedding
from segmentation.network.prompt.encoding import asked
from segmentation.network.prompt.reading import candidates
from segmentation.network.session import Session
from segmentation.network.tensor import to_tensor
from segmentation.network.watchdog import Cancelled


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedding, and how it was computed."""

    embedding: Embedding
    provider: str
    provider_note: str
    memory: int


@dataclass(frozen=True, slots=True)
class Pointed:
    """What was pointed at."""

    map: ProbabilityMap
    """At the network's own resolution, 0..1."""
    prompt: Prompt
    model: str
    """Id of the network's model."""
    scores: tuple[float, ...]
    """How good the network expects each of its answers to be, in the order of their numbers."""
    provider: str
    """The execution provider that computed the answer."""
    provider_note: str
    warnings: tuple[str, ...] = ()


def embed(rgb: RGB, session: Session, spec: InputSpec, cancelled: Cancelled | None = None) -> Embedded:
    """Run the encoder of a promptable network.

    Args:
        rgb: The picture.
        session: The network.
        spec: Its input, with the visitor's mean, std and size.
        cancelled: Polled while the network runs; returns True to cancel.

    Raises:
        SessionError: The network cannot be run.
        RunCancelledError: The run was cancelled.
    """
    tensor, at = to_tensor(rgb, spec)
    answer = session.encode(tensor, cancelled)
    embedding = Embedding(answer.outputs, at, rgb.shape[:2], session.spec.id)
    return Embedded(embedding, answer.provider, answer.provider_note, answer.memory)


def ask(session: Session, embedding: Embedding, prompt: Prompt, cancelled: Cancelled | None = None) -> Pointed | None:
    """Ask a promptable network what was pointed at. Its encoder is not run again.

    Args:
        session: The network.
        embedding: The picture, as `embed` gives it.
        prompt: In pixels of the picture; the newest points last.
        cancelled: Polled while the network runs; returns True to cancel.

    Returns:
        None if the prompt does not say what is wanted.

    Raises:
        SessionError: The network cannot be run, or its output is invalid.
        RunCancelledError: The run was cancelled.
    """
    contract = session.prompt
    assert contract is not None, "it is promptable"
    question = asked(contract, prompt.points, prompt.box, embedding.picture, embedding.at)
    if question is None:
        return None
    answer = session.decode({**embedding.tensors, **question.feeds}, cancelled)
    edge = contract.spec.pads_to
    found = candidates(
        answer.outputs[contract.logits],
        answer.outputs[contract.spec.scores],
        embedding.at,
        (edge, edge) if edge else embedding.at.canvas,
        embedding.picture,
        question.avoid,
    )
    plane = found.map(prompt.candidate, question.within, embedding.picture)
    return Pointed(
        plane, prompt, session.spec.id, found.scores, answer.provider, answer.provider_note, question.warnings
    )
