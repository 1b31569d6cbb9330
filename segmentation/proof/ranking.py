"""Masks of one picture by several contracts -> the contracts in order of plausibility."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmentation.arrays import RGB, ProbabilityMap
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.proof.candidates import MOST, Candidate
from segmentation.proof.evidence import USUAL_AGREEMENT, evidence, is_clear
from segmentation.proof.measures import Measures, View, look_alike
from segmentation.proof.runs import Run, Runs

EDGE = 320  # pixels: the size that networks of any size run at

# Where no mask is an answer, the most that one may count against another: enough between guesses, not to overrule
# what is declared.
_SAYS_LITTLE = 10.0
_CLEARER = 2.0  # times more evidence, which the right contract gives another in one photograph of fourteen
_CONTENDER = 0.03  # plausibility relative to the best from which a second answer is worth its time
_CONTENDERS = 2  # different masks, at most


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate's mask of the picture, and what it is worth."""

    candidate: Candidate
    probability: ProbabilityMap
    """At the network's resolution; of all classes together if there are several."""
    measures: Measures
    fits: bool
    """Whether the output's values allow this reading: probabilities lie within 0..1, logits do not."""
    evidence: float = 0.0
    """How much the mask speaks for the contract; see `evidence`."""
    share: float = 0.0
    """How plausible it is, in 0..1; those of all that were tried add up to 1."""
    same_as: int | None = None
    """Index of a better one whose mask is practically the same: there is no visible difference."""

    @property
    def is_clear(self) -> bool:
        """Whether it is an answer to the picture at all: a decided subject before a background."""
        return self.fits and is_clear(self.measures)


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that gave no mask."""

    candidate: Candidate
    problem: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The candidates, ranked by their masks of one picture."""

    ranked: tuple[Tried, ...]
    """The most plausible one first; at most `MOST`."""
    proposed: int | None
    """Index in `ranked` of the proposal; None if it gave no mask."""
    failed: tuple[Failed, ...]
    runs: int
    """Of the network."""

    @property
    def agrees(self) -> bool:
        """Whether the best mask is the proposal's, or practically the same."""
        return self.proposed is not None and (self.proposed == 0 or self.ranked[self.proposed].same_as == 0)

    @property
    def margin(self) -> float:
        """How many times more plausible the best one is than the next one with a visibly different mask."""
        best = self.ranked[0].share
        others = [each.share for place, each in enumerate(self.ranked) if place and each.same_as != 0]
        return best / max(*others, 1e-9) if others else float("inf")

    @property
    def clearer(self) -> Tried | None:
        """A less plausible one whose mask speaks at least twice as much for it; None if there is none."""
        first, *others = self.ranked
        rival = max(others, key=lambda each: each.evidence, default=None)
        return rival if rival and rival.is_clear and rival.evidence > _CLEARER * first.evidence else None


def prove(rgb: RGB, run: Run, pool: Sequence[Candidate], *, edge: int = EDGE, second: bool = True) -> Proof:
    """Rank the candidates by their masks of a picture.

    Each input is computed once, whatever is read from it. Candidates whose masks are practically the same share their
    evidence, so that the one likelier beforehand stays ahead.

    Args:
        rgb: The picture.
        run: Computes an output.
        pool: From `candidates`, the proposal first.
        edge: Size in pixels that a network of any size runs at; others run at their own.
        second: Whether a second answer is computed for the leading ones; see `Measures.agreement`.

    Raises:
        SessionError: No candidate gave a mask; the sentence is about the proposal.
    """
    view, runs = View(rgb), Runs(run, edge)
    trials: list[_Trial] = []
    failed: list[Failed] = []
    for candidate in pool:
        try:
            probability, fits = runs.read(rgb, candidate.contract)
        except SessionError as error:
            failed.append(Failed(candidate, error.message))
            continue
        placed = view.on_grid(probability)
        leader = next((other for other in trials if look_alike(placed, other.placed)), None)
        measures = leader.tried.measures if leader else view.measure(placed)
        trials.append(_Trial(Tried(candidate, probability, measures, fits), placed, leader))
    if not trials:
        raise SessionError(failed[0].problem if failed else Message("There is no contract to try."))
    usual = _ask_again(trials, rgb, view, runs) if second else USUAL_AGREEMENT
    ranked = _ranked(trials, usual)
    proposed = next((place for place, each in enumerate(ranked) if each.candidate is pool[0]), None)
    return Proof(ranked, proposed, tuple(failed), runs.count)


@dataclass(slots=True)
class _Trial:
    """A candidate while it is being tried."""

    tried: Tried
    placed: ProbabilityMap  # on the grid
    leader: "_Trial | None"  # the likeliest one with practically the same mask, whose measures it shares

    def evidence(self, usual: float = USUAL_AGREEMENT) -> float:
        """Of its mask; see `evidence`."""
        return evidence(self.shared, fits=self.tried.fits, usual=usual)

    @property
    def plausibility(self) -> float:
        """Prior times evidence, before any second answer."""
        return self.tried.candidate.prior * self.evidence()

    @property
    def shared(self) -> Measures:
        """The measures of all with this mask."""
        return (self.leader or self).tried.measures


def _ask_again(trials: Sequence[_Trial], rgb: RGB, view: View, runs: Runs) -> float:
    """Compute second answers for the leading masks, unless only one is in question.

    Returns:
        The agreement to assume of the others: that of the best, lest they overtake for not having been asked.
    """
    leaders = sorted((each for each in trials if not each.leader), key=lambda each: -each.plausibility)
    contenders = [each for each in leaders if each.plausibility > _CONTENDER * leaders[0].plausibility][:_CONTENDERS]
    if len(contenders) < 2:
        return USUAL_AGREEMENT
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    agreements = []
    for trial in contenders:
        try:
            again = view.on_grid(_second_answer(trial.tried.candidate, rgb, mirrored, runs))
        except SessionError:
            again = np.zeros_like(trial.placed)
        measures = view.measure(trial.placed, again)
        trial.tried = replace(trial.tried, measures=measures)
        agreements.append(measures.agreement or 0.0)
    return max(agreements)


def _second_answer(candidate: Candidate, rgb: RGB, mirrored: RGB, runs: Runs) -> ProbabilityMap:
    contract = candidate.contract
    if not candidate.companion:
        return runs.read(mirrored, contract)[0][:, ::-1]
    output = contract.output.model_copy(update={"name": candidate.companion})
    return runs.read(rgb, contract.model_copy(update={"output": output}))[0]


def _ranked(trials: Sequence[_Trial], usual: float) -> tuple[Tried, ...]:
    found = [each.evidence(usual) for each in trials]
    # a picture without an answer says little
    least = 0.0 if any(each.tried.is_clear for each in trials) else max(found) / _SAYS_LITTLE
    values = [each.tried.candidate.prior * max(factor, least) for each, factor in zip(trials, found, strict=True)]
    places = sorted(range(len(trials)), key=lambda place: -values[place])  # stable: the likelier beforehand stays ahead
    shown = _shown([trials[place] for place in places])
    numbers = {id(each): (factor, value) for each, factor, value in zip(trials, found, values, strict=True)}
    masks = [each.leader or each for each in shown]
    return tuple(
        replace(
            trial.tried,
            measures=trial.shared,
            evidence=numbers[id(trial)][0],
            share=numbers[id(trial)][1] / sum(values),
            same_as=next((other for other in range(place) if masks[other] is masks[place]), None),
        )
        for place, trial in enumerate(shown)
    )


def _shown(order: Sequence[_Trial]) -> list[_Trial]:
    """The first ones; different masks before more of the same, and the proposal in any case."""
    proposal = [each for each in order if each.tried.candidate.prior == 1.0]
    different = {id(each.leader or each): each for each in reversed(order)}  # the first of each mask
    wanted = [order[0], *proposal[:1], *sorted(different.values(), key=order.index), *order]
    kept = list({id(each): each for each in wanted}.values())[:MOST]
    return sorted(kept, key=order.index)
