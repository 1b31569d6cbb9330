"""All measures of one cutout, and the totals over many pictures."""

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from segmentation.arrays import Alpha
from segmentation.score.histogram import Numbers
from segmentation.score.mattes import MatteErrors, measure_mattes
from segmentation.score.saliency import Saliency, measure_saliency


@dataclass(frozen=True, slots=True)
class Scores:
    """The measures of one cutout, or means over many. The first seven take the truth as a mask, the others as a matte.

    `MEASURES` says what each is and which way is better.
    """

    mae: float
    max_f: float
    weighted_f: float
    s_measure: float
    e_measure: float
    max_e: float
    adaptive_e: float
    sad: float
    mse: float
    gradient: float
    connectivity: float

    def as_json(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


class Measure(NamedTuple):
    """What one of the numbers is."""

    name: str
    """Its field of `Scores`, and its key in JSON and CSV."""
    title: str
    """Its head in tables."""
    digits: int
    """Decimal places that are worth showing."""
    about: str
    lower_is_better: bool = False

    def of(self, scores: Scores) -> float:
        """Its value."""
        return float(getattr(scores, self.name))

    def text(self, scores: Scores) -> str:
        """Its value as people read it."""
        return f"{self.of(scores):.{self.digits}f}"

    def rank(self, scores: Scores) -> float:
        """Its value for sorting: the best is the lowest."""
        return self.of(scores) if self.lower_is_better else -self.of(scores)


MEASURES = (
    Measure("mae", "MAE", 4, "mean absolute error, 0..1", lower_is_better=True),
    Measure("max_f", "max F", 4, "largest F-measure over all thresholds, beta squared 0.3"),
    Measure("weighted_f", "weighted F", 4, "weighted F-measure, beta 1"),
    Measure("s_measure", "S", 4, "structure measure, alpha 0.5"),
    Measure("e_measure", "E", 4, "enhanced-alignment measure, mean over all thresholds"),
    Measure("max_e", "max E", 4, "its largest value over all thresholds"),
    Measure("adaptive_e", "adaptive E", 4, "its value at twice the prediction's mean"),
    Measure("sad", "SAD", 3, "sum of absolute differences, in thousands of pixels", lower_is_better=True),
    Measure("mse", "MSE", 5, "mean squared error, 0..1", lower_is_better=True),
    Measure("gradient", "gradient", 3, "gradient error, in thousands", lower_is_better=True),
    Measure("connectivity", "connectivity", 3, "connectivity error, in thousands of pixels", lower_is_better=True),
)
"""Every measure, in the order of `Scores`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on one cutout."""

    saliency: Saliency
    errors: MatteErrors

    @property
    def scores(self) -> Scores:
        """The scores of this cutout."""
        total = Total()
        total.add(self)
        return total.scores


def measure(alpha: Alpha, truth: Alpha) -> Measured:
    """Measure a cutout.

    Args:
        alpha: (h, w), its opacity.
        truth: (h, w), the true opacity.
    """
    return Measured(measure_saliency(alpha, truth), measure_mattes(alpha, truth))


@dataclass(slots=True)
class Total:
    """Sums over pictures. As in pysodmetrics, curves are averaged before their largest value is taken."""

    count: int = 0
    _f_curve: Numbers = field(default_factory=lambda: np.zeros(256))
    _e_curve: Numbers = field(default_factory=lambda: np.zeros(256))
    _sums: Numbers = field(default_factory=lambda: np.zeros(8))

    def add(self, measured: Measured) -> None:
        """Add a cutout."""
        one, errors = measured.saliency, measured.errors
        self.count += 1
        self._f_curve += one.f_curve
        self._e_curve += one.e_curve
        self._sums += (
            one.mae, one.weighted_f, one.s_measure, one.adaptive_e,
            errors.sad, errors.mse, errors.gradient, errors.connectivity,
        )  # fmt: skip

    @property
    def scores(self) -> Scores:
        """Means over the cutouts; there must be one."""
        f_curve, e_curve = self._f_curve / self.count, self._e_curve / self.count
        mae, weighted_f, s_measure, adaptive_e, sad, mse, gradient, connectivity = (self._sums / self.count).tolist()
        return Scores(
            mae=mae,
            max_f=float(f_curve.max()),
            weighted_f=weighted_f,
            s_measure=s_measure,
            e_measure=float(e_curve.mean()),
            max_e=float(e_curve.max()),
            adaptive_e=adaptive_e,
            sad=sad,
            mse=mse,
            gradient=gradient,
            connectivity=connectivity,
        )
