"""A visitor's own mask, and strokes that come with a link, in a real browser."""

import json
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from segmentation import Settings, Stroke, load_image, save_png, segment
from tests.web.browser.browsing import SAVE, Watched, violations
from tests.web.conftest import Server

pytestmark = pytest.mark.browser

STROKES = (Stroke("keep", 4.0, ((12.0, 12.0), (14.5, 40.0))),)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.full((60, 90, 3), 20, np.uint8)
    pixels[10:50, 40:80] = 235
    path = tmp_path_factory.mktemp("own") / "square.png"
    Image.fromarray(pixels).save(path)
    return path


def test_an_own_mask_is_used_before_and_after_the_first_run(watched: Watched, picture: Path, tmp_path: Path) -> None:
    page = watched.page
    mask = np.zeros((60, 90), np.uint8)
    mask[5:30, 5:60] = 255
    Image.fromarray(mask).save(tmp_path / "mine.png")
    watched.add(picture)
    watched.open("matting")
    page.locator("#alpha_matting input").uncheck()
    expect(page.locator("#mask_mode")).to_be_hidden()
    with page.expect_file_chooser() as chooser:
        page.locator("#own_mask").click()
    chooser.value.set_files(tmp_path / "mine.png")
    expect(page.locator("#own_status")).to_contain_text("mine.png is the own mask of square.png.")
    expect(page.locator("#mask_mode")).to_be_visible()
    assert violations(page) == []
    watched.run(1)
    (tmp_path / "cutout.png").write_bytes(watched.fetched(SAVE, "href"))
    with Image.open(tmp_path / "cutout.png") as cutout:
        assert np.array_equal(np.asarray(cutout)[..., 3], mask)
    expect(page.locator("#report")).to_contain_text("No model ran.")
    watched.shot("own-mask")
    page.locator("#own_remove").click()
    expect(page.locator("#status .line")).to_contain_text("has been cut out without a model. Cut out again.")
    expect(page.locator("#mask_mode")).to_be_hidden()


def test_an_own_mask_goes_to_the_picture_that_failed_and_is_shown(
    watched: Watched, server: Server, picture: Path, tmp_path: Path
) -> None:
    page = watched.page
    (tmp_path / "second.png").write_bytes(picture.read_bytes())
    Image.new("L", (90, 60), 255).save(tmp_path / "mine.png")
    query = {"model": "bright.onnx", "alpha_matting": "false", "points": '[{"x": 2, "y": 2}]'}  # on nothing
    page.goto(f"{server.url}/?{urlencode(query)}")
    watched.loaded()
    watched.add(picture, tmp_path / "second.png")
    watched.press("#run")
    expect(page.locator("#viewer .thumb")).to_have_count(1)
    page.locator("#viewer .film button").nth(1).click()
    expect(page.locator("#viewer .film .thumb[aria-current=true]")).to_have_count(1)
    page.locator("#viewer .film button.broken").click()
    expect(page.locator("#viewer .failure")).to_be_visible()
    watched.open("matting")
    with page.expect_file_chooser() as chooser:
        page.locator("#own_mask").click()
    chooser.value.set_files(tmp_path / "mine.png")
    expect(page.locator("#own_status")).to_contain_text("mine.png is the own mask of square.png.")
    expect(page.locator("#viewer .failure")).to_be_hidden()
    expect(page.locator("#viewer .thumb")).to_have_count(2)


def test_strokes_of_a_link_are_those_of_the_first_picture(
    watched: Watched, server: Server, picture: Path, tmp_path: Path
) -> None:
    page = watched.page
    said = json.dumps([stroke.as_json() for stroke in STROKES])
    page.goto(f"{server.url}/?{urlencode({'model': 'bright.onnx', 'strokes': said})}")
    watched.loaded()
    watched.add(picture)
    watched.run(1)
    loaded = load_image(picture)
    result = segment(loaded, server.service.offered.session("bright.onnx"), Settings(), strokes=STROKES)
    save_png(result.cutout, tmp_path / "expected.png")
    assert watched.fetched(SAVE, "href") == (tmp_path / "expected.png").read_bytes()
    watched.drawer("code")
    expect(page.locator("#code pre[data-code=code_link]")).to_contain_text("&strokes=%5B%7B%22kind%22%3A%22keep%22")
    expect(page.locator("#code pre[data-code=code_command]")).to_contain_text("--strokes=settings.yaml")
