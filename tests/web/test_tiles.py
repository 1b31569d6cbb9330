"""Tiles of large pictures: exact places, any level, and only of what was uploaded."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from segmentation.picture.picture import Limits
from segmentation.web.guard.uploads import new_run_folder
from segmentation.web.tiles import SIDE, Levels
from tests.web.conftest import Server


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, Any]:
    """A picture whose colours tell the place: red counts columns of tiles, green rows."""
    y, x = np.mgrid[: 2 * SIDE + 100, : 3 * SIDE + 60]
    pixels = np.dstack([60 * (x // SIDE), 60 * (y // SIDE), x % 256, np.full_like(x, 255)]).astype(np.uint8)
    pixels[:SIDE, :SIDE, 3] = 0
    pixels[pixels[..., 3] == 0] = 0
    Image.fromarray(pixels).save(tmp_path / "large.png")
    return tmp_path / "large.png", pixels


def test_tiles_put_together_are_the_picture(large: tuple[Path, Any]) -> None:
    path, pixels = large
    levels = Levels(Limits())
    rows = [np.hstack([levels.tile(path, 0, x, y) for x in range(4)]) for y in range(3)]
    assert np.array_equal(np.vstack(rows), pixels)
    assert np.array_equal(levels.tile(path, 1, 0, 0), pixels[: 2 * SIDE : 2, : 2 * SIDE : 2])
    assert levels.tile(path, 0, 9, 0).size == 0


def test_no_more_is_held_than_was_said(large: tuple[Path, Any]) -> None:
    path, pixels = large
    levels = Levels(Limits(), held_bytes=pixels.nbytes + 1)
    for level in (0, 1, 2, 0):
        levels.tile(path, level, 0, 0)
        assert sum(each.nbytes for each in levels._pixels.values()) <= pixels.nbytes + 1


def test_the_route_serves_uploads_and_results_alone(server: Server, large: tuple[Path, Any], tmp_path: Path) -> None:
    path, pixels = large
    with httpx.Client(base_url=server.url) as client:
        (file,) = client.post("/gradio_api/upload", files={"files": path.read_bytes()}).json()
        answer = client.get("/tile", params={"file": file, "level": 0, "x": 1, "y": 1})
        assert answer.headers["content-type"] == "image/webp"
        tile = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        assert tile.shape == (SIDE, SIDE, 4)
        assert np.abs(tile.astype(int) - pixels[SIDE : 2 * SIDE, SIDE : 2 * SIDE]).mean() < 6
        result = new_run_folder() / "large-cutout.png"
        for folder, status in ((result.parent, 200), (server.uploads / "elsewhere", 404), (result.parent / "in", 404)):
            folder.mkdir(exist_ok=True)
            asked: dict[str, Any] = {"file": str(folder / result.name), "level": 0, "x": 0, "y": 0}
            (folder / result.name).write_bytes(path.read_bytes())
            assert client.get("/tile", params=asked).status_code == status, folder
        wrongs: tuple[tuple[dict[str, Any], int], ...] = (
            ({"file": file, "level": 0, "x": 40, "y": 0}, 404), ({"file": file, "level": 9, "x": 0, "y": 0}, 404),
            ({"file": file, "level": -1, "x": 0, "y": 0}, 400), ({"file": file, "level": "", "x": 0}, 400),
            ({"file": str(path), "level": 0, "x": 0, "y": 0}, 404), ({"level": 0, "x": 0, "y": 0}, 404),
            ({"file": "/etc/passwd", "level": 0, "x": 0, "y": 0}, 404),
        )  # fmt: skip
        for wrong, status in wrongs:
            assert client.get("/tile", params=wrong).status_code == status, wrong
