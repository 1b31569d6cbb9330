"""`frames`: cut the subjects out of raw frames, between two ffmpegs."""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from segmentation.arrays import RGB
from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers, add_command
from segmentation.commands.recipes import Chosen, add_recipe, read_recipe
from segmentation.config import Config
from segmentation.errors import SegmentationError, SettingsError
from segmentation.matting.estimators import prepare
from segmentation.models.finder import ModelFinder
from segmentation.models.registry import Registry
from segmentation.network.machine import available_cores
from segmentation.network.pool import threads_for
from segmentation.network.session import Session, load_configured
from segmentation.picture.export import save_export
from segmentation.picture.picture import Picture
from segmentation.pipeline import segment
from segmentation.recipe import EXPORT
from segmentation.refinement import Result

EXAMPLES = """\
example:
  ffmpeg -v error -i in.mp4 -f rawvideo -pix_fmt rgb24 - |
    {prog} frames 1280 720 |
    ffmpeg -v error -f rawvideo -pix_fmt rgba -s 1280x720 -r 25 -i - -c:v qtrle out.mov
"""
_MANY = 1 << 20  # how many frames will come is not known


def add(parsers: Parsers) -> None:
    """Add the command."""
    frames = add_command(
        parsers, "frames", "cut the subjects out of raw frames, between two ffmpegs", "WIDTH HEIGHT", EXAMPLES
    )
    frames.set_defaults(command=_run)
    frames.add_argument("width", type=int, metavar="WIDTH", help="of a frame, in pixels")
    frames.add_argument("height", type=int, metavar="HEIGHT", help="of a frame, in pixels")
    frames.add_argument(
        "-o", "--output", type=Path, metavar="OUT",
        help="folder for frame-000001.png and so on (default: raw RGBA on standard output, colours not multiplied)",
    )  # fmt: skip
    frames.add_argument("--overwrite", action="store_true", help="replace frames in OUT")
    add_recipe(frames)


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    chosen = read_recipe(options, config, registry)
    width, height = options.width, options.height
    if not (0 < width <= config.max_side and 0 < height <= config.max_side and width * height <= config.max_pixels):
        raise SettingsError(f"{width} x {height} is no size of frames.")
    if sys.stdin.isatty():
        raise SettingsError("Nothing is piped here: raw RGB24 frames are read from standard input.")
    if options.output is None:
        if flags := sorted(chosen.flags & EXPORT.keys()):
            raise SettingsError(f"Raw frames have no {flags[0]}. Name a folder with -o.")
        if sys.stdout.isatty():
            raise SettingsError("The frames would be written to the terminal: name a folder with -o.")
    prepare(chosen.recipe.settings, lambda sentence: print(sentence, file=sys.stderr))
    with Bars() as bars:
        spec = ModelFinder.of(config, registry).spec(chosen.recipe.model, bars.show)
        threads = threads_for(spec, _MANY)
        session = load_configured(spec, config, device=options.device, threads=threads, on_progress=bars.show)
    sink = _Sink(chosen, options.output, (height, width), is_replacing=options.overwrite)
    frames = _Frames(sys.stdin.buffer, width, height)
    failed = 0
    try:
        for number, pending in enumerate(_results(frames, session, chosen), 1):
            try:
                picture, result = pending.result()
            except SegmentationError as error:
                failed += 1
                print(f"frame {number}: {error}", file=sys.stderr)
                sink.write_nothing()
            else:
                sink.write(number, picture, result)
    except BrokenPipeError:  # who reads the frames has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more
        return 1
    if frames.rest:
        raise SettingsError(f"The last frame has {frames.rest} of {frames.size} bytes: check width, height and rgb24.")
    return int(failed > 0)


class _Frames:
    """Each frame, (h, w, 3), as it arrives."""

    def __init__(self, source: BinaryIO, width: int, height: int) -> None:
        self._source, self._shape = source, (height, width, 3)
        self.size = width * height * 3
        self.rest = 0
        """Bytes of a last frame that is not complete."""

    def __iter__(self) -> Iterator[RGB]:
        while data := self._source.read(self.size):
            if len(data) < self.size:
                self.rest = len(data)
                return
            yield np.frombuffer(data, np.uint8).reshape(self._shape)


_Pending = Future[tuple[Picture, Result]]


def _results(frames: Iterable[RGB], session: Session, chosen: Chosen) -> Iterator[_Pending]:
    """The results in the order of the frames. A frame is read only once there is room for it, so pipes fill up."""
    cores = available_cores()
    waiting: deque[_Pending] = deque()

    def work(frame: RGB) -> tuple[Picture, Result]:
        picture = Picture(frame, name="frame")
        return picture, segment(picture, session, chosen.recipe.settings)

    with ThreadPoolExecutor(cores, "frame") as executor:
        for frame in frames:
            waiting.append(executor.submit(work, frame))
            if len(waiting) > cores:  # the oldest; the others are worked on meanwhile
                yield waiting.popleft()
        yield from waiting


class _Sink:
    """Where frames go: raw to the standard output, or as files into a folder."""

    def __init__(self, chosen: Chosen, folder: Path | None, size: tuple[int, int], *, is_replacing: bool) -> None:
        """Nothing is written yet.

        Raises:
            SettingsError: There are frames in the folder already.
        """
        self._chosen, self._folder, self._size = chosen, folder, size
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            there = next(folder.glob("frame-*"), None)
            if there and not is_replacing:
                raise SettingsError(f"{there} exists. Choose another folder with -o, or replace it with --overwrite.")

    def write(self, number: int, picture: Picture, result: Result) -> None:
        """Write a frame."""
        if self._folder is None:
            self._put(result.cutout.tobytes())
            return
        export = self._chosen.recipe.export
        file = self._folder / f"frame-{number:06}{export.ending}"
        save_export(picture, result.foreground, result.alpha, file, export, self._chosen.behind)

    def write_nothing(self) -> None:
        """In place of a frame that failed, a transparent one, so that the others keep their time; no file."""
        if self._folder is None:
            self._put(bytes(self._size[0] * self._size[1] * 4))

    def _put(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
