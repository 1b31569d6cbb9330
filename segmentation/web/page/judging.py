"""The numbers of compared cutouts against a true matte or mask, the best of each marked."""

from collections.abc import Sequence
from typing import Any

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture
from segmentation.score.scores import MEASURES, Scores, measure
from segmentation.score.truth import to_truth
from segmentation.web.runs.run import Run

SHOWN = [each for each in MEASURES if each.name in ("mae", "max_f", "s_measure", "sad")]
"""The measures that a column shows; comparison.js has their names."""

EXPIRED = Message("This comparison has expired. Compare again.")


def scores_of(run: Run, truth: Picture, limits: Limits) -> Scores:
    """The scores of a run's first cutout.

    Args:
        run: A run with a cutout and its stages.
        truth: The truth of its picture.
        limits: Limits for decoding one picture.

    Raises:
        SettingsError: Its files are gone.
        ImageError: The truth is none, or not of this picture.
    """
    if run.stop.is_set():  # another run replaced it
        raise SettingsError(EXPIRED)
    _, cutout = run.outcomes.cutouts[0]
    alpha = load_image(cutout.stages["alpha"], **limits._asdict()).rgb[..., 0]
    return measure(alpha, to_truth(truth, (alpha.shape[0], alpha.shape[1]))).scores


def marked(columns: Sequence[Scores | None]) -> list[list[dict[str, Any]]]:
    """For each column what comparison.js shows: empty without scores, and nothing is best if it has no rival."""
    rivals = [scores for scores in columns if scores]
    best = {each.name: each.text(min(rivals, key=each.rank)) for each in SHOWN if len(rivals) > 1}
    return [
        [
            {"name": each.name, "text": (text := each.text(scores)), "best": best.get(each.name) == text}
            for each in SHOWN
        ]
        if scores
        else []
        for scores in columns
    ]
