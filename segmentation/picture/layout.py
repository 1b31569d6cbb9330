"""Where a picture's subject lies in its file: in the picture as it was, cropped, or on a canvas."""

import math
from dataclasses import dataclass

import numpy as np

from segmentation.arrays import Alpha, Size
from segmentation.messages import Message
from segmentation.picture.compose import VISIBLE
from segmentation.settings import Export

MAX_ENLARGED = 4.0  # times that a subject is enlarged to fill a canvas
MAX_CANVAS_PIXELS = 50_000_000  # of a canvas made around a subject
_NOTED = 1.5  # times from which enlarging is mentioned

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, the last two exclusive."""
Pixels = tuple[int, int, int, int]
"""The same in whole pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which part of a picture lies where in its file."""

    size: Size
    """(height, width) of the file."""
    part: Pixels
    """The part of the picture that is shown, without what is invisible anyway on a canvas."""
    place: Pixels
    """Where it lies in the file, from which it may reach out where a canvas crops."""
    subject: Box
    """The visible subject in the file, without outline and shadow."""
    on_canvas: bool = False
    """Whether the file is a canvas rather than a part of the picture."""
    notes: tuple[str, ...] = ()
    """Sentences about deviations from the settings."""

    @property
    def box(self) -> Box:
        """The file's edges in pixels of the picture, beyond it where a canvas is larger."""
        own, placed = ([box[i + 2] - box[i] for i in (0, 1)] for box in (self.part, self.place))
        left, top = (self.part[i] - self.place[i] * own[i] / placed[i] for i in (0, 1))
        return left, top, left + self.size[1] * own[0] / placed[0], top + self.size[0] * own[1] / placed[1]

    @property
    def density(self) -> float:
        """Pixels of the file across a pixel of the picture."""
        return (self.place[2] - self.place[0]) / (self.part[2] - self.part[0])

    @property
    def unit(self) -> float:
        """One percent of the subject's longer side, in pixels of the file."""
        left, top, right, bottom = self.subject
        return max(right - left, bottom - top) / 100


def layout_of(alpha: Alpha, export: Export, longest: int = 0, reduced: float = 1.0) -> Layout:
    """The layout of a file.

    Args:
        alpha: The subject's opacity, (h, w).
        export: How to write it.
        longest: The most pixels on the file's longer side, besides those of `export`; 0 is no limit.
        reduced: How many times smaller `alpha` is than the picture's own, in a preview.
    """
    subject = _visible(alpha, VISIBLE)
    limit = min(edge or math.inf for edge in (longest, export.max_edge))
    if export.canvas == "none":
        return _cropped(subject, alpha.shape, export, limit)
    return _on_canvas(alpha, subject, export, limit, reduced)


def _visible(alpha: Alpha, level: int) -> Pixels:
    """The smallest box around alpha of at least that level; all if there is none."""
    visible = alpha >= level
    rows, columns = (np.flatnonzero(visible.any(axis)) for axis in (1, 0))
    if not rows.size:
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def drop_offset(export: Export, unit: float) -> tuple[int, int]:
    """Columns and rows by which the drop shadow is shifted, where a unit is 1 % of the subject's longer side."""
    angle, distance = math.radians(export.shadow_angle), export.shadow_distance * unit
    return round(distance * math.cos(angle)), round(distance * math.sin(angle))


def _with_effects(subject: Pixels, export: Export) -> Pixels:
    """The subject with its outline and all that is seen of its shadow."""
    unit = max(subject[2] - subject[0], subject[3] - subject[1]) / 100
    outline, reach = math.ceil(export.outline_width * unit), math.ceil(2 * export.shadow_blur * unit)
    left, top, right, bottom = subject[0] - outline, subject[1] - outline, subject[2] + outline, subject[3] + outline
    boxes = [(left, top, right, bottom)]
    if export.shadow in ("drop", "both"):
        x, y = drop_offset(export, unit)
        boxes.append((left + x - reach, top + y - reach, right + x + reach, bottom + y + reach))
    if export.shadow in ("contact", "both"):
        boxes.append((left - reach, bottom - reach, right + reach, bottom + reach))
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _cropped(subject: Pixels, size: Size, export: Export, limit: float) -> Layout:
    height, width = size
    part = (0, 0, width, height)
    if export.crop and subject != part:
        left, top, right, bottom = _with_effects(subject, export)
        margin = round(max(subject[2] - subject[0], subject[3] - subject[1]) * export.crop_margin / 100)
        part = max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)
    own = part[3] - part[1], part[2] - part[0]
    scale = min(1.0, limit / max(own))
    file = max(1, round(own[0] * scale)), max(1, round(own[1] * scale))
    across, down = file[1] / own[1], file[0] / own[0]
    seen = (
        (subject[0] - part[0]) * across,
        (subject[1] - part[1]) * down,
        (subject[2] - part[0]) * across,
        (subject[3] - part[1]) * down,
    )
    return Layout(file, part, (0, 0, file[1], file[0]), seen)


def _on_canvas(alpha: Alpha, subject: Pixels, export: Export, limit: float, reduced: float) -> Layout:
    outline = export.outline_width * max(subject[2] - subject[0], subject[3] - subject[1]) / 100
    left, top, right, bottom = subject[0] - outline, subject[1] - outline, subject[2] + outline, subject[3] + outline
    own = right - left, bottom - top  # across, down, as all pairs here
    before, after = (
        (export.margins[3] / 100, export.margins[0] / 100),
        (export.margins[1] / 100, export.margins[2] / 100),
    )
    fill = export.canvas_fill / 100
    shares = [fill * (1 - before[i] - after[i]) for i in (0, 1)]  # of the canvas, that the subject may take
    notes: tuple[str, ...] = ()
    if ":" in export.canvas:  # the subject keeps its resolution
        ratio = float(export.canvas.split(":")[0]) / float(export.canvas.split(":")[1])
        down = max(own[1] / shares[1], own[0] / shares[0] / ratio)
        canvas, scale = (down * ratio, down), 1.0
        if canvas[0] * canvas[1] > MAX_CANVAS_PIXELS:
            scale = math.sqrt(MAX_CANVAS_PIXELS / (canvas[0] * canvas[1]))
            canvas = canvas[0] * scale, canvas[1] * scale
            notes = (Message("The canvas was scaled down to {most} megapixels.", most=MAX_CANVAS_PIXELS // 10**6),)
    else:
        width, height = export.canvas.split("x")
        canvas = float(width), float(height)
        wanted = min(canvas[i] * shares[i] / own[i] for i in (0, 1))
        scale = min(wanted, MAX_ENLARGED * reduced)
        if scale < wanted:
            notes = (
                Message("The subject is too small for this canvas: it was enlarged {times:g} times, and not to its "
                        "full share.", times=MAX_ENLARGED),
            )  # fmt: skip
        elif scale > _NOTED * reduced:
            notes = (Message("The subject was enlarged {times:.1f} times to fill the canvas.", times=scale / reduced),)
    shrink = min(1.0, limit / max(canvas))
    scale *= shrink
    file = tuple(max(1, _up(side * shrink)) for side in canvas)
    start = [before[i] * file[i] for i in (0, 1)]  # of the area within the margins
    stop = [file[i] - after[i] * file[i] for i in (0, 1)]
    middle = (left + right) / 2, (top + bottom) / 2
    offset = [(start[i] + stop[i]) / 2 - scale * middle[i] for i in (0, 1)]  # of the picture's corner in the file
    if export.canvas_align == "bottom":
        offset[1] += (stop[1] - start[1]) * fill / 2 - scale * own[1] / 2
    elif export.canvas_align == "mass":
        mass = _centre_of_mass(alpha)
        for i in (0, 1):
            room = max(0.0, (stop[i] - start[i] - scale * own[i]) / 2)  # by which it may move without being cropped
            offset[i] += min(max(scale * (middle[i] - mass[i]), -room), room)
    part = _within(_visible(alpha, 1), offset, scale, file)
    # both edges are rounded alike, so that a scale of 1 stays 1
    x, y = round(offset[0]), round(offset[1])
    if scale == 1:
        place = part[0] + x, part[1] + y, part[2] + x, part[3] + y
    else:
        place = (
            round(offset[0] + scale * part[0]),
            round(offset[1] + scale * part[1]),
            max(round(offset[0] + scale * part[2]), round(offset[0] + scale * part[0]) + 1),
            max(round(offset[1] + scale * part[3]), round(offset[1] + scale * part[1]) + 1),
        )
    corner = (x, y) if scale == 1 else offset
    seen = tuple(corner[i % 2] + scale * subject[i] for i in range(4))
    return Layout((file[1], file[0]), part, place, seen, on_canvas=True, notes=notes)  # type: ignore[arg-type]


def _up(side: float) -> int:
    """Rounded up, but for what floating point adds: a canvas is never too small for its subject."""
    return math.ceil(side - 1e-6)


def _within(part: Pixels, offset: list[float], scale: float, file: tuple[int, ...]) -> Pixels:
    """What lies inside the canvas, to whole pixels of the picture; at least one."""
    low = [max(part[i], math.floor(-offset[i] / scale)) for i in (0, 1)]
    high = [min(part[i + 2], math.ceil((file[i] - offset[i]) / scale)) for i in (0, 1)]
    low = [min(low[i], part[i + 2] - 1) for i in (0, 1)]
    high = [max(high[i], low[i] + 1) for i in (0, 1)]
    return low[0], low[1], high[0], high[1]


def _centre_of_mass(alpha: Alpha) -> tuple[float, float]:
    """Across and down; the middle if nothing is visible."""
    down, across = alpha.sum(1, dtype=np.int64), alpha.sum(0, dtype=np.int64)
    total = int(down.sum())
    if not total:
        return alpha.shape[1] / 2, alpha.shape[0] / 2
    places = (np.arange(len(each)) + 0.5 for each in (across, down))
    x, y = (float((place * each).sum() / total) for place, each in zip(places, (across, down), strict=True))
    return x, y
