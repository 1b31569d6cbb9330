"""A cutout as a file of its owner's choice: format, crop, and what lies behind the subject."""

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

NO_BACKDROP = Message("The background is to be a picture, but there is none: add a backdrop.")
WHITE = (255, 255, 255)


def export_box(alpha: Alpha, export: Export) -> Box:
    """The part of the picture that is written: all of it, or the subject with room around it."""
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
        picture: Where it was cut from.
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        path: The file, ending as `export.ending` says.
        export: How.
        backdrop: The picture behind, where `export` asks for one; white where it is transparent itself.

    Returns:
        Sentences about what is not as asked for.

    Raises:
        SettingsError: There is no backdrop.
        ImageError: The format cannot hold so many pixels.
        OSError: The file cannot be written.
    """
    if export.background == "transparent" and export.format == "png":  # without ever holding the whole cutout
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
    """What `save_export` writes: a grey, RGB or RGBA picture, and what is to be said about it.

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
            Message("JPEG holds no transparency, so the cutout was put over white; choose another background, or PNG."),
        )
    # what is behind fits the whole picture, whatever is cropped of it
    behind, said = _behind(picture, alpha, export, backdrop)
    composite = compose_over(colours[part], alpha[part], behind[part] if isinstance(behind, np.ndarray) else behind)
    return composite, (*notes, *said)


def _behind(
    picture: Picture, alpha: Alpha, export: Export, backdrop: Picture | None
) -> tuple[RGB | tuple[int, int, int], tuple[str, ...]]:
    """What lies behind, in the picture's colour space, and what is to be said about it."""
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
    """Its colours, over white where it is transparent: what is hidden there must not come to light."""
    return picture.rgb if picture.opacity is None else compose_over(picture.rgb, picture.opacity, WHITE)


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture as PNG with its own transparency; colours that are not seen are not written.

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
    """A cutout made smaller, with the background and crop of the file itself: PNG, or lossy WebP, which loads sooner.

    Args:
        picture: Where it was cut from.
        colours: The subject's own colours.
        alpha: Its opacity.
        path: The file; its ending says which.
        export: How the cutout itself is written.
        backdrop: The picture behind, where `export` asks for one.
        longest: Its longer side in pixels, before cropping.

    Raises:
        OSError: The file cannot be written.
    """
    small = thumbnail(colours, alpha, longest)
    own, opacity = np.ascontiguousarray(small[..., :3]), np.ascontiguousarray(small[..., 3])
    # only a blur shows anything of the picture but its subject
    seen = resize(_opaque(picture), small.shape[:2], "box") if export.background == "blur" else own
    pixels, _ = compose_export(replace(picture, rgb=seen, opacity=None), own, opacity, export, backdrop)
    write = save_lossy_webp if path.suffix == ".webp" else save_png
    write(pixels, path, None if export.background == "mask" else picture.icc_profile)


def save_small_picture(picture: Picture, path: Path, longest: int) -> None:
    """The picture itself made smaller, as lossy WebP; colours that are not seen are not written.

    Raises:
        OSError: The file cannot be written.
    """
    if picture.opacity is None:
        save_lossy_webp(shrunk(picture, longest).rgb, path, picture.icc_profile)
    else:
        save_lossy_webp(thumbnail(picture.rgb, picture.opacity, longest), path, picture.icc_profile)
