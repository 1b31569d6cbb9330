"""Facts of a graph, declarations and a registry entry -> the contract proposed, and what each value rests on."""

from collections.abc import Iterable
from typing import Literal, get_args

from pydantic import ValidationError

from segmentation.messages import Message
from segmentation.models.inspection.declared import Declared
from segmentation.models.inspection.facts import GraphFacts, Proposal, Source
from segmentation.models.inspection.families import family_of
from segmentation.models.inspection.input_values import (
    NORMALISATION,
    Layers,
    fixed_edges,
    input_layers,
    input_problem,
    layout_of,
)
from segmentation.models.inspection.masks import edges_of, mask_index, planes_of, reading_of
from segmentation.models.spec import Contract, HubSource, InputSpec, ModelSpec, OutputSpec

Confidence = Literal["registered", "declared", "recognised", "guessed"]
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)

IN_WORDS: dict[Confidence, Message] = {
    "registered": Message("from the registry"),
    "declared": Message("declared by its authors and consistent"),
    "recognised": Message("recognised by its structure"),
    "guessed": Message("guessed; check the mask"),
}
"""Confidence -> words that people see."""

_ESSENTIAL = (*(f"input.{key}" for key in NORMALISATION), "output.index", "output.kind", "output.activation")


def registered_twin(models: Iterable[ModelSpec], *, sha256: str | None = None, repo_id: str = "") -> ModelSpec | None:
    """The registry entry of the same file, or else of the same repository; None if there is none.

    Args:
        models: The registry's models.
        sha256: Of the file.
        repo_id: The repository it comes from.
    """
    entries = [model for model in models if model.registered and not model.prompt]  # its parts are no models
    for model in entries:
        if sha256 and model.weights.sha256 == sha256:
            return model
    for model in entries:
        repositories = [source.repo_id for source in model.weights.sources if isinstance(source, HubSource)]
        if repo_id and repositories[:1] == [repo_id] and _is_alone(repo_id, entries):
            return model
    return None


def propose(facts: GraphFacts, declared: Declared, registered: ModelSpec | None = None) -> Proposal:
    """The contract of a graph: from its registry entry, what is declared, the graph, its family, or a guess.

    Args:
        facts: The graph.
        declared: What its repository declares.
        registered: The registry entry of the same file or repository.
    """
    if problem := _refusal(facts) or input_problem(facts) or ("" if registered else declared.problem):
        return Proposal(Contract(), {}, problem=problem)
    layout, edges = layout_of(facts.inputs[0]), fixed_edges(facts.inputs[0])
    index = mask_index(facts, layout, edges, declared.classes)
    if registered and registered.output.index < len(facts.outputs):
        index = registered.output.index
    if index is None or edges_of(facts.outputs[index], layout) is None:
        shapes = "; ".join(str(list(output.shape or ())[:8]) for output in facts.outputs[:4])
        return Proposal(
            Contract(),
            {},
            problem=Message(
                "None of its outputs is a picture ({shapes}): it is not a segmentation model.", shapes=shapes
            ),
        )
    family = family_of(facts, planes_of(facts.outputs[index], layout), edges)
    inputs = input_layers(facts, declared, family, registered.input if registered else None)
    outputs = Layers()
    outputs.put(OutputSpec().model_dump(exclude={"name"}), "graph")
    outputs.put({"index": index, "name": facts.outputs[index].name}, "graph")
    if registered:
        outputs.put(registered.output.model_dump(exclude={"name", "index"}), "registry")
        outputs.put({"index": index}, "registry")
    else:
        classes = declared.classes
        if family and not classes and "classes" in family.output:
            classes = family.output["classes"]
        reading = reading_of(facts, index, layout, classes)
        if reading.problem:
            return Proposal(Contract(), {}, problem=reading.problem)
        outputs.put(reading.values, "graph")
        outputs.sources |= reading.sources
        outputs.doubts += reading.doubts
        if not declared.classes and classes and outputs.values["kind"] == "labels":
            outputs.sources["classes"] = "family"
        if family and outputs.values["kind"] == "alpha":
            outputs.put({key: value for key, value in family.output.items() if key != "classes"}, "family")
        if len(facts.outputs) > 1 and not (family and family.output) and (rivals := _which(facts, index, layout)):
            outputs.doubts += rivals
            if not declared.input:  # else it follows the convention, by which the first counts
                outputs.sources["index"] = "guess"
    return _proposal(inputs, outputs, family.name if family else "", () if registered else declared.doubts)


def promptable(spec: ModelSpec) -> Proposal:
    """The contract of a registered promptable model, whose graph alone would not tell it."""
    sources: dict[str, Source] = {
        f"{part}.{key}": "registry"
        for part, values in (("input", InputSpec.model_fields), ("output", OutputSpec.model_fields))
        for key in values
    }
    return Proposal(spec.contract, sources)


def confidence(proposal: Proposal) -> Confidence:
    """How sure a proposal is, by the weakest source of what a mask depends on."""
    sources = {proposal.sources.get(key, "guess") for key in _ESSENTIAL}
    if "guess" in sources or proposal.problem or proposal.contradictions:
        return "guessed"
    if sources <= {"registry", "graph", "given"} and "registry" in sources:
        return "registered"
    return "declared" if "declared" in sources else "recognised"


def _is_alone(repo_id: str, entries: list[ModelSpec]) -> bool:
    """Whether one entry only comes from this repository, so that the repository names the model."""
    return (
        sum(
            any(isinstance(source, HubSource) and source.repo_id == repo_id for source in entry.weights.sources)
            for entry in entries
        )
        == 1
    )


def _refusal(facts: GraphFacts) -> str:
    if facts.custom_domains:
        return Message("It needs operators that are not part of ONNX Runtime ({domains}), and their code is not "
                       "loaded.", domains=", ".join(facts.custom_domains[:4]))  # fmt: skip
    for name in facts.data_files:
        if not is_beside(name):
            return Message("Its weights lie outside its folder ({name}), so they are not read.", name=name[:80])
    return ""


def is_beside(name: str) -> bool:
    """Whether a data file's name, as written in a graph, is that of a file in the same folder and of nothing else."""
    return 0 < len(name) <= 200 and name not in (".", "..") and not any(sign in name for sign in "/\\:\0")


def _which(facts: GraphFacts, index: int, layout: str) -> tuple[str, ...]:
    """A doubt if another output is as likely the mask: one that does not sound like it, of the same planes."""
    chosen = facts.outputs[index]
    rivals = [
        output
        for output in facts.outputs
        if edges_of(output, layout) is not None and planes_of(output, layout) == planes_of(chosen, layout)
    ]
    if len(rivals) < 2:
        return ()
    return (
        Message("{count} outputs look like masks; the first ({name}) is taken.", count=len(rivals), name=chosen.name),
    )


def _proposal(inputs: Layers, outputs: Layers, family: str, noted: tuple[str, ...]) -> Proposal:
    doubts = [*noted, *inputs.contradictions, *inputs.doubts, *outputs.doubts]
    contradictions = [*inputs.contradictions]
    sources: dict[str, Source] = {f"input.{key}": source for key, source in inputs.sources.items()}
    sources |= {f"output.{key}": source for key, source in outputs.sources.items()}
    try:
        contract = Contract(input=InputSpec(**inputs.values), output=OutputSpec(**outputs.values))
    except ValidationError as error:
        return Proposal(
            Contract(),
            {},
            family,
            problem=Message("What it declares cannot be used: {problem}.", problem=error.errors()[0]["msg"]),
        )
    return Proposal(contract, sources, family, tuple(doubts), contradictions=tuple(contradictions))
