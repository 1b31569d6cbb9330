"""How sure the first contract of a proof is, in words: what it rests on, and whether the picture agrees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segmentation.messages import Message
from segmentation.models.inspection.facts import Proposal, Source
from segmentation.models.inspection.families import FAMILIES
from segmentation.proof.candidates import Candidate
from segmentation.proof.ranking import Proof

Level = Literal["known", "consistent", "likely", "guessed", "doubted", "contradicted", "unclear"]

_AHEAD = 5.0  # times more plausible than the next different mask

_TRUST: Mapping[Source, int] = {"guess": 0, "family": 1, "declared": 2, "graph": 3, "registry": 3, "given": 3}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How sure a contract is after its proof."""

    level: Level
    """"known": registered or given; "consistent": declared, and the picture agrees; "likely": a recognised family, and
    the picture agrees; "guessed": nothing better than custom; "doubted": another gives a clearer mask, which is not
    enough against the proposal; "contradicted": it is; "unclear": no mask answers the picture, so it says nothing."""
    sentence: str


def outcome(proof: Proof, proposal: Proposal) -> Outcome:
    """How sure the first of the ranked contracts is.

    Args:
        proof: The ranking.
        proposal: The proposal whose candidates were ranked.
    """
    source = _weakest(proposal)
    if not any(each.is_clear for each in proof.ranked):
        return Outcome("unclear", _unclear(source))
    if not proof.agrees:
        return _against(proof.ranked[0].candidate, proposal)
    if source != "guess" and proof.clearer:
        return Outcome("doubted", _doubted(source, proof.clearer.candidate.name))
    if source in ("given", "registry", "graph"):
        return Outcome("known", Message("Known, not guessed."))
    if source == "declared":
        return Outcome("consistent", Message("Declared by its authors; nothing in this picture speaks against it."))
    if source == "family":
        title = next((each.title for each in FAMILIES if each.name == proposal.family), proposal.family)
        return Outcome(
            "likely",
            Message("Recognised as {family} by its structure, and consistent with this picture.", family=title),
        )
    return Outcome("guessed", _guess(proof))


def _weakest(proposal: Proposal) -> Source:
    """What the least certain value that decides the mask's look rests on."""
    keys = ("input.scale", "input.mean", "input.std", "output.index", "output.activation", "output.channel")
    return min((proposal.sources.get(key, "guess") for key in keys), key=_TRUST.__getitem__)


def _unclear(source: Source) -> str:
    if source == "declared":
        return Message(
            "Declared by its authors, but no clear subject was found in this picture. Try one that it is made for."
        )
    return Message(
        "No clear subject was found in this picture, however the model is used. Try one that it is made for."
    )


def _doubted(source: Source, name: str) -> str:
    if source == "declared":
        return Message("Declared by its authors, but {name} gives a clearer mask here. Compare the two.", name=name)
    return Message("Recognised by its structure, but {name} gives a clearer mask here. Compare the two.", name=name)


def _against(best: Candidate, proposal: Proposal) -> Outcome:
    """About a better one than the proposal."""
    replaced = {
        proposal.sources.get(key, "guess")
        for key, source in best.sources.items()
        if source != proposal.sources.get(key, "guess")
    }
    if "declared" in replaced:
        return Outcome(
            "contradicted",
            Message(
                "The picture contradicts what its authors declare: {name} fits it better. Check both.", name=best.name
            ),
        )
    if "family" in replaced:
        return Outcome(
            "contradicted",
            Message(
                "The picture contradicts what its structure suggests: {name} fits it better. Check both.",
                name=best.name,
            ),
        )
    return Outcome("guessed", Message("Guessed: {name} fits this picture best. Check the mask.", name=best.name))


def _guess(proof: Proof) -> str:
    if all(each.same_as == 0 for each in proof.ranked[1:]):
        return Message("Guessed, but all plausible guesses give practically the same mask here.")
    if proof.margin >= _AHEAD:
        return Message("Guessed, and clearly the best on this picture. Check the mask.")
    return Message("Guessed; check the mask.")
