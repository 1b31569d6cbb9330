"""The files of a cutout: itself, and what a viewer shows beside it."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segmentation.arrays import Size
from segmentation.picture.encode import whole_file
from segmentation.picture.export import save_picture, save_small, save_small_picture
from segmentation.picture.layout import Box, layout_of
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png
from segmentation.refinement import UNSURE, Result
from segmentation.settings import Export

SCREEN_SIDE = 1440  # pixels on the longer side of what a viewer shows before zooming

BROWSERS_SHOW = ("JPEG", "PNG", "WEBP", "BMP", "AVIF")  # and GIF, but most of those are animated


@dataclass(frozen=True, slots=True)
class Cutout:
    """A cutout's file, and the files written beside it."""

    label: str
    """Its class, if the network distinguishes several."""
    file: Path
    box: Box
    """Its edges in pixels of the picture: all of it, a part, or a canvas that may reach beyond it."""
    thumbnail: Path | None = None
    screen: Path | None = None
    """The cutout at screen size, if it is larger than that."""
    stages: dict[str, Path] = field(default_factory=dict)
    """Pictures of the stages by name, if requested; "before" is the picture if browsers cannot show it,
    "before_screen" the picture at screen size if it is larger than that."""
    size: Size = (0, 0)
    """(height, width) of the file."""
    subject: Box = (0.0, 0.0, 0.0, 0.0)
    """The visible subject in pixels of the file, without outline and shadow."""
    density: float = 1.0
    """Pixels of the file across a pixel of the picture, which a canvas or a limit may have scaled."""

    @property
    def all_files(self) -> list[Path]:
        """The file itself and everything written beside it."""
        return [file for file in (self.file, self.thumbnail, self.screen, *self.stages.values()) if file]


def save_thumbnail(
    picture: Picture, result: Result, file: Path, export: Export, backdrop: Picture | None, longest: int
) -> Path:
    """Write a small PNG beside a cutout's file, its longer side at most so many pixels."""
    small = file.with_name(f"{file.stem}.small.png")
    save_small(picture, result.foreground, result.alpha, small, export, backdrop, longest)
    return small


def save_for_viewer(
    picture: Picture, result: Result, file: Path, export: Export, backdrop: Picture | None
) -> tuple[Path | None, dict[str, Path]]:
    """Write what a viewer needs beside a cutout's file.

    Returns:
        `Cutout.screen` and `Cutout.stages`.
    """
    folder, stem, screen = file.parent, file.stem, None
    stages = save_stages(result, folder, stem)
    if not (picture.kind in BROWSERS_SHOW and picture.is_whole):
        stages["before"] = folder / f"{stem}.before.png"
        save_picture(picture, stages["before"])
    if max(layout_of(result.alpha, export).size) > SCREEN_SIDE:
        screen = folder / f"{stem}.screen.webp"
        save_small(picture, result.foreground, result.alpha, screen, export, backdrop, SCREEN_SIDE)
    if max(picture.size) > SCREEN_SIDE:
        stages["before_screen"] = folder / f"{stem}.before-screen.webp"
        save_small_picture(picture, stages["before_screen"], SCREEN_SIDE)
    return screen, stages


def save_stages(result: Result, folder: Path, stem: str) -> dict[str, Path]:
    """Write the planes of every stage as grey PNGs.

    Returns:
        Stage -> file. The probability map has the network's resolution; there is a trimap only with matting. The doubt,
        one pixel a cell of the network, is there if it is worth a warning.
    """
    planes = {"probability": np.rint(result.probability * 255.0).astype(np.uint8), "mask": result.mask}
    if result.trimap is not None:
        planes["trimap"] = result.trimap
    planes["alpha"] = result.alpha
    if result.doubt is not None and result.doubt_share > UNSURE:
        planes["doubt"] = result.doubt.astype(np.uint8) * 255
    files = {stage: folder / f"{stem}.{stage}.png" for stage in planes}
    for stage, file in files.items():
        save_png(planes[stage], file)
    return files


def write_zip(files: Iterable[Path], target: Path) -> Path:
    """One ZIP of all files, stored uncompressed: pictures are compressed already."""
    # file times may lie before 1980, where ZIP's clock begins
    with (
        whole_file(target) as whole,
        zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        for file in files:
            archive.write(file, file.name)
    return target
