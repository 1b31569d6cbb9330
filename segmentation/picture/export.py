"""A cutout as a file."""

from pathlib import Path

from segmentation.arrays import RGB, Alpha
from segmentation.messages import Message
from segmentation.picture.compose import save_cutout, thumbnail
from segmentation.picture.composition import composition
from segmentation.picture.encode import save_jpeg, save_lossy_webp, save_webp
from segmentation.picture.layout import Box, layout_of
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png, save_png_strips
from segmentation.picture.resize import shrunk
from segmentation.settings import Export


def export_box(alpha: Alpha, export: Export) -> Box:
    """The edges of the file in pixels of the picture: all of it, the subject with a margin, or a canvas around it."""
    return layout_of(alpha, export).box


def save_export(
    picture: Picture,
    colours: RGB,
    alpha: Alpha,
    path: str | Path,
    export: Export,
    backdrop: Picture | None = None,
    *,
    reduced: float = 1.0,
) -> tuple[str, ...]:
    """Write a cutout.

    Args:
        picture: The original picture.
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        path: The file, with the extension `export.ending`.
        export: How to write it.
        backdrop: The picture behind the subject, if `export` needs one; its transparent parts become white.
        reduced: How many times smaller the arrays are than the picture itself, in a preview.

    Returns:
        Sentences about deviations from the settings.

    Raises:
        SettingsError: There is no backdrop.
        ImageError: The picture is too large for the format.
        OSError: The file cannot be written.
    """
    path = Path(path)
    whole = composition(picture, colours, alpha, export, backdrop, reduced=reduced)
    profile = None if export.background == "mask" else picture.icc_profile
    if export.format == "png":  # never holds the whole file in memory
        save_png_strips(whole.strips(), whole.layout.size, whole.channels, path, profile)
        size = path.stat().st_size
    else:
        save = {"webp": save_webp, "jpeg": save_jpeg}[export.format]
        size = save(whole.pixels, path, profile, most_bytes=export.max_kb * 1000)
    if not export.max_kb or size <= export.max_kb * 1000:
        return whole.notes
    facts = {"size": -(-size // 1000), "most": export.max_kb}
    if export.format == "png":
        note = Message("The file has {size} kB, not {most}: PNG cannot be made smaller. Choose JPEG or WebP.", **facts)
    else:
        note = Message(
            "The file has {size} kB, not {most}, though its quality is the lowest. Limit its longer side, or allow "
            "more.", **facts,
        )  # fmt: skip
    return (*whole.notes, note)


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
    """Write a small version of a cutout that looks like its file: PNG, or lossy WebP, which loads faster.

    Args:
        picture: The original picture.
        colours: The subject's own colours.
        alpha: Its opacity.
        path: The file; its extension selects the format.
        export: How the cutout itself is written.
        backdrop: The picture behind the subject, if `export` needs one.
        longest: The most pixels on its longer side.

    Raises:
        OSError: The file cannot be written.
    """
    small = composition(picture, colours, alpha, export, backdrop, longest=longest)
    write = save_lossy_webp if path.suffix == ".webp" else save_png
    write(small.pixels, path, None if export.background == "mask" else picture.icc_profile)


def save_small_picture(picture: Picture, path: Path, longest: int) -> None:
    """Write a small version of the picture itself as lossy WebP, without the colours of invisible pixels.

    Raises:
        OSError: The file cannot be written.
    """
    if picture.opacity is None:
        save_lossy_webp(shrunk(picture, longest).rgb, path, picture.icc_profile)
    else:
        save_lossy_webp(thumbnail(picture.rgb, picture.opacity, longest), path, picture.icc_profile)
