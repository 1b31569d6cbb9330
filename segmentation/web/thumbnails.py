"""Thumbnails of uploads that browsers cannot display, such as HEIC and TIFF."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import numpy as np
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from segmentation.errors import SegmentationError
from segmentation.picture.compose import compose_over
from segmentation.picture.composition import WHITE
from segmentation.picture.encode import save_jpeg
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits
from segmentation.picture.resize import shrunk
from segmentation.web.guard.gradio_seams.server import is_logged_in
from segmentation.web.guard.uploads import uploaded_files
from segmentation.web.runs.service import Service

SIDE = 512  # pixels
MAX_AT_WORK, MAX_WAITING = 2, 50  # previews made at once, and waiting
# shown for unreadable files: an answer without a picture would be an error in the visitor's console
_PLACEHOLDER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="#9994"/>'
    b'<text x="32" y="42" text-anchor="middle" font-family="sans-serif" font-size="28" fill="#888">?</text></svg>'
)


def thumbnail_routes(service: Service) -> list[BaseRoute]:
    """The route, for `launch`: `/preview?file=` plus the path that the upload returned."""
    threads: list[anyio.CapacityLimiter] = []  # separate: waiting previews must not block the server's threads

    async def preview(request: Request) -> Response:
        if not is_logged_in(request):
            return Response(status_code=401)
        if not threads:
            threads.append(anyio.CapacityLimiter(MAX_AT_WORK))
        if threads[0].statistics().tasks_waiting >= MAX_WAITING:
            return Response(_PLACEHOLDER, media_type="image/svg+xml")
        try:
            (path,) = uploaded_files([request.query_params.get("file")], 1)
        except SegmentationError:
            return Response(_PLACEHOLDER, media_type="image/svg+xml")
        jpeg = await run_sync(_preview, path, service.config.limits, limiter=threads[0])
        if jpeg is None:
            return Response(_PLACEHOLDER, media_type="image/svg+xml")
        return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    return [Route("/preview", preview)]


@lru_cache(maxsize=256)
def _preview(path: Path, limits: Limits) -> bytes | None:
    try:
        return to_jpeg(path, SIDE, limits)
    except SegmentationError:
        return None


def to_jpeg(path: Path, longest: int, limits: Limits = Limits()) -> bytes:  # noqa: B008  # it is immutable
    """A picture file as a small JPEG, over white where it is transparent.

    Raises:
        ImageError: The file cannot be read.
    """
    picture = shrunk(load_image(path, **limits._asdict()), longest)
    rgb = picture.rgb if picture.opacity is None else compose_over(picture.rgb, picture.opacity, WHITE)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "small.jpg"
        save_jpeg(np.ascontiguousarray(rgb), file)
        return file.read_bytes()
