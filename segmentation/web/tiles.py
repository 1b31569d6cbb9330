"""Tiles of large pictures for the viewer, which never loads them whole: `/tile?file=&level=&x=&y=`.

Level 0 is the picture itself, and each further one has half its sides. A tile has `SIDE` pixels a side, less at the
picture's right and lower edge, as lossy WebP with its transparency.
"""

import threading
from collections import OrderedDict
from pathlib import Path

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from segmentation.errors import SegmentationError
from segmentation.picture.encode import to_small_webp
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits
from segmentation.web.guard.gradio_seams.server import is_logged_in
from segmentation.web.guard.uploads import shown_file
from segmentation.web.runs.service import Service

SIDE = 512  # pixels
LEVELS = 8
MAX_AT_WORK, MAX_WAITING = 2, 200  # tiles made at once, and waiting
HELD_BYTES = 256 << 20  # of decoded pictures: two of 24 megapixels with their transparency


class Levels:
    """Decoded pictures at their levels, those used last. Thread-safe."""

    def __init__(self, limits: Limits, held_bytes: int = HELD_BYTES) -> None:
        """Start with none.

        Args:
            limits: Limits for decoding.
            held_bytes: The most bytes that are held, unless a single level has more.
        """
        self._limits, self._held_bytes = limits, held_bytes
        self._pixels: OrderedDict[tuple[Path, float, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()  # also so that no picture is decoded twice at once

    def tile(self, path: Path, level: int, x: int, y: int) -> NDArray[np.uint8]:
        """The pixels of a tile; none if it lies outside.

        Raises:
            SegmentationError: The file cannot be read.
        """
        pixels = self._level(path, level)
        return pixels[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]

    def _level(self, path: Path, level: int) -> NDArray[np.uint8]:
        key = path, path.stat().st_mtime, level
        with self._lock:
            if key not in self._pixels:
                self._pixels[key] = self._halved(key) if level else self._decoded(path)
                while len(self._pixels) > 1 and sum(each.nbytes for each in self._pixels.values()) > self._held_bytes:
                    self._pixels.popitem(last=False)
            self._pixels.move_to_end(key)
            return self._pixels[key]

    def _decoded(self, path: Path) -> NDArray[np.uint8]:
        picture = load_image(path, **self._limits._asdict())
        return picture.rgb if picture.opacity is None else np.dstack([picture.rgb, picture.opacity])

    def _halved(self, key: tuple[Path, float, int]) -> NDArray[np.uint8]:
        path, at, level = key
        whole = self._pixels.get((path, at, 0))
        # every second pixel: it is seen at half its size for as long as it takes to zoom in
        return np.ascontiguousarray((self._decoded(path) if whole is None else whole)[:: 1 << level, :: 1 << level])


def tile_routes(service: Service) -> list[BaseRoute]:
    """The route, for `launch`."""
    levels = Levels(service.config.limits)
    threads: list[anyio.CapacityLimiter] = []  # separate: waiting tiles must not block the server's threads

    def made(path: Path, level: int, x: int, y: int) -> bytes | None:
        try:
            pixels = levels.tile(path, level, x, y)
        except (SegmentationError, OSError):
            return None
        return to_small_webp(np.ascontiguousarray(pixels)) if pixels.size else None

    async def tile(request: Request) -> Response:
        if not is_logged_in(request):
            return Response(status_code=401)
        if not threads:
            threads.append(anyio.CapacityLimiter(MAX_AT_WORK))
        if threads[0].statistics().tasks_waiting >= MAX_WAITING:
            return Response(status_code=503)
        asked = request.query_params
        numbers = [asked.get(name, "") for name in ("level", "x", "y")]
        if not all(number.isascii() and number.isdigit() and len(number) < 5 for number in numbers):
            return Response(status_code=400)
        level, x, y = map(int, numbers)
        try:
            path = shown_file(asked.get("file"))
        except SegmentationError:
            return Response(status_code=404)
        webp = await run_sync(made, path, level, x, y, limiter=threads[0]) if level < LEVELS else None
        if webp is None:
            return Response(status_code=404)
        return Response(webp, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})

    return [Route("/tile", tile)]
