"""A cutout's file as pixels, strip by strip: shadow, outline and subject over a background, on a canvas or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, Alpha, Size
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.picture.colour import to_profile
from segmentation.picture.compose import (
    blur_background,
    compose_cutout,
    compose_over,
    fit_backdrop,
    multiply_opacity,
    over_colour,
    resize_cutout,
)
from segmentation.picture.layout import Layout, layout_of
from segmentation.picture.outline import outline_of
from segmentation.picture.picture import STRIP_BYTES, Picture
from segmentation.picture.resize import resize, resize_part
from segmentation.picture.rows import Rows
from segmentation.picture.shadow import shadow_of
from segmentation.settings import Export, rgb_of

NO_BACKDROP = Message("The background is set to a picture, but there is none: add a backdrop.")
WHITE = (255, 255, 255)
_BLACK = np.zeros(3, np.uint8)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Composition:
    """The pixels of a file, grey, RGB or RGBA, computed as they are asked for."""

    layout: Layout
    channels: int
    rows: Callable[[int, int], Pixels]
    """First row and the one after the last -> these rows, (rows, width) or (rows, width, channels)."""
    notes: tuple[str, ...] = ()
    """Sentences about deviations from the settings."""

    def strips(self) -> Iterator[Pixels]:
        """All rows from top to bottom, in strips that stay in the CPU cache."""
        height, width = self.layout.size
        step = max(1, STRIP_BYTES // (width * self.channels))
        for top in range(0, height, step):
            yield self.rows(top, min(height, top + step))

    @property
    def pixels(self) -> Pixels:
        """All at once, (h, w) or (h, w, channels)."""
        height, width = self.layout.size
        whole = np.empty((height, width, self.channels)[: 2 if self.channels == 1 else 3], np.uint8)
        top = 0
        for strip in self.strips():
            whole[top : top + len(strip)] = strip
            top += len(strip)
        return whole


def composition(
    picture: Picture,
    colours: RGB,
    alpha: Alpha,
    export: Export,
    backdrop: Picture | None = None,
    *,
    longest: int = 0,
    reduced: float = 1.0,
) -> Composition:
    """How a cutout becomes the pixels of a file.

    Args:
        picture: The original picture.
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        export: How to write it.
        backdrop: The picture behind the subject, if `export` needs one; its transparent parts become white.
        longest: The most pixels on the longer side of a small version for viewing; 0 for the file itself.
        reduced: How many times smaller the arrays are than the picture itself, in a preview.

    Raises:
        SettingsError: There is no backdrop.
    """
    layout = layout_of(alpha, export, longest, reduced)
    subject, opacity = _placed(colours, alpha, layout, bool(longest))
    outline = shadow = None
    silhouette = opacity
    if export.outline_width:
        outline = outline_of(opacity, layout.size, export.outline_width * layout.unit)
        silhouette = _joined(opacity, outline)
    if export.shadow != "none":
        shadow = shadow_of(silhouette, layout, export)
    notes: tuple[str, ...] = layout.notes
    if export.background == "mask":
        return Composition(layout, 1, _joined(silhouette, shadow) if shadow else silhouette, notes)
    ink, more = to_profile(np.array([[rgb_of(export.outline_colour)]], np.uint8), None, picture.icc_profile)
    layers = _Layers(subject, opacity, outline, shadow, ink[0, 0])
    notes += more if outline else ()
    if export.background == "transparent" and export.format != "jpeg":
        return Composition(layout, 4, layers.straight, notes)
    if export.background == "transparent":
        notes += (
            Message("JPEG has no transparency, so the cutout was put on white; choose another background, or PNG."),
        )
    behind, more = _behind(picture, alpha, export, backdrop, layout)
    notes += tuple(note for note in more if note not in notes)
    if export.colour_opacity is not None:
        colour = (*behind, export.colour_opacity)
        return Composition(layout, 4, lambda top, bottom: over_colour(layers.straight(top, bottom), colour), notes)
    return Composition(layout, 3, lambda top, bottom: layers.over(behind, top, bottom), notes)


def _placed(colours: RGB, alpha: Alpha, layout: Layout, small: bool) -> tuple[Callable[[int, int], RGB], Rows]:
    """Colours and alpha of the subject in the file, row by row; nothing where the picture does not reach."""
    (left, top, right, bottom), place = layout.part, layout.place
    colours, alpha = colours[top:bottom, left:right], alpha[top:bottom, left:right]
    size = place[3] - place[1], place[2] - place[0]
    if size != alpha.shape:
        colours, alpha = resize_cutout(colours, alpha, size, fast=small)
    return _in_file(colours, layout), _in_file(alpha, layout)


def _in_file(plane: Any, layout: Layout) -> Callable[[int, int], Any]:
    (height, width), (left, top, right, bottom) = layout.size, layout.place
    if layout.place == (0, 0, width, height):
        return lambda first, last: plane[first:last]
    columns = slice(max(0, left), min(width, right))

    def part(first: int, last: int) -> Any:
        rows = np.zeros((last - first, width, *plane.shape[2:]), np.uint8)
        start, stop = max(first, top), min(last, bottom)
        if start < stop and columns.start < columns.stop:
            shown = plane[start - top : stop - top, columns.start - left : columns.stop - left]
            rows[start - first : stop - first, columns] = shown
        return rows

    return part


def _joined(above: Rows, below: Rows) -> Rows:
    """Alpha of one layer over another (Porter and Duff 1984)."""
    return lambda top, bottom: ~multiply_opacity(~above(top, bottom), ~below(top, bottom))


@dataclass(frozen=True, slots=True)
class _Layers:
    """A subject over its outline over its shadow."""

    subject: Callable[[int, int], RGB]
    opacity: Rows
    outline: Rows | None
    shadow: Rows | None
    ink: Pixels
    """The outline's colour."""

    def over(self, behind: RGB | tuple[int, int, int], top: int, bottom: int) -> RGB:
        """Rows of them over a background."""
        colours, alpha = self.subject(top, bottom), self.opacity(top, bottom)
        under = behind[top:bottom] if isinstance(behind, np.ndarray) else behind
        for layer, colour in ((self.shadow, _BLACK), (self.outline, self.ink)):
            if layer:
                under = compose_over(np.broadcast_to(colour, colours.shape), layer(top, bottom), under)
        return compose_over(colours, alpha, under)

    def straight(self, top: int, bottom: int) -> Pixels:
        """Rows of them with straight alpha: over any background, they look as if composed one by one."""
        colours, alpha = self.subject(top, bottom), self.opacity(top, bottom)
        cutout = compose_cutout(colours, alpha)
        if not (self.outline or self.shadow):
            return cutout
        outline = self.outline(top, bottom) if self.outline else np.zeros_like(alpha)
        whole = ~multiply_opacity(~alpha, ~outline)
        if self.shadow:
            whole = ~multiply_opacity(~whole, ~self.shadow(top, bottom))
        cutout[..., 3] = whole
        # only these are mixed: the subject alone keeps its colours, and the shadow alone is black
        mixed = ((outline > 0) & (alpha < 255)) | ((alpha > 0) & (alpha < whole))
        share = alpha[mixed].astype(np.float32)[:, None]
        rest = outline[mixed].astype(np.float32)[:, None] * (255 - share) / 255
        sums = share * colours[mixed] + rest * self.ink
        cutout[mixed, :3] = np.rint(np.minimum(sums / whole[mixed].astype(np.float32)[:, None], 255))
        return cutout


def _behind(
    picture: Picture, alpha: Alpha, export: Export, backdrop: Picture | None, layout: Layout
) -> tuple[RGB | tuple[int, int, int], tuple[str, ...]]:
    """The background of the file, in the picture's colour space, and warnings about it.

    It fits a canvas; otherwise it fits the whole picture, and is cropped with it.
    """
    if export.background == "blur":
        whole = _scaled(picture.size, layout)
        image, opacity = resize(opaque(picture), whole, "box"), resize(alpha, whole, "box")
        blurred = blur_background(image, opacity, export.background_blur)
        return _in_view(blurred, layout) if not layout.on_canvas else fit_backdrop(blurred, layout.size, "fill"), ()
    if export.background == "picture":
        if backdrop is None:
            raise SettingsError(NO_BACKDROP)
        size = layout.size if layout.on_canvas else _scaled(picture.size, layout)
        fitted = fit_backdrop(opaque(backdrop), size, export.background_fit)
        converted, notes = to_profile(fitted, backdrop.icc_profile, picture.icc_profile)
        return converted if layout.on_canvas else _in_view(converted, layout), notes
    pixel, notes = to_profile(np.array([[export.colour or WHITE]], np.uint8), None, picture.icc_profile)
    red, green, blue = pixel[0, 0]
    return (int(red), int(green), int(blue)), notes


def _scaled(size: Size, layout: Layout) -> Size:
    """The size of a whole picture at the scale of its file, if that is smaller."""
    scale = min(1.0, (layout.place[2] - layout.place[0]) / (layout.part[2] - layout.part[0]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _in_view(whole: RGB, layout: Layout) -> RGB:
    """The part of a background that is seen in a cropped file."""
    left, top, right, bottom = layout.part
    if layout.size == (bottom - top, right - left):
        return whole[top:bottom, left:right]
    down, across = (layout.size[i] / (layout.part[3 - i] - layout.part[1 - i]) for i in (0, 1))
    return resize_part(whole, layout.size, (left * across, top * down, right * across, bottom * down))


def opaque(picture: Picture) -> RGB:
    """Its colours, over white where it is transparent, so that hidden colours are not revealed."""
    return picture.rgb if picture.opacity is None else compose_over(picture.rgb, picture.opacity, WHITE)
