"""Classes as chips: several are joined into one cutout, as they are chosen, without running the network again."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, expect

from tests import colours
from tests.web.browser.browsing import SAVE, Visitors, Visits, Watched
from tests.web.conftest import Server

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1366, 768), "phone": (390, 844)}


@pytest.fixture(params=SIZES)
def page(visitors: Visitors, coloured_server: Server, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The page with the model that tells colours apart, at the size of a laptop and of a phone."""
    width, height = SIZES[request.param]
    visit = Visits(visitors, coloured_server.url)
    yield visit(
        "/?model=colours&alpha_matting=false",
        viewport={"width": width, "height": height},
        has_touch=request.param == "phone",
    )
    visit.end()


@pytest.fixture
def face(tmp_path: Path) -> Path:
    return colours.save_face(tmp_path / "face.png")


def chip(watched: Watched, name: str) -> Any:
    watched.sheet()
    return watched.page.locator("#classes").get_by_label(name, exact=True)


def saved_as(watched: Watched) -> str:
    return watched.page.locator(SAVE).get_attribute("download") or ""


def test_chosen_chips_are_joined_into_the_shown_cutout(
    page: Watched, face: Path, coloured_server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    calls: list[int] = []
    session = coloured_server.service.offered.session("colours")
    network = session.run
    page.add(face)
    page.run(3)
    session.run = lambda *args, **kwargs: calls.append(1) or network(*args, **kwargs)  # type: ignore[method-assign,func-returns-value]
    request.addfinalizer(lambda: setattr(session, "run", network))
    assert saved_as(page) == "face-skin-cutout.png"
    chip(page, "hair").check()
    page.tuned()
    expect(page.page.locator("#viewer .thumb")).to_have_count(1)
    chip(page, "hat").check()
    page.tuned()
    expect(page.page.locator("#viewer .name")).to_contain_text("(hair-hat)")
    assert saved_as(page) == "face-hair-hat-cutout.png"
    page.still()
    page.shot(f"chips-{page.page.viewport_size['width']}")  # type: ignore[index]
    shown = page.fetched(SAVE, "href")
    assert calls == []
    client = Client(coloured_server.url, analytics_enabled=False, verbose=False, download_files=tmp_path / "api")
    files, _ = client.predict(
        images=[handle_file(face)], model="colours", classes=["hair", "hat"], alpha_matting=False, api_name="/segment"
    )
    client.close()
    assert shown == Path(files[0]).read_bytes()
    calls.clear()  # of the endpoint
    for name in ("hair", "hat"):
        chip(page, name).uncheck()
        page.tuned()
    expect(page.page.locator("#viewer .thumb")).to_have_count(3)
    assert calls == []


def test_the_preview_follows_the_chips_at_once(page: Watched, face: Path, tmp_path: Path) -> None:
    page.add(face)
    page.run(3)
    chip(page, "All together").check()
    page.tuned()
    expect(page.page.locator("#viewer .name")).to_contain_text("(all)")
    alpha = page.pixels(SAVE, "href", tmp_path)[..., 3]
    subject = np.abs(colours.face().astype(int) - colours.COLOURS["background"]).max(axis=2) > 60
    assert (alpha > 127)[subject].mean() > 0.97
    expect(page.page.locator("#status .line")).to_contain_text("face.png updated in")


def test_chips_not_in_the_picture_keep_the_cutout_and_say_so(page: Watched, face: Path) -> None:
    page.add(face)
    page.run(3)
    chip(page, "glasses").check()
    expect(page.page.locator("#status .line")).to_have_text("None of the chosen classes is in this picture: glasses.")
    expect(page.page.locator("#viewer .thumb")).to_have_count(3)
    chip(page, "skin").check()
    page.tuned()
    expect(page.page.locator("#viewer .name")).to_contain_text("(glasses-skin)")


def test_other_chips_are_tried_after_none_was_found(page: Watched, face: Path) -> None:
    page.add(face)
    chip(page, "glasses").check()
    page.press("#run")
    page.done()
    expect(page.page.locator("#report")).to_contain_text("None of the chosen classes is in this picture: glasses.")
    expect(page.page.locator("#viewer .nothing")).to_be_visible()
    chip(page, "hat").check()
    expect(page.page.locator("#status .line")).to_contain_text("the next time you press Cut out")
    page.page.click("#run")
    expect(page.page.locator("#viewer .thumb")).to_have_count(1, timeout=30000)
    assert saved_as(page) == "face-glasses-hat-cutout.png"


def test_the_selected_picture_stays_selected_when_its_classes_are_joined(page: Watched, face: Path) -> None:
    page.add(face, colours.save_face(face.with_name("other.png"), hat=False))
    page.run(5)
    page.page.locator("#viewer .thumb").nth(4).click()
    expect(page.page.locator("#viewer .name")).to_contain_text("other.png (hair)")
    page.mark()
    chip(page, "All together").check()
    page.tuned()
    expect(page.page.locator("#viewer .name")).to_contain_text("4 / 4  other.png (all)")
    page.press("#apply_all")
    expect(page.page.locator("#viewer .thumb")).to_have_count(2, timeout=30000)
    expect(page.page.locator("#viewer .name")).to_contain_text("2 / 2  other.png (all)")


def test_chips_belong_to_the_model(page: Watched, face: Path) -> None:
    page.add(face)
    page.run(3)
    chip(page, "hair").check()
    page.tuned()
    file = page.page.locator(SAVE).get_attribute("href")
    page.choose("bright.onnx")
    expect(page.page.locator("#classes")).to_be_hidden()
    page.still()
    assert page.page.locator(SAVE).get_attribute("href") == file  # still the cutout of the earlier model
    page.choose("colours")
    expect(page.page.locator("#classes")).to_be_visible()
    expect(page.page.locator("#classes :checked")).to_have_count(0)


def test_found_classes_come_first_and_chips_are_easy_to_hit(page: Watched, face: Path) -> None:
    page.add(face)
    page.run(3)
    page.sheet()
    chips = page.page.locator("#classes label")
    expect(chips).to_have_text(["All together", "skin", "hair", "hat", "glasses"])
    boxes = [box for at in range(chips.count()) if (box := chips.nth(at).bounding_box())]
    width = page.page.viewport_size["width"]  # type: ignore[index]
    assert len(boxes) == 5
    assert all(box["height"] >= 32 and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    assert page.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_reloaded_page_remembers_the_chips(browser: Browser, coloured_server: Server) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    watched = Watched(context.new_page(), coloured_server.url)
    watched.choose("colours")
    chip(watched, "hat").check()
    watched.still()
    again = Watched(context.new_page(), coloured_server.url)
    expect(chip(again, "hat")).to_be_checked()
    expect(chip(again, "hair")).not_to_be_checked()
    again.page.click("#reset button, button#reset")
    expect(chip(again, "hat")).not_to_be_checked()
    expect(again.page.locator("#model input")).to_have_value(re.compile("colours"))
    assert again.console == []
    context.close()


def test_150_chips_leave_room_for_the_other_settings(browser: Browser, coloured_server: Server) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    watched = Watched(context.new_page(), coloured_server.url, "/?model=colours")
    watched.page.evaluate(
        """() => {
            const one = document.querySelector("#classes label");
            for (let n = 0; n < 150; n++) one.after(one.cloneNode(true));
        }"""
    )
    box = watched.page.locator("#classes").bounding_box()
    assert box is not None
    assert box["height"] < 844 / 2
    context.close()
