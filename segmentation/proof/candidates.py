"""Contract proposed for a graph -> the contracts that are plausible beside it, with how plausible each is beforehand.

Only what is uncertain is varied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, Proposal, Source
from segmentation.models.spec import Contract, InputSpec, OutputSpec
from segmentation.proof.alternatives import Option, colours, orders
from segmentation.proof.readings import companion_of, outputs

MOST = 6  # runs of a proof, and masks that it shows

_LEAST = 0.004  # weight below which an alternative is not worth a run


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


def candidates(proposal: Proposal, facts: GraphFacts) -> tuple[Candidate, ...]:
    """The plausible contracts, the proposed one first, then by plausibility.

    They need at most `MOST` runs of the network; several may read the same run's output differently.

    Args:
        proposal: The contract to vary.
        facts: What its graph tells.
    """
    parts = (colours(proposal), orders(proposal), outputs(proposal, facts))
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


def _prior(options: Iterable[Option]) -> float:
    prior = 1.0
    for option in options:
        prior *= option.prior
    return prior


def _candidate(proposal: Proposal, options: tuple[Option, ...], facts: GraphFacts) -> Candidate:
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
    return Candidate(varied, name, sources, _prior(options), companion_of(output, facts))
