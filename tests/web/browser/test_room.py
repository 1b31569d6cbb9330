"""Words and buttons have room: in the panel beside the picture, and in the bar of a phone."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, Locator, expect

from tests.web.browser.browsing import SAVE, Watched, violations
from tests.web.browser.test_page_truth import visible_share

pytestmark = pytest.mark.browser

ZIPPED = ["cheetah-cutout.png", "chelsea-cutout.png", "settings.yaml"]


def box(of: Locator) -> FloatRect:
    found = of.bounding_box()
    assert found
    return found


def test_on_a_phone_what_is_needed_less_is_behind_one_button(
    visit: Callable[..., Watched], small_photos: dict[str, Path]
) -> None:
    phone = visit("/?model=bright.onnx", locale="de", viewport={"width": 390, "height": 844}, has_touch=True)
    page = phone.page
    phone.add(small_photos["cheetah"], small_photos["chelsea"])
    page.click("#run")
    expect(page.locator("#work")).to_have_attribute("data-state", "done")
    more, alpha = page.locator("#viewer .more"), page.locator("#viewer .save-alpha")
    for selector in (SAVE, "#viewer .more", "#sheet_toggle"):
        assert visible_share(page, selector) == 1, selector
    expect(alpha).to_be_hidden()
    page.click("#sheet_toggle")
    more.click()
    expect(page.locator("#sheet_toggle")).to_have_attribute("aria-expanded", "false")
    for selector in ("#viewer .save-alpha", "#viewer .copy", "#viewer .zip"):
        assert visible_share(page, selector) == 1, selector
    assert violations(page) == []
    phone.shot("phone-more-de")
    page.keyboard.press("Escape")
    expect(alpha).to_be_hidden()
    more.click()
    with page.expect_download() as download:
        page.click("#viewer .zip")
    assert zipfile.ZipFile(download.value.path()).namelist() == ZIPPED
    expect(alpha).to_be_hidden()


def test_the_panel_has_room_for_its_words_and_export_for_the_zip(
    visit: Callable[..., Watched], small_photos: dict[str, Path]
) -> None:
    laptop = visit("/?model=bright.onnx", viewport={"width": 1366, "height": 768}, accept_downloads=True)
    page = laptop.page
    laptop.add(small_photos["cheetah"], small_photos["chelsea"])
    laptop.run(2)
    panel = box(page.locator("#tuning"))
    assert box(page.locator("#live"))["width"] > 0.9 * panel["width"]
    assert box(page.locator("#live"))["height"] < 80
    for example in page.locator(".examples button").all():
        assert box(example)["width"] == box(example)["height"]
    notes = page.locator("#report .notes td").first
    assert box(notes)["width"] > 0.9 * panel["width"]
    assert page.locator("#viewer .more").is_hidden()
    laptop.open("output")
    laptop.shot("room-panel")
    with page.expect_download() as download:
        page.click("#export_zip")
    assert zipfile.ZipFile(download.value.path()).namelist() == ZIPPED


def test_on_a_tablet_held_upright_picture_download_and_film_are_in_sight(
    visit: Callable[..., Watched], small_photos: dict[str, Path]
) -> None:
    tablet = visit(
        "/?model=bright.onnx&alpha_matting=false", locale="de", viewport={"width": 768, "height": 1024}, has_touch=True
    )
    page = tablet.page
    tablet.add(small_photos["cheetah"], small_photos["chelsea"])
    page.click("#run")
    expect(page.locator("#work")).to_have_attribute("data-state", "done")
    tablet.shot("tablet-de")
    for selector in ("#viewer .stage", SAVE, "#viewer .film .thumb"):
        assert visible_share(page, selector) == 1, selector
    report, panel = box(page.locator("#report table")), box(page.locator("#settings"))
    assert report["x"] + report["width"] <= panel["x"] + panel["width"] + 0.5
