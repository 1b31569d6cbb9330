"""A cutout as a file: format, crop and background."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, Alpha
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.picture.colour import to_profile
from segmentation.picture.compose import (
    VISIBLE,
    blur_background,
    compose_cutout,
    compose_over,
    fit_backdrop,
    save_cutout,
    thumbnail,
)
from segmentation.picture.encode import save_jpeg, save_lossy_webp, save_webp
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png
from segmentation.picture.resize import resize, shrunk
from segmentation.settings import Export

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""

NO_BACKDROP = Message("The background is set to a picture, but there is none: add a backdrop.")
WHITE = (255, 255, 255)


def export_box(alpha: Alpha, export: Export) -> Box:
    """The part of the picture to write: all of it, or the subject with a margin."""
    height, width = alpha.shape
    visible = alpha >= VISIBLE
    rows, columns = (np.flatnonzero(visible.any(axis)) for axis in (1, 0))
    if not export.crop or not rows.size:
        return 0, 0, width, height
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = round(max(bottom - top, right - left) * export.crop_margin / 100)
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)


def save_export(
    picture: Picture, colours: RGB, alpha: Alpha, path: Path, export: Export, backdrop: Picture | None = None
) -> tuple[str, ...]:
    """Write a cutout.

    Args:
        picture: The original picture.
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        path: The file, with the extension `export.ending`.
        export: How to write it.
        backdrop: The picture behind the subject, if `export` needs one; its transparent parts become white.

    Returns:
        Sentences about deviations from the settings.

    Raises:
        SettingsError: There is no backdrop.
        ImageError: The picture is too large for the format.
        OSError: The file cannot be written.
    """
    if export.background == "transparent" and export.format == "png":  # never holds the whole cutout in memory
        left, top, right, bottom = export_box(alpha, export)
        part = np.s_[top:bottom, left:right]
        save_cutout(colours[part], alpha[part], path, picture.icc_profile)
        return ()
    pixels, notes = compose_export(picture, colours, alpha, export, backdrop)
    profile = None if export.background == "mask" else picture.icc_profile
    {"png": save_png, "webp": save_webp, "jpeg": save_jpeg}[export.format](pixels, path, profile)
    return notes


def compose_export(
    picture: Picture, colours: RGB, alpha: Alpha, export: Export, backdrop: Picture | None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The pixels that `save_export` writes, grey, RGB or RGBA, and warnings about them.

    Raises:
        SettingsError: There is no backdrop.
    """
    left, top, right, bottom = export_box(alpha, export)
    part = np.s_[top:bottom, left:right]
    if export.background == "mask":
        return np.ascontiguousarray(alpha[part]), ()
    if export.background == "transparent" and export.format != "jpeg":
        return compose_cutout(colours[part], alpha[part]), ()
    notes: tuple[str, ...] = ()
    if export.background == "transparent":
        notes = (
            Message("JPEG has no transparency, so the cutout was put on white; choose another background, or PNG."),
        )
    # the background fits the whole picture, and is cropped with it
    behind, more = _behind(picture, alpha, export, backdrop)
    composite = compose_over(colours[part], alpha[part], behind[part] if isinstance(behind, np.ndarray) else behind)
    return composite, (*notes, *more)


def _behind(
    picture: Picture, alpha: Alpha, export: Export, backdrop: Picture | None
) -> tuple[RGB | tuple[int, int, int], tuple[str, ...]]:
    """The background, in the picture's colour space, and warnings about it."""
    if export.background == "blur":
        return blur_background(_opaque(picture), alpha, export.background_blur), ()
    if export.background == "picture":
        if backdrop is None:
            raise SettingsError(NO_BACKDROP)
        fitted = fit_backdrop(_opaque(backdrop), picture.size, export.background_fit)
        return to_profile(fitted, backdrop.icc_profile, picture.icc_profile)
    pixel, notes = to_profile(np.array([[export.colour or WHITE]], np.uint8), None, picture.icc_profile)
    red, green, blue = pixel[0, 0]
    return (int(red), int(green), int(blue)), notes


def _opaque(picture: Picture) -> RGB:
    """Its colours, over white where it is transparent, so that hidden colours are not revealed."""
    return picture.rgb if picture.opacity is None else compose_over(picture.rgb, picture.opacity, WHITE)


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture as PNG with its own transparency, without the colours of invisible pixels.

    Raises:
        OSError: The file cannot be written.
    """
    if picture.opacity is None:
        save_png(picture.rgb, path, picture.icc_profile)
    else:
        save_cutout(picture.rgb, picture.opacity, path, picture.icc_profile)


def save_small(
    picture: Picture, colours: RGB, alpha: Alpha, path: Path, export: Export, backdrop: Picture | None, longest: int
) -> None:
    """Write a small version of a cutout, with the same background and crop: PNG, or lossy WebP, which loads faster.

    Args:
        picture: The original picture.
        colours: The subject's own colours.
        alpha: Its opacity.
        path: The file; its extension selects the format.
        export: How the cutout itself is written.
        backdrop: The picture behind the subject, if `export` needs one.
        longest: Its longer side in pixels, before cropping.

    Raises:
        OSError: The file cannot be written.
    """
    small = thumbnail(colours, alpha, longest)
    own, opacity = np.ascontiguousarray(small[..., :3]), np.ascontiguousarray(small[..., 3])
    # only a blur shows any of the picture besides its subject
    seen = resize(_opaque(picture), small.shape[:2], "box") if export.background == "blur" else own
    pixels, _ = compose_export(replace(picture, rgb=seen, opacity=None), own, opacity, export, backdrop)
    write = save_lossy_webp if path.suffix == ".webp" else save_png
    write(pixels, path, None if export.background == "mask" else picture.icc_profile)


def save_small_picture(picture: Picture, path: Path, longest: int) -> None:
    """Write a small version of the picture itself as lossy WebP, without the colours of invisible pixels.

    Raises:
        OSError: The file cannot be written.
    """
    if picture.opacity is None:
        save_lossy_webp(shrunk(picture, longest).rgb, path, picture.icc_profile)
    else:
        save_lossy_webp(thumbnail(picture.rgb, picture.opacity, longest), path, picture.icc_profile)
