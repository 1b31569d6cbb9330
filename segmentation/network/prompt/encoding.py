"""Points and a box on a picture -> the inputs of a promptable network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Size
from segmentation.corrections import Box, Point
from segmentation.messages import Message
from segmentation.network.prompt.contract import Feed, PromptContract
from segmentation.network.tensor import Placement

_Row = tuple[float, float, int]  # x, y in the network's input, and the label


@dataclass(frozen=True, slots=True)
class Asked:
    """The inputs for one prompt, and what the network itself cannot be told."""

    feeds: dict[str, npt.NDArray[Any]]
    """By name; what the encoder returned is still to be added."""
    avoid: tuple[Point, ...] = ()
    """Points that the answer should leave out."""
    within: Box | None = None
    """The box that the answer must be cut to."""
    warnings: tuple[Message, ...] = ()


def asked(
    contract: PromptContract, points: Sequence[Point], box: Box | None, picture: Size, at: Placement
) -> Asked | None:
    """The inputs that ask for what points and a box mean.

    Args:
        contract: How the network is asked.
        points: In pixels of the picture; the newest last.
        box: In pixels of the picture.
        picture: Its size.
        at: Its place in the network's input.

    Returns:
        None if they do not say what is wanted: there is no box, and no point to keep.
    """
    spec, title, warnings = contract.spec, contract.title, list[Message]()
    kept = [point for point in points if point.keep]
    if not kept and box is None:
        return None

    def row(x: float, y: float, label: int) -> _Row:
        # from edges to centres: the network's own first pixel has its centre at 0
        return at.left + x * at.width / picture[1] - 0.5, at.top + y * at.height / picture[0] - 0.5, label

    rows, avoid = list[_Row](), list[Point]()
    for point in points:
        if point.keep or spec.remove is not None:
            rows.append(row(point.x, point.y, spec.keep if point.keep else spec.remove or 0))
        else:
            avoid.append(point)
    if avoid:
        warnings.append(
            Message(
                "{title} does not understand points to remove: the best of its answers that leaves them out was taken.",
                title=title,
            )
        )
    corners, boxes, within = list[_Row](), list[_Row](), None
    if box is not None:
        first, last = spec.corners or (0, 0)
        edges = [row(*box[:2], first), row(*box[2:], last)]
        if spec.box in contract.feeds:
            boxes = edges
        elif contract.takes_boxes:
            corners = edges
        else:
            within = box
            warnings.append(_without_boxes(title, bool(kept)))
            if not kept:
                rows.append(row((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, spec.keep))
    if contract.most is not None and (excess := len(rows) + len(corners) - contract.most) > 0:
        warnings.append(
            Message("{title} takes only {most} points, corners of a box included: the oldest were left out.",
                    title=title, most=contract.most)
        )  # fmt: skip
        rows = rows[excess:]
    return Asked(_feeds(contract, [*corners, *rows], boxes, box is not None and within is None, at), tuple(avoid),
                 within, tuple(warnings))  # fmt: skip


def _without_boxes(title: str, has_points: bool) -> Message:
    if has_points:
        return Message("{title} takes no boxes: its answer to the points was cut to the box.", title=title)
    return Message(
        "{title} takes no boxes: it was asked for what is in the middle of the box, and its answer was cut to the box.",
        title=title,
    )


def _feeds(
    contract: PromptContract, rows: list[_Row], boxes: list[_Row], has_box: bool, at: Placement
) -> dict[str, npt.NDArray[Any]]:
    spec, none = contract.spec, (0.0, 0.0, contract.spec.padding)
    filled = [*rows, none] if spec.closing and not has_box else rows
    if contract.fixed is not None:
        filled = [*filled, *[none] * (contract.fixed - len(filled))]
    labels = np.array([label for *_, label in filled])
    values: dict[str, npt.NDArray[Any]] = {
        spec.points: np.array([(x, y) for x, y, _ in filled]).reshape(-1, 2),
        # some graphs have the points' last axis on the labels too
        spec.labels: labels[:, None] if _ranks_agree(contract) else labels,
    }
    if spec.box:
        values[spec.box] = np.array([edge for x, y, _ in boxes for edge in (x, y)]).reshape(-1, 4)
    if spec.size:
        values[spec.size] = np.array(at.canvas)
    return {
        name: np.zeros([edge or 1 for edge in feed.shape], feed.dtype)
        if name in spec.zeros
        else _shaped(values[name], feed)
        for name, feed in contract.feeds.items()
    }


def _ranks_agree(contract: PromptContract) -> bool:
    return len(contract.feeds[contract.spec.labels].shape) == len(contract.points.shape)


def _shaped(array: npt.NDArray[Any], feed: Feed) -> npt.NDArray[Any]:
    """The array in the graph's type, with leading axes of 1 up to the graph's rank."""
    return array.reshape((*[1] * (len(feed.shape) - array.ndim), *array.shape)).astype(feed.dtype)
