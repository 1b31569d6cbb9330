"""The page in a real browser: what a visitor does, on wide and phone screens, in light and dark."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from segmentation import Session, load_image, save_png, segment
from tests.web.browser.browsing import Watched
from tests.web.conftest import Server

pytestmark = pytest.mark.browser


def test_two_photos_are_cut_out_and_downloaded(
    watched: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    watched.shot("first-visit")
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.run(2)
    page = watched.page
    assert "conic-gradient" in page.locator("#viewer .sheet").evaluate("e => getComputedStyle(e).backgroundImage")
    expect(page.locator("#status")).to_contain_text("All 2 pictures are done")
    expect(page.locator("#report")).to_contain_text("cheetah.jpg")
    expect(page.locator("#report")).to_contain_text("502 x 343")
    watched.shot("done")
    with page.expect_download() as download:
        page.click("#download")
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.namelist() == ["cheetah-cutout.png", "chelsea-cutout.png", "settings.yaml"]
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
    watched.run(1)
    expect(watched.page.locator("#report .failed")).to_contain_text("is not a picture")
    expect(watched.page.locator("#status")).to_contain_text("1 failed")
    watched.page.wait_for_function(
        "[...document.querySelectorAll('#pictures .thumbnail-item img')]"
        ".some((each) => each.src.includes('/preview') && each.complete)"
    )
    watched.console.clear()  # the browser complains about the broken thumbnail; that is not ours


def test_a_wrong_setting_is_told_and_the_page_goes_on(watched: Watched, photos: dict[str, Path]) -> None:
    watched.add(photos["cheetah"])
    watched.open("network")
    watched.page.locator("#std textarea, #std input").fill("0")
    watched.page.click("#run")
    expect(watched.page.locator(".toast-body")).to_contain_text("std must not be 0")
    watched.page.locator("#std textarea, #std input").fill("")
    watched.run(1)


def test_the_card_follows_the_model(watched: Watched) -> None:
    watched.choose("rmbg-1.4")
    expect(watched.page.locator("#card")).to_contain_text("no commercial use")
    expect(watched.page.locator("#card")).to_contain_text("must accept its licence first")
    watched.choose("u2net")
    expect(watched.page.locator("#card")).to_contain_text("176 MB · downloaded on first use")


def test_stop_keeps_what_was_finished(watched: Watched, photos: dict[str, Path]) -> None:
    watched.page.get_by_text("Alpha matting", exact=True).click()
    watched.choose("modnet")
    watched.open("network")
    watched.page.locator("#size textarea, #size input").fill("1024")  # seconds a picture
    watched.add(*[photos["astronaut"]] * 5)
    watched.page.click("#run")
    expect(watched.page.locator("#viewer .stage")).to_be_visible(timeout=60000)
    watched.page.click("#stop")
    expect(watched.page.locator("#status")).to_contain_text("Stopped. Finished pictures are kept.")
    count = watched.page.locator("#viewer .thumb").count()
    watched.page.wait_for_timeout(3000)
    assert watched.page.locator("#viewer .thumb").count() == count < 5
    with watched.page.expect_download() as download:
        watched.page.click("#download")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == count + 1


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1400, "dark")])
def test_it_fits_the_screen_in_both_schemes(
    browser: Browser, server: Server, small_photos: dict[str, Path], width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    watched = Watched(context.new_page(), server.url)
    watched.add(small_photos["cheetah"], small_photos["astronaut"])
    watched.choose("bright.onnx")
    watched.run(2)
    for section in ("matting", "background", "canvas", "output", "network"):
        watched.open(section)
    for drawer in ("compare", "code"):
        watched.drawer(drawer)
        watched.still()
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        watched.shot(f"{width}-{scheme}-{drawer}")
    dark = watched.page.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")
    assert watched.console == []
    assert watched.off_host == []
    context.close()
