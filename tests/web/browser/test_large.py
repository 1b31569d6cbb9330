"""A large picture is never loaded whole: the viewer paints tiles of it, and of the stages that led to its cutout."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.web.browser.browsing import Watched

pytestmark = pytest.mark.browser

PIXEL = """([x, y]) => {
    const [canvas, sheet] = ["canvas.tiles", ".sheet"].map((each) => document.querySelector(`#viewer ${each}`));
    const [own, whole] = [canvas.getBoundingClientRect(), sheet.getBoundingClientRect()];
    const ratio = window.devicePixelRatio;
    const at = [whole.left + x * whole.width - own.left, whole.top + y * whole.height - own.top];
    return [...canvas.getContext("2d").getImageData(at[0] * ratio, at[1] * ratio, 1, 1).data];
}"""


@pytest.fixture
def page(visit: Callable[..., Watched], tmp_path: Path) -> Watched:
    """A picture of 6.3 megapixels, black and white."""
    Image.fromarray(np.repeat(np.repeat(np.array([[0, 255]], np.uint8), 2100, 0), 1500, 1)).convert("RGB").save(
        tmp_path / "large.png"
    )
    watched = visit("/?model=bright.onnx&alpha_matting=false", viewport={"width": 1366, "height": 768})
    watched.add(tmp_path / "large.png")
    watched.run(1)
    return watched


def painted(page: Page, x: float, y: float, grey: int) -> None:
    """Wait until a place of the picture, in shares of its sides, has a grey."""
    near = f"([red, , , alpha]) => alpha === 255 && Math.abs(red - {grey}) < 9"
    page.wait_for_function(f"(place) => ({near})(({PIXEL})(place))", arg=[x, y])


def test_stages_come_in_tiles_at_the_level_that_is_shown(page: Watched) -> None:
    tab = page.page
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.click("#viewer [data-view=mask]")
    painted(tab, 0.25, 0.5, 0)
    painted(tab, 0.75, 0.5, 255)
    assert {re.search(r"level=(\d)", each)[1] for each in asked if "/tile?" in each} == {"2"}  # type: ignore[index]
    tab.click("#viewer [data-zoom=actual]")
    tab.wait_for_function("performance.getEntriesByType('resource').some(({ name }) => name.includes('level=0'))")
    assert not [each for each in asked if each.endswith(".mask.png")]
    tab.click("#viewer [data-view=probability]")  # as small as the network's input
    expect(tab.locator("#viewer canvas.tiles")).to_be_hidden()
    expect(tab.locator("#viewer .whole")).to_have_attribute("src", re.compile(r"\.probability\.png$"))


def test_what_lies_on_the_picture_is_seen_over_its_tiles(page: Watched) -> None:
    tab = page.page
    tab.click("#viewer [data-zoom=actual]")
    painted(tab, 0.45, 0.5, 0)
    painted(tab, 0.55, 0.5, 255)
    assert tab.evaluate(
        """() => {
            const box = document.querySelector("#viewer .rule").getBoundingClientRect();
            for (const each of document.querySelectorAll("#viewer .rule, #viewer canvas.tiles"))
                each.style.pointerEvents = "auto";
            const hits = document.elementsFromPoint(box.left + 1, box.top + box.height / 2);
            return hits.findIndex((each) => each.matches(".rule")) < hits.findIndex((each) => each.matches(".tiles"));
        }"""
    )


def test_nothing_is_painted_while_the_picture_moves_until_the_margin_is_used_up(page: Watched) -> None:
    tab = page.page
    tab.click("#viewer [data-zoom=actual]")
    for x, y in itertools.product((0.34, 0.45, 0.55, 0.66), (0.36, 0.5, 0.64)):  # the tiles are all there
        painted(tab, x, y, 0 if x < 0.5 else 255)
    inked = """() => {
        const [canvas] = document.querySelectorAll("#viewer canvas.tiles");
        const middle = [canvas.width / 2, canvas.height / 2, 1, 1];
        return canvas.getContext("2d").getImageData(...middle).data[1] === 128;
    }"""
    ink = """() => {
        const context = document.querySelector("#viewer canvas.tiles").getContext("2d");
        context.fillStyle = "rgb(0 128 0)";
        context.fillRect(0, 0, 1e5, 1e5);
    }"""
    for _ in range(50):  # until nothing else has to be painted: on a busy machine, the page comes to rest late
        tab.evaluate(ink)
        tab.wait_for_timeout(300)
        if tab.evaluate(inked):
            break
    for step, stays in ((60, True), (60, True), (60, False)):
        tab.evaluate("(step) => document.querySelector('#viewer .stage').scrollBy(step, 0)", step)
        page.still()
        assert tab.evaluate(inked) is stays
    painted(tab, 0.45, 0.5, 0)
    painted(tab, 0.55, 0.5, 255)
