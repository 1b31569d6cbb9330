"""Which contract of an unregistered model fits a picture: the plausible ones, tried and ranked."""

from segmentation.proof.candidates import MOST, Candidate, candidates
from segmentation.proof.measures import Measures
from segmentation.proof.outcome import Outcome, outcome
from segmentation.proof.ranking import Failed, Proof, Tried, prove
from segmentation.proof.runs import Run, run_of

__all__ = [
    "MOST", "Candidate", "Failed", "Measures", "Outcome", "Proof", "Run", "Tried", "candidates", "outcome", "prove",
    "run_of",
]  # fmt: skip
