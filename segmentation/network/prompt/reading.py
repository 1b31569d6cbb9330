"""The output of a promptable network -> candidates, each a probability map of the whole picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import ProbabilityMap, Size
from segmentation.corrections import Box, Point
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.network.tensor import Placement
from segmentation.picture.resize import resize_box


@dataclass(frozen=True, slots=True)
class Candidates:
    """The answers to one prompt, the best first."""

    logits: tuple[npt.NDArray[np.float32], ...]
    """(h, w) each; above 0 is what was pointed at. They cover the whole picture and nothing else."""
    scores: tuple[float, ...]
    """How good the network expects each to be; 1 is perfect."""

    def map(self, number: int, within: Box | None = None, picture: Size = (1, 1)) -> ProbabilityMap:
        """The probability map of a candidate.

        Args:
            number: 1 is the best; beyond the last, counting starts over.
            within: In pixels of the picture; outside of this box nothing is subject.
            picture: The picture's size.
        """
        logits = self.logits[(number - 1) % len(self.logits)]
        plane: ProbabilityMap = (0.5 + 0.5 * np.tanh(0.5 * logits)).astype(np.float32)  # a sigmoid, without overflow
        if within is not None:
            plane *= _covered(plane.shape[0], within[1], within[3], picture[0])[:, None]
            plane *= _covered(plane.shape[1], within[0], within[2], picture[1])
        return plane


def candidates(
    logits: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    at: Placement,
    frame: Size,
    picture: Size,
    avoid: Sequence[Point] = (),
) -> Candidates:
    """The answers by score; those that contain points to avoid come last.

    Args:
        logits: (..., candidates, h, w), of the frame.
        scores: (..., candidates).
        at: The picture's place in the frame; padding is cropped, to parts of a pixel.
        frame: Height and width of what the logits cover.
        picture: The picture's size.
        avoid: In pixels of the picture.

    Raises:
        SessionError: Their shapes do not match, or values are not numbers.
    """
    if logits.ndim < 3 or 0 in logits.shape:
        raise SessionError(
            Message("The network's output has shape {shape}; a picture's planes were expected.", shape=logits.shape)
        )
    planes = logits.reshape(-1, *logits.shape[-2:]).astype(np.float32)
    values = scores.astype(np.float32).reshape(-1)
    if len(planes) != len(values):
        raise SessionError(
            Message("The network returned {masks} masks and {scores} scores.", masks=len(planes), scores=len(values))
        )
    cropped = [_cropped(plane, at, frame) for plane in planes]
    if not all(np.isfinite(plane).all() for plane in (*cropped, values)):
        raise SessionError(Message("The network returned values that are not numbers. Try another model."))
    touched = [sum(_at(plane, point, picture) > 0 for point in avoid) for plane in cropped]
    order = sorted(range(len(cropped)), key=lambda index: (touched[index], -values[index]))
    return Candidates(tuple(cropped[index] for index in order), tuple(float(values[index]) for index in order))


def _cropped(plane: npt.NDArray[np.float32], at: Placement, frame: Size) -> npt.NDArray[np.float32]:
    down, across = plane.shape[0] / frame[0], plane.shape[1] / frame[1]
    box = at.left * across, at.top * down, (at.left + at.width) * across, (at.top + at.height) * down
    if box == (0.0, 0.0, plane.shape[1], plane.shape[0]):
        return plane
    return resize_box(plane, (max(1, round(box[3] - box[1])), max(1, round(box[2] - box[0]))), box)


def _covered(cells: int, start: float, stop: float, edge: int) -> npt.NDArray[np.float32]:
    """How much of each cell along an edge of the picture lies between two coordinates, 0..1."""
    at = np.arange(cells)
    share = np.minimum(at + 1, stop * cells / edge) - np.maximum(at, start * cells / edge)
    covered: npt.NDArray[np.float32] = np.clip(share, 0.0, 1.0).astype(np.float32)
    return covered


def _at(plane: npt.NDArray[np.float32], point: Point, picture: Size) -> float:
    row = min(plane.shape[0] - 1, int(point.y * plane.shape[0] / picture[0]))
    column = min(plane.shape[1] - 1, int(point.x * plane.shape[1] / picture[1]))
    return float(plane[row, column])
