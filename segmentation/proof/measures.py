"""How much a probability map looks like the answer of a network that understood the picture.

A network that is fed wrongly raises no error; its mask betrays it. It hesitates (its training never showed it such
values), draws outlines where the picture has none, answers differently for the mirrored picture, finds nothing, or
takes the background for the subject. Each measure lies in 0..1, larger is better, and none needs to know the network.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.arrays import RGB, ProbabilityMap
from segmentation.picture.resize import resize

EDGE = 256  # pixels, longer side of the grid that all maps are compared on

_SAME = 0.97  # intersection over union from which nobody sees a difference between two masks
_SAME_MEAN = 0.004  # or the mean difference below which nobody does, as of two nearly empty ones
_BLUR = 1.0  # pixels of the grid, sigma of the derivatives


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of one probability map; all in 0..1, larger is better."""

    decided: float
    """How much of the variance of the map is between pixels, rather than within undecided ones: 1 for a binary mask,
    whatever its area, 0 for a uniform one. (Law of total variance for a Bernoulli variable in each pixel.)"""
    edges: float
    """Where in the picture's own gradients, as a rank, the outline of the mask lies; 0.5 is what chance gives."""
    framed: float
    """1 if at most half of the picture's upper, left and right border is foreground, down to 0 for all of it: what
    fills the frame is the background. (The lower border is left out, as people stand on it.)"""
    agreement: float | None = None
    """Intersection over union with a second answer: another output's of the network, if it has several masks, else the
    one for the mirrored picture. None if that was not computed."""
    area: float = 0.0
    """Share of the picture that is foreground: no matter of better or worse, unless it is nothing or everything."""


class View:
    """The picture as the measures see it: its size on the grid, and the rank of each pixel's gradient."""

    def __init__(self, rgb: RGB) -> None:
        """Shrink the picture and rank its gradients.

        Args:
            rgb: The picture.
        """
        scale = min(1.0, EDGE / max(rgb.shape[:2]))
        self.size = max(1, round(rgb.shape[0] * scale)), max(1, round(rgb.shape[1] * scale))
        small = resize(rgb, self.size, "bilinear").astype(np.float32)
        steepest = np.max([_gradient(small[..., channel]) for channel in range(3)], axis=0)
        ranks = np.empty(steepest.size, np.float32)
        ranks[steepest.ravel().argsort(kind="stable")] = np.linspace(0.0, 1.0, steepest.size, dtype=np.float32)
        self._ranks = ranks.reshape(self.size)

    def on_grid(self, probability: ProbabilityMap) -> ProbabilityMap:
        """The map at the size of the grid."""
        placed: ProbabilityMap = resize(np.ascontiguousarray(probability, np.float32), self.size, "bilinear")
        return placed.clip(0.0, 1.0)

    def measure(self, placed: ProbabilityMap, second: ProbabilityMap | None = None) -> Measures:
        """The measures of a map.

        Args:
            placed: The map, `on_grid`.
            second: The second answer, `on_grid`.
        """
        mean = float(placed.mean(dtype=np.float64))
        within, total = float((placed * (1 - placed)).mean(dtype=np.float64)), mean * (1 - mean)
        outline = _gradient(placed)
        weight = float(outline.sum(dtype=np.float64))
        return Measures(
            decided=1 - within / total if total > 1e-6 else 0.0,
            edges=float((outline * self._ranks).sum(dtype=np.float64)) / weight if weight > 1e-3 else 0.0,
            framed=min(1.0, 2 - 2 * float(np.concatenate([placed[0], placed[:, 0], placed[:, -1]]).mean())),
            agreement=None if second is None else _overlap(placed, second),
            area=float((placed > 0.5).mean()),
        )


def look_alike(one: ProbabilityMap, other: ProbabilityMap) -> bool:
    """Whether nobody would see a difference between two maps on the grid."""
    common, both = (float(each(one, other).sum(dtype=np.float64)) for each in (np.minimum, np.maximum))
    return common >= _SAME * both or (both - common) / one.size < _SAME_MEAN


def _gradient(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    across, down = (ndimage.gaussian_filter(plane, _BLUR, order=order) for order in ((0, 1), (1, 0)))
    slope: npt.NDArray[np.float32] = np.hypot(across, down)
    return slope


def _overlap(one: ProbabilityMap, other: ProbabilityMap) -> float:
    """Intersection over union of soft masks; two empty ones agree about nothing."""
    union = float(np.maximum(one, other).sum(dtype=np.float64))
    return float(np.minimum(one, other).sum(dtype=np.float64)) / union if union > 1.0 else 0.0
