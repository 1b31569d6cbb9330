"""A first visit: one place to drop, nothing that has nothing to act on, and a drop is cut out by itself."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.browser.browsing import SAVE, Watched, violations
from tests.web.browser.test_ways_in import TRANSFER

pytestmark = pytest.mark.browser

ALWAYS_DEAD = ("#run", "#stop", "#tuning", "#apply_all", "#download", "#viewer .viewer", "#reset")


@pytest.fixture(params=[(1366, 768), (390, 844)], ids=["laptop", "phone"])
def newcomer(request: pytest.FixtureRequest, visit: Callable[..., Watched], remembered: None) -> Watched:
    width, height = request.param
    return visit(starts=True, viewport={"width": width, "height": height}, has_touch=width < 500)


def test_a_dropped_photo_is_cut_out_without_a_click(newcomer: Watched, photos: dict[str, Path]) -> None:
    page = newcomer.page
    for selector in ALWAYS_DEAD:
        expect(page.locator(selector)).to_be_hidden()
    expect(page.locator("#hero button.first")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []
    newcomer.shot(f"first-{page.viewport_size['width']}")  # type: ignore[index]
    data = base64.b64encode(photos["cheetah"].read_bytes()).decode()
    transfer = page.evaluate_handle(TRANSFER, ["dropped.jpg", data])
    page.dispatch_event("#hero .hero", "drop", {"dataTransfer": transfer})
    newcomer.done()
    expect(page.locator(SAVE)).to_have_attribute("download", "dropped-cutout.png")
    expect(page.locator("#viewer .stage")).to_be_in_viewport(ratio=0.9)
    expect(page.locator("#hero")).to_be_hidden()
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#run")).to_have_text("Cut out again")
    # pictures added later join it, also by themselves
    page.set_input_files("#pictures input[type=file]", [photos["chelsea"]])
    expect(page.locator("#viewer .thumb")).to_have_count(2, timeout=60000)


def test_the_switch_is_remembered_and_keeps_pictures_waiting(
    visit: Callable[..., Watched], photos: dict[str, Path]
) -> None:
    watched = visit(starts=True, viewport={"width": 1366, "height": 768})
    page = watched.page
    page.locator("#autostart input").uncheck()
    page.reload()
    watched.loaded()
    expect(page.locator("#autostart input")).not_to_be_checked()
    watched.add(photos["cheetah"])
    expect(page.locator("#run")).to_have_text("Cut out")
    page.wait_for_timeout(500)
    expect(page.locator("#status .line")).to_have_text("")
    assert page.locator("#work").get_attribute("data-busy") == "false"


def test_the_portrait_of_the_first_screen_compares_before_and_after(newcomer: Watched) -> None:
    demo = newcomer.page.locator("#hero .demo")
    handle = demo.locator("input")
    handle.focus()
    newcomer.page.keyboard.press("End")
    clip = "(node) => getComputedStyle(node.querySelector('.after')).clipPath"
    assert demo.evaluate(clip) == "inset(0px 0px 0px 100%)"
    newcomer.page.keyboard.press("Home")
    assert demo.evaluate(clip) == "inset(0px 0px 0px 0%)"
    sizes = demo.locator("img").evaluate_all("all => all.map((each) => each.naturalWidth)")
    assert sizes == [480, 480]
