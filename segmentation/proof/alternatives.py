"""The uncertain parts of a contract, and the alternatives to each with their weights.

The weights are estimates, and nearly even on purpose: of the repositories that were read, most declare ImageNet's
colours, but a picture often only leans one way, and must still be able to decide. They were chosen with three networks
in view; benchmarks/README.md has the numbers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from segmentation.messages import Message
from segmentation.models.inspection.facts import Proposal, Source
from segmentation.models.inspection.families import FAMILIES
from segmentation.models.spec import OutputSpec
from segmentation.proof.normalisations import NORMALISATIONS, same_normalisation

_DOUBT: Mapping[Source, float] = {
    "given": 0.0, "registry": 0.0, "graph": 0.0, "declared": 0.08, "family": 0.15, "guess": 1.0,
}  # fmt: skip
"""How much of its weight an alternative keeps against a value from this source. Declarations can be wrong, as that of
RMBG-2.0's first revision was; how often they are is an estimate."""

_FAMILY = 1.0  # weight of the normalisation of the recognised family, where something else is proposed
_SWAPPED = 0.2  # weight of the other order of the channels: few networks are trained on BGR


class Option(NamedTuple):
    """One alternative for one uncertain part of a contract; the first of each part is the proposal's own."""

    prior: float
    name: str = ""
    input: Mapping[str, Any] = {}
    output: OutputSpec | None = None


def doubt_of(proposal: Proposal, *keys: str) -> float:
    """How much an alternative to these values weighs, which stand or fall together."""
    return max(_DOUBT[proposal.sources.get(key, "guess")] for key in keys)


def colours(proposal: Proposal) -> list[Option]:
    """How the pixels are scaled and normalised."""
    spec = proposal.contract.input
    own = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    known = next((each for each in NORMALISATIONS if same_normalisation(each.values(), own)), None)
    options = [Option(1.0, known.name if known else Message("colours as proposed"), own)]
    doubt = doubt_of(proposal, "input.scale", "input.mean", "input.std")
    if spec.dtype != "uint8" and doubt:
        family = next((each.input for each in FAMILIES if each.name == proposal.family), {})
        for each in NORMALISATIONS:
            if each != known:
                usual = "mean" in family and same_normalisation(each.values(), family)
                weight = _FAMILY if usual else each.weight
                options.append(Option(weight * doubt, each.name, each.values()))
    return options


def orders(proposal: Proposal) -> list[Option]:
    """Which channel comes first."""
    options = [Option(1.0)]
    doubt = doubt_of(proposal, "input.channels")
    if proposal.sources.get("input.mean") == "declared":  # red first is what the convention means by saying nothing
        doubt = min(doubt, _DOUBT["declared"])
    if doubt:
        swapped = "RGB" if proposal.contract.input.channels == "BGR" else "BGR"
        name = Message("blue first") if swapped == "BGR" else Message("red first")
        options.append(Option(_SWAPPED * doubt, name, {"channels": swapped}))
    return options
