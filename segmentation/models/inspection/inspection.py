"""Everything that is known of one model before it is run, in one frozen value."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.inspection.declared import NOTHING, Declared
from segmentation.models.inspection.entry import entry_id, registry_entry
from segmentation.models.inspection.facts import GraphFacts, Proposal
from segmentation.models.inspection.propose import (
    IN_WORDS,
    Confidence,
    confidence,
    promptable,
    propose,
    registered_twin,
)
from segmentation.models.inspection.verdict import as_message, verdict
from segmentation.models.spec import OWN_LICENCE, HubSource, ModelSpec
from segmentation.models.variants import Variant


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model's files tell without running it, and what is proposed from that."""

    spec: ModelSpec
    """The model with the proposed contract."""
    facts: GraphFacts
    proposal: Proposal
    files: tuple[Variant, ...] = ()
    """All `.onnx` files of its repository, of which the model is one."""
    notes: tuple[str, ...] = ()
    """Sentences about which file was chosen, and what could not be read."""
    entry_id: str = ""
    """The id of its registry entry, which no registered model has."""

    @property
    def verdict(self) -> tuple[Message, ...]:
        """Sentences for people: what it looks like, what will be done, what is unsure."""
        sentences = verdict(self.facts, self.proposal)
        if self.spec.prompt:
            sentences = (Message("It is a promptable model: it cuts out what you point at."), *sentences[1:])
        return (*sentences, *map(as_message, self.notes))

    @property
    def usable_spec(self) -> ModelSpec:
        """The model with its contract.

        Raises:
            SessionError: It is no segmentation model for pictures.
        """
        if self.proposal.problem:
            raise SessionError(self.proposal.problem)
        return self.spec

    @property
    def confidence(self) -> Confidence:
        """How sure the contract is."""
        return confidence(self.proposal)

    def entry(self) -> str:
        """The text of a registry file with this model.

        Raises:
            RegistryError: Its file has not been verified.
        """
        return registry_entry(self.spec, self.proposal.sources, self.entry_id)

    def as_json(self) -> dict[str, Any]:
        """The inspection for scripts."""
        proposal, spec = self.proposal, self.spec
        return {
            "model": spec.id,
            "title": spec.title,
            "file": spec.weights.file,
            "size": spec.weights.size,
            "sha256": spec.weights.sha256,
            "source": next(
                (
                    {"repository": source.repo_id, "revision": source.revision, "file": source.filename}
                    for source in spec.weights.sources
                    if isinstance(source, HubSource)
                ),
                None,
            ),
            "licence": spec.licence.model_dump(),
            "files": [{"file": file.path, "size": file.size, "variant": file.format} for file in self.files],
            "graph": self.facts.model_dump(mode="json"),
            "family": proposal.family,
            "contract": None if proposal.problem else proposal.contract.model_dump(mode="json"),
            "sources": dict(proposal.sources),
            "confidence": self.confidence,
            "confidence_text": str(IN_WORDS[self.confidence]),
            "problem": str(proposal.problem),
            "doubts": [str(doubt) for doubt in proposal.doubts],
            "verdict": [str(sentence) for sentence in self.verdict],
        }


def inspection_of(
    spec: ModelSpec,
    facts: GraphFacts,
    declared: Declared = NOTHING,
    registry: Iterable[ModelSpec] = (),
    files: Iterable[Variant] = (),
    notes: Iterable[str] = (),
) -> Inspection:
    """The inspection of a model, from what was read of it.

    Args:
        spec: The model; its contract does not matter, unless it is registered.
        facts: Its graph.
        declared: What its repository declares.
        registry: The registered models, one of which may be the same file or repository.
        files: All `.onnx` files of its repository.
        notes: Sentences about which file was chosen, and what could not be read.
    """
    models = [model for model in registry if model.registered]
    repositories = [source.repo_id for source in spec.weights.sources if isinstance(source, HubSource)]
    twin = registered_twin(models, sha256=spec.weights.sha256, repo_id=next(iter(repositories), ""))
    proposal = promptable(spec) if spec.prompt else propose(facts, declared, twin)
    contract = proposal.contract
    update: dict[str, Any] = {"input": contract.input, "output": contract.output}
    if confidence(proposal) == "guessed":
        update["notes"] = (Message("How to use {title} was guessed. Check the mask.", title=spec.title),)
    if twin and spec.licence == OWN_LICENCE:  # a file without a model card, but known
        update |= {"licence": twin.licence, "licence_note": twin.licence_note}
    proposed = spec if spec.registered else spec.model_copy(update=update)
    id_ = spec.id if spec.registered else entry_id(spec, [model.id for model in models])
    return Inspection(proposed, facts, proposal, tuple(files), tuple(notes), id_)
