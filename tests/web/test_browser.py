"""The page in a real browser: what a visitor does, on wide and phone screens, in light and dark."""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from segmentation import Session, load_image, save_png, segment
from tests.web import chromium
from tests.web.conftest import Server

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        reason = "NO CHROMIUM: the page is NOT tested in a browser. Install one, or name it in CHROMIUM."
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.console: list[str] = []
        self.off_host: list[str] = []
        page.on("console", lambda message: self.console.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((server.url, "data:", "blob:")) else self.off_host.append(request.url)
            ),
        )
        page.goto(server.url)
        expect(page.locator("#run")).to_be_visible(timeout=30000)

    def add(self, *files: Path) -> None:
        self.page.set_input_files("#pictures input[type=file]", list(files))
        expect(self.page.locator("#pictures .thumbnail-item")).to_have_count(len(files), timeout=30000)

    def choose(self, model: str) -> None:
        self.page.locator("#model input").click()
        self.page.get_by_role("option", name=f"({model})").click()

    def run(self, cutouts: int) -> None:
        self.page.click("#run")
        expect(self.page.locator("#download:visible")).to_be_visible(timeout=60000)
        expect(self.page.locator("#results .thumbnail-item")).to_have_count(cutouts)


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    watched = Watched(context.new_page(), server)
    yield watched
    context.close()
    assert watched.console == []
    assert watched.off_host == []


def test_two_photos_are_cut_out_and_downloaded(
    watched: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.run(2)
    page = watched.page
    assert "conic-gradient" in page.locator("#results img").first.evaluate("e => getComputedStyle(e).backgroundImage")
    expect(page.locator("#status")).to_contain_text("All 2 pictures are done")
    expect(page.locator("#report")).to_contain_text("cheetah.jpg")
    expect(page.locator("#report")).to_contain_text("502 x 343")
    with page.expect_download() as download:
        page.click("#download")
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.namelist() == ["cheetah-cutout.png", "chelsea-cutout.png"]
        cutout = Image.open(io.BytesIO(archive.read("cheetah-cutout.png")))
        assert cutout.size == (502, 343)
        assert np.asarray(cutout.getchannel("A"))[170, 250] == 255
        # and the very bytes that a script would write
        picture = load_image(photos["cheetah"])
        save_png(segment(picture, u2netp).cutout, tmp_path / "cheetah.png", picture.icc_profile)
        assert archive.read("cheetah-cutout.png") == (tmp_path / "cheetah.png").read_bytes()


def test_a_failing_picture_is_named_while_the_other_finishes(
    watched: Watched, photos: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "<b>no & picture.png"
    bad.write_text("nothing")
    watched.add(bad, photos["cheetah"])
    watched.page.wait_for_timeout(300)
    watched.console.clear()  # the browser complains about the broken thumbnail; that is not ours
    watched.choose("bright.onnx")
    watched.run(1)
    expect(watched.page.locator("#report .failed")).to_contain_text("is not a picture")
    expect(watched.page.locator("#status")).to_contain_text("1 failed")
    watched.console.clear()


def test_a_wrong_setting_is_told_and_the_page_goes_on(watched: Watched, photos: dict[str, Path]) -> None:
    watched.add(photos["cheetah"])
    watched.choose("bright.onnx")
    watched.page.get_by_text("Mask and network input settings").click()
    watched.page.locator("#std textarea, #std input").fill("0")
    watched.page.click("#run")
    expect(watched.page.locator(".toast-body")).to_contain_text("std must not be 0")
    watched.page.locator("#std textarea, #std input").fill("")
    watched.run(1)


def test_running_without_pictures_says_what_to_do(watched: Watched) -> None:
    watched.page.click("#run")
    expect(watched.page.locator(".toast-body")).to_contain_text("Add at least one picture first")


def test_the_card_follows_the_model(watched: Watched) -> None:
    watched.choose("rmbg-1.4")
    expect(watched.page.locator("#card")).to_contain_text("no commercial use")
    expect(watched.page.locator("#card")).to_contain_text("must accept its licence first")
    watched.choose("u2net")
    expect(watched.page.locator("#card")).to_contain_text("176 MB · downloaded on first use")


def test_stop_keeps_what_was_finished(watched: Watched, photos: dict[str, Path]) -> None:
    watched.page.get_by_text("Alpha matting", exact=True).click()
    watched.choose("modnet")
    watched.add(*[photos["astronaut"]] * 5)
    watched.page.click("#run")
    expect(watched.page.locator("#results .thumbnail-item").first).to_be_visible(timeout=60000)
    watched.page.click("#stop")
    expect(watched.page.locator("#status")).to_contain_text("Stopped. What was finished is kept.")
    expect(watched.page.locator("#download:visible")).to_be_visible()
    count = watched.page.locator("#results .thumbnail-item").count()
    watched.page.wait_for_timeout(3000)
    assert watched.page.locator("#results .thumbnail-item").count() == count < 5


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1400, "dark")])
def test_it_fits_the_screen_in_both_schemes(
    browser: Browser, server: Server, photos: dict[str, Path], width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    watched = Watched(context.new_page(), server)
    watched.add(photos["cheetah"])
    watched.choose("bright.onnx")
    watched.run(1)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    dark = watched.page.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")
    if shots := os.environ.get("SCREENSHOTS"):
        watched.page.screenshot(path=f"{shots}/{width}-{scheme}.png", full_page=True)
    context.close()
