"""Masks of one picture by several contracts -> the contracts in order of plausibility."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmentation.arrays import RGB, ProbabilityMap
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.proof.candidates import MOST, Candidate
from segmentation.proof.measures import Measures, View, look_alike
from segmentation.proof.runs import Run, Runs

EDGE = 320  # pixels: the size that networks of any size run at

_DECIDED, _EDGES, _STABLE, _FRAMED = 2.0, 3.0, 1.0, 1.0  # powers of the measures
_LEAST = 0.05  # a measure below this counts as this
_USUAL_STABLE = 0.95  # where the mirrored picture was not run
_NOTHING = 0.1  # factor for no foreground, or no background
_FITS = {True: 1.0, False: 0.005}  # factor for whether the output's values allow the reading

_EMPTY, _FULL = 0.002, 0.98  # share of foreground beyond which there is no subject, or no background
_CLEAR = 0.6  # of `decided` and `edges`: a mask with less is no answer
# Where no mask is an answer, the most that one may count against another: enough between guesses, not to overrule
# what is declared.
_SAYS_LITTLE = 10.0
_CLEARER = 2.0  # times more evidence, which the right contract gives another in one photograph of fourteen
_CONTENDER = 0.03  # plausibility relative to the best from which a mirrored run is worth its time
_MIRRORED = 2  # different masks, at most


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate's mask of the picture, and what it is worth."""

    candidate: Candidate
    probability: ProbabilityMap
    """At the network's resolution; of all classes together if there are several."""
    measures: Measures
    fits: bool
    """Whether the output's values allow this reading: probabilities lie within 0..1, logits do not."""
    share: float = 0.0
    """How plausible it is, in 0..1; those of all that were tried add up to 1."""
    same_as: int | None = None
    """Index of a better one whose mask is practically the same: there is no visible difference."""

    @property
    def evidence(self) -> float:
        """How much the mask speaks for the contract; see `evidence`."""
        return evidence(self.measures, fits=self.fits)

    @property
    def is_clear(self) -> bool:
        """Whether it is an answer to the picture at all: a decided subject before a background."""
        found = _EMPTY < self.measures.area < _FULL
        return found and self.fits and self.measures.decided >= _CLEAR and self.measures.edges >= _CLEAR


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


def prove(rgb: RGB, run: Run, pool: Sequence[Candidate], *, edge: int = EDGE, mirror: bool = True) -> Proof:
    """Rank the candidates by their masks of a picture.

    Each input is computed once, whatever is read from it. Candidates whose masks are practically the same share their
    evidence, so that the one likelier beforehand stays ahead.

    Args:
        rgb: The picture.
        run: Computes an output.
        pool: From `candidates`, the proposal first.
        edge: Size in pixels that a network of any size runs at; others run at their own.
        mirror: Whether the leading ones also run on the mirrored picture, to see whether the answer is the same.

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
            problem = error.args[0] if error.args and isinstance(error.args[0], Message) else str(error)
            failed.append(Failed(candidate, problem))
            continue
        placed = view.on_grid(probability)
        leader = next((other for other in trials if look_alike(placed, other.placed)), None)
        measures = leader.tried.measures if leader else view.measure(placed)
        trials.append(_Trial(Tried(candidate, probability, measures, fits), placed, leader))
    if not trials:
        raise SessionError(failed[0].problem if failed else Message("There is no contract to try."))
    if mirror:
        _run_mirrored(trials, rgb, view, runs)
    ranked = _ranked(trials)
    proposed = next((place for place, each in enumerate(ranked) if each.candidate is pool[0]), None)
    return Proof(ranked, proposed, tuple(failed), runs.count)


def evidence(measures: Measures, *, fits: bool) -> float:
    """How much a mask speaks for its contract: a factor on how plausible that was before.

    decided² x edges³ x stable x framed. The powers are those of a logistic regression on the logarithms of the
    measures, over photographs and networks whose right contract is known, rounded. A product rather than a sum: one
    bad measure is telling, while small differences between good ones are not, as wrong contracts give decent masks too.

    Args:
        measures: Of the mask.
        fits: Whether the output's values allow the reading.
    """
    stable = _USUAL_STABLE if measures.stable is None else measures.stable
    factor = 1.0 if _EMPTY < measures.area < _FULL else _NOTHING
    for value, power in (
        (measures.decided, _DECIDED), (measures.edges, _EDGES), (stable, _STABLE), (measures.framed, _FRAMED),
    ):  # fmt: skip
        factor *= float(max(value, _LEAST) ** power)
    return factor * _FITS[fits]


@dataclass(slots=True)
class _Trial:
    """A candidate while it is being tried."""

    tried: Tried
    placed: ProbabilityMap  # on the grid
    leader: "_Trial | None"  # the likeliest one with practically the same mask, whose measures it shares

    @property
    def evidence(self) -> float:
        """As of a `Tried`, with the shared measures."""
        return evidence(self.shared, fits=self.tried.fits)

    @property
    def plausibility(self) -> float:
        """Prior times evidence."""
        return self.tried.candidate.prior * self.evidence

    @property
    def shared(self) -> Measures:
        """The measures of all with this mask."""
        return (self.leader or self).tried.measures


def _run_mirrored(trials: Sequence[_Trial], rgb: RGB, view: View, runs: Runs) -> None:
    """Measure the stability of the leading masks, unless only one is in question."""
    leaders = sorted((each for each in trials if not each.leader), key=lambda each: -each.plausibility)
    contenders = [each for each in leaders if each.plausibility > _CONTENDER * leaders[0].plausibility]
    if len(contenders) < 2:
        return
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    for trial in contenders[:_MIRRORED]:
        try:
            probability, _ = runs.read(mirrored, trial.tried.candidate.contract)
        except SessionError:
            measures = replace(trial.tried.measures, stable=0.0)
        else:
            measures = view.measure(trial.placed, view.on_grid(probability[:, ::-1]))
        trial.tried = replace(trial.tried, measures=measures)


def _ranked(trials: Sequence[_Trial]) -> tuple[Tried, ...]:
    evidence = [each.evidence for each in trials]
    if not any(each.tried.is_clear for each in trials):  # a picture without an answer says little
        evidence = [max(each, max(evidence) / _SAYS_LITTLE) for each in evidence]
    values = [each.tried.candidate.prior * factor for each, factor in zip(trials, evidence, strict=True)]
    places = sorted(range(len(trials)), key=lambda place: -values[place])  # stable: the likelier beforehand stays ahead
    shown = _shown([trials[place] for place in places])
    shares = {id(trial): value / sum(values) for trial, value in zip(trials, values, strict=True)}
    masks = [each.leader or each for each in shown]
    return tuple(
        replace(
            trial.tried,
            measures=trial.shared,
            share=shares[id(trial)],
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
