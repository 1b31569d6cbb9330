"""Every state of the page has its look, and what it offers does what it says."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.web.browser.browsing import SAVE, Watched, violations
from tests.web.conftest import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def photos(small_photos: dict[str, Path]) -> dict[str, Path]:
    return small_photos


@pytest.fixture
def page(visit: Callable[..., Watched]) -> Watched:
    return visit("/?model=bright.onnx", viewport={"width": 1366, "height": 768})


@pytest.fixture
def held(server: Server) -> Iterator[threading.Event]:
    """The network answers only once this is set."""
    session, go = server.service.offered.session("bright.onnx"), threading.Event()
    network = session.run

    def run(*args: Any, **options: Any) -> Any:
        go.wait(60)
        return network(*args, **options)

    session.run = run  # type: ignore[method-assign]
    yield go
    go.set()
    del session.run


def is_in(page: Page, state: str) -> None:
    expect(page.locator("#work")).to_have_attribute("data-state", state)


def test_empty_then_uploading_then_working_then_done(
    page: Watched, photos: dict[str, Path], held: threading.Event
) -> None:
    tab, routes = page.page, list[Route]()
    is_in(tab, "empty")
    tab.route("**/gradio_api/upload?*", lambda route: routes.append(route))  # Playwright marks it
    tab.locator("#autostart input").check()
    tab.set_input_files("#pictures input[type=file]", [photos["cheetah"], photos["chelsea"]])
    is_in(tab, "uploading")
    expect(tab.locator("#viewer .nothing")).to_contain_text("Uploading")
    page.shot("state-uploading")
    for route in routes:
        route.continue_()
    is_in(tab, "working")
    expect(tab.locator("#stop")).to_be_visible()
    expect(tab.locator("#run")).to_be_hidden()
    expect(tab.locator("#viewer .nothing")).to_contain_text("Cutting out")
    expect(tab.locator("#viewer .nothing img")).to_be_visible()
    expect(tab.locator("#status .line")).to_contain_text("0 of 2 done. ")
    assert violations(tab) == []
    page.shot("state-working")
    held.set()
    page.done()
    is_in(tab, "done")
    expect(tab.locator("#stop")).to_be_hidden()


def test_queued_says_the_place(page: Watched, photos: dict[str, Path], server: Server) -> None:
    turns = server.service.apart
    others = [turns.ticket() for _ in range(turns._places)]
    for other in others:
        turns.enter(other)
    try:
        page.add(photos["cheetah"])
        page.page.click("#run")
        is_in(page.page, "queued")
        expect(page.page.locator("#status .line")).to_contain_text("Waiting in the queue")
        page.shot("state-queued")
    finally:
        for other in others:
            turns.leave(other)
    page.done()
    is_in(page.page, "done")


def test_stopped_goes_on_with_a_click(page: Watched, photos: dict[str, Path], held: threading.Event) -> None:
    tab = page.page
    page.add(photos["cheetah"])
    tab.click("#run")
    expect(tab.locator("#status .line")).to_contain_text("0 of 1 done. ")
    tab.click("#stop")
    is_in(tab, "stopped")
    held.set()
    page.shot("state-stopped")
    tab.locator("#status").get_by_role("button", name="Continue").click()
    page.done()
    expect(tab.locator(SAVE)).to_be_visible()
    tab.reload()
    page.loaded()
    expect(tab.locator("#viewer .thumb")).to_have_count(1)


def test_failed_offers_another_try(page: Watched, photos: dict[str, Path], server: Server, tmp_path: Path) -> None:
    tab, bad = page.page, tmp_path / "failing.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    tab.set_input_files("#pictures input[type=file]", [bad, photos["cheetah"]])
    expect(tab.locator("#pictures .thumbnail-item")).to_have_count(2)
    page.run(1)
    is_in(tab, "failed")
    page.shot("state-failed")
    source = next(path for path in server.uploads.rglob("failing.png"))
    source.write_bytes(photos["chelsea"].read_bytes())  # as if it had been a passing fault
    tab.locator("#status").get_by_role("button", name="Try again").click()
    is_in(tab, "done")
    expect(tab.locator("#viewer .thumb")).to_have_count(2)
    page.console.clear()  # the browser complains about the broken thumbnail; that is not ours


def test_an_error_before_the_first_picture_is_told_in_the_line(page: Watched, photos: dict[str, Path]) -> None:
    page.add(photos["cheetah"])
    page.open("network")
    page.page.locator("#std textarea, #std input").fill("0")
    page.page.click("#run")
    expect(page.page.locator("#status .line")).to_contain_text("std must not be 0")
    is_in(page.page, "failed")
    expect(page.page.locator("#stop")).to_be_hidden()


def test_expired_results_say_what_to_do(page: Watched, photos: dict[str, Path], server: Server) -> None:
    tab = page.page
    page.add(photos["cheetah"])
    page.run(1)
    for run in list(server.service.shown._runs.values()):
        server.service.shown.drop(run)  # as a restart does
    tab.reload()
    is_in(tab, "expired")
    expect(tab.locator("#status .line")).to_be_in_viewport()
    page.shot("state-expired")
    with tab.expect_file_chooser():
        tab.locator("#status").get_by_role("button", name="Choose photos").click()


def test_offline_is_told_until_the_server_is_back(page: Watched) -> None:
    tab = page.page
    banner = tab.locator("#offline")
    expect(banner).to_be_hidden()
    tab.context.set_offline(True)
    expect(banner).to_be_visible()
    is_in(tab, "offline")
    page.shot("state-offline")
    tab.context.set_offline(False)
    expect(banner).to_be_hidden()
    page.console.clear()  # what was asked in the meantime failed


def test_a_batch_with_several_settings_offers_the_present_ones_for_all(page: Watched, photos: dict[str, Path]) -> None:
    tab = page.page
    page.add(photos["cheetah"], photos["chelsea"])
    page.run(2)
    apply = tab.locator("#viewer .acts [data-act=apply]")
    expect(apply).to_be_hidden()
    page.mark()
    page.open("background")
    tab.get_by_label("Mask only", exact=True).check()
    page.tuned()
    apply.click()
    expect(apply).to_be_hidden()
    expect(tab.locator("#status .line")).to_contain_text("All pictures now have these settings.")


def test_one_click_after_the_other_goes_through_the_pictures_in_doubt(page: Watched, tmp_path: Path) -> None:
    tab = page.page
    pixels = np.full((160, 240, 3), 8, np.uint8)
    pixels[20:140, 10:50] = 254
    Image.fromarray(pixels).save(tmp_path / "certain.png")
    pixels[20:140, 50:120] = 118  # as much as nothing, to a network that sees brightness
    for number in (1, 2):
        Image.fromarray(pixels[: 160 - number]).save(tmp_path / f"doubtful-{number}.png")
    page.add(*(tmp_path / f"{name}.png" for name in ("certain", "doubtful-1", "doubtful-2")))
    page.run(3)
    unsure = tab.get_by_role("button", name="Unsure in 2: show where")
    for number in (1, 2, 1):
        unsure.click()
        expect(tab.locator("#viewer .name")).to_contain_text(f"doubtful-{number}.png")
        expect(tab.locator("#viewer .where")).to_have_attribute("aria-pressed", "true")
        expect(tab.locator("#viewer .doubt")).to_be_visible()


def test_presets_set_a_recipe_say_so_and_are_taken_back(page: Watched) -> None:
    tab = page.page
    product = tab.locator("#presets").get_by_role("button", name="Product")
    product.click()
    expect(product).to_have_attribute("aria-pressed", "true")
    expect(tab.locator("#preset_note")).to_contain_text("Changed: ")
    expect(tab.locator("#preset_note")).to_contain_text("Canvas")
    expect(tab.locator("#softness input[type=number]")).to_have_value("25")
    page.open("canvas")
    expect(tab.get_by_label("Contact shadow", exact=True)).to_be_checked()
    tab.click("#reset")
    expect(product).to_have_attribute("aria-pressed", "false")
    expect(tab.get_by_label("Contact shadow", exact=True)).not_to_be_checked()
    expect(tab.locator("#softness input[type=number]")).to_have_value("50")
    expect(tab.locator("#preset_note")).to_have_text("")
    fur = tab.locator("#presets").get_by_role("button", name="Fur")
    fur.click()
    expect(fur).to_have_attribute("aria-pressed", "true")
    fur.click()
    expect(fur).to_have_attribute("aria-pressed", "false")


def test_two_sliders_write_the_matting_parameters_and_follow_them(page: Watched) -> None:
    tab = page.page
    page.open("matting")
    page.turn("softness", 75)
    expect(tab.locator("#alpha_matting_foreground_threshold input[type=number]")).to_have_value("247")
    expect(tab.locator("#alpha_matting_background_threshold input[type=number]")).to_have_value("11")
    expect(tab.locator("#alpha_matting_erode_size input[type=number]")).to_have_value("25")
    page.turn("follow", 100)
    expect(tab.locator("#trust_mask input[type=number]")).to_have_value("0.1")
    page.turn("trust_mask", 0.003)
    expect(tab.locator("#follow input[type=number]")).to_have_value("50")
    page.turn("alpha_matting_erode_size", 40)
    expect(tab.locator("#softness input[type=number]")).not_to_have_value("75")


def test_the_question_mark_shows_the_keys_of_all_tools(page: Watched) -> None:
    tab = page.page
    tab.keyboard.press("?")
    expect(tab.locator("#keys")).to_be_visible()
    keys = tab.locator("#keys kbd").all_inner_texts()
    titles = tab.locator("#viewer .tools button").evaluate_all("all => all.map((each) => each.title)")
    named = {title.rpartition(" (")[2].rstrip(")") for title in titles if title.endswith(")")}
    assert named <= set(keys)
    assert violations(tab) == []
    tab.keyboard.press("Escape")
    expect(tab.locator("#keys")).to_be_hidden()
    tab.locator("#address input, #address textarea").first.press("?")
    expect(tab.locator("#keys")).to_be_hidden()
