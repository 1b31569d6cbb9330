"""The choice of the model as a newcomer meets it: a subject, three tiers, and all models one click away."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.browsing import Watched
from tests.web.conftest import Server

pytestmark = pytest.mark.browser

TIER = "#model_choice .tier"
MODEL = "#model input"


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def tier(page: Page, name: str) -> Locator:
    return page.locator("#model_choice").get_by_role("radio", name=name)


def test_a_newcomer_sees_three_tiers_with_seconds_and_downloads_instead_of_names(page: Page) -> None:
    expect(page.locator(f"{TIER} b")).to_have_text(["Fast", "Fine", "Best"])
    expect(page.locator(TIER).first).to_contain_text(re.compile(r"\d s.*on this server"))
    expect(tier(page, "Fast")).to_be_checked()
    expect(page.locator(MODEL)).to_be_hidden()
    expect(page.locator("#model_choice .now")).to_contain_text("U²-Net small")


def test_what_cannot_be_used_is_disabled_with_the_reason(page: Page) -> None:
    expect(tier(page, "Best")).to_be_disabled()
    expect(page.locator(TIER).last).to_contain_text("cannot be downloaded now")  # the tests switch the Hub off
    page.click("#model_choice .now button")
    page.locator(MODEL).click()
    refused = page.locator("#model [role=option].refused")
    expect(refused.filter(has_text="BRIA RMBG 1.4 (rmbg-1.4): licence not accepted")).to_be_visible()
    expect(refused.filter(has_text="MODNet")).to_have_count(0)
    colours = "(option) => getComputedStyle(option).color"
    usable = page.locator("#model [role=option]:not(.refused)").first
    assert refused.first.evaluate(colours) != usable.evaluate(colours)


def test_another_subject_takes_its_model_of_the_same_tier(page: Page) -> None:
    page.get_by_label("Subject").select_option("Hair and fur")
    expect(page.locator("#card")).to_contain_text("real alpha in the hair")
    expect(page.locator(MODEL)).to_have_value("MODNet portrait (modnet)")
    expect(tier(page, "Fast")).to_be_checked()
    page.get_by_label("Subject").select_option("Anything")
    expect(page.locator(MODEL)).to_have_value("U²-Net small (u2netp)")


def test_a_subject_without_a_usable_model_changes_nothing(page: Page) -> None:
    page.get_by_label("Subject").select_option("Drawings")
    expect(page.locator(f"{TIER} b")).to_have_text(["Fine"])
    expect(page.locator("#model_choice input:checked")).to_have_count(0)
    expect(page.locator(MODEL)).to_have_value("U²-Net small (u2netp)")


def test_all_models_are_one_click_away_and_can_be_searched(watched: Watched) -> None:
    page = watched.page
    page.click("#model_choice .now button")
    expect(page.locator(MODEL)).to_be_focused()
    page.keyboard.type("bri")
    expect(page.locator("#model [role=option]")).to_have_text(
        [re.compile(r"BRIA RMBG 1.4"), re.compile("BRIA RMBG 2.0"), re.compile("bright")]
    )
    page.get_by_role("option", name="(bright.onnx)").click()
    expect(page.locator("#model_choice .now")).to_contain_text("bright")
    expect(page.locator("#model_choice input:checked")).to_have_count(0)
    watched.still()
    page.click("#model_choice .now button")
    expect(page.locator(MODEL)).to_be_hidden()


def test_the_tiers_follow_the_model_whoever_chooses_it(watched: Watched) -> None:
    watched.choose("modnet")
    expect(watched.page.get_by_label("Subject")).to_have_value("people")
    expect(tier(watched.page, "Fast")).to_be_checked()


def test_a_link_and_a_reload_bring_the_model_and_its_subject(watched: Watched, server: Server) -> None:
    watched.page.goto(f"{server.url}/?model=modnet")
    watched.loaded()
    expect(watched.page.get_by_label("Subject")).to_have_value("people")
    expect(tier(watched.page, "Fast")).to_be_checked()


def test_the_choice_works_by_keyboard(page: Page) -> None:
    page.get_by_label("Subject").focus()
    page.keyboard.press("p")  # as in People, which closed lists accept
    expect(page.locator(MODEL)).to_have_value("MODNet portrait (modnet)")
    expect(page.get_by_label("Subject")).to_be_focused()
    page.keyboard.press("Tab")
    expect(tier(page, "Fast")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(MODEL)).to_be_focused()


def test_a_run_replaces_the_estimate(watched: Watched, photos: dict[str, Path]) -> None:
    watched.page.get_by_label("Subject").select_option("People")
    expect(watched.page.locator(TIER).first).to_contain_text(re.compile(r"\d s"))
    watched.still()
    watched.page.get_by_text("Alpha matting", exact=True).click()
    watched.add(photos["chelsea"])
    watched.run(1)
    expect(watched.page.locator(TIER).first).not_to_contain_text("about")
    expect(watched.page.locator(TIER).nth(1)).to_contain_text("about")


@pytest.mark.parametrize("language", ["en", "de", "ja"])
def test_everything_fits_at_every_size(visit: Callable[..., Watched], language: str) -> None:
    watched = visit(locale=language, viewport={"width": 1366, "height": 768})
    page = watched.page
    fits = """() => [...document.querySelectorAll("#model_choice .choice *")].filter((each) =>
        each.tagName !== "OPTION" && (each.scrollWidth > each.clientWidth + 1 && each.clientWidth
            || each.getBoundingClientRect().right > innerWidth)).map((each) => each.outerHTML)"""
    for width, height in ((390, 844), (1366, 768), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        watched.still()
        assert page.evaluate(fits) == []
        heights = [box["height"] for each in page.locator(TIER).all() if (box := each.bounding_box())]
        assert len(heights) == 3
        assert len(set(heights)) == 1
