"""A true mask dropped beside the comparison tells which model comes closer, in a real browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from segmentation import Session, load_image, segment
from segmentation.score.scores import MEASURES, measure
from tests.score.cases import REFERENCE
from tests.web.browser.browsing import Watched

pytestmark = pytest.mark.browser

SHOWN = [each for each in MEASURES if each.name in ("mae", "max_f", "s_measure", "sad")]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A mask of the woman that is close to one network's, and to no other's."""
    with np.load(REFERENCE / "rembg_masks.npz") as masks:
        mask = np.where(masks["astronaut"] > 127, 255, 0).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "truth.png")
    return tmp_path / "truth.png"


def compared(watched: Watched, photo: Path) -> Page:
    page = watched.page
    watched.add(photo)
    page.get_by_role("tab", name="Compare models").click()
    page.click("#compare")
    expect(page.locator("#comparison section button")).to_have_count(2, timeout=90000)
    return page


def drop(page: Page, file: Path) -> None:
    if not page.locator("#truth").is_visible():
        page.click("#section_truth > button")
    page.set_input_files("#truth input[type=file]", str(file))


def scores(page: Page) -> list[list[str]]:
    """The numbers of each column."""
    expect(page.locator("#comparison .scores")).to_have_count(2, timeout=60000)
    return [
        [value.inner_text() for value in card.locator(".scores dd").all()]
        for card in page.locator("#comparison section").all()
    ]


def test_each_column_has_its_numbers_and_the_best_is_marked(
    watched: Watched, photos: dict[str, Path], truth: Path, u2netp: Session, modnet: Session
) -> None:
    page = compared(watched, photos["astronaut"])
    assert page.locator("#comparison .scores").count() == 0
    drop(page, truth)
    shown = scores(page)
    true = load_image(truth).rgb[..., 0]
    picture = load_image(photos["astronaut"])
    wanted = [measure(segment(picture, session).alpha, true).scores for session in (u2netp, modnet)]
    for column, own, other in zip(shown, wanted, wanted[::-1], strict=True):
        assert [text.removesuffix(" ★") for text in column] == [each.text(own) for each in SHOWN]
        assert [text.endswith("★") for text in column] == [each.rank(own) < each.rank(other) for each in SHOWN]
    assert page.locator("#comparison .best [aria-label=best]").count() == len(SHOWN)
    names = page.locator("#comparison section").first.locator(".scores dt").all_inner_texts()
    assert names == ["Mean error (MAE)", "Max F", "S-measure", "SAD, thousand pixels"]
    watched.shot("judged")
    box = page.locator("#comparison .scores").first.bounding_box()
    assert box
    assert box["width"] > 100
    # it is no picture to cut out
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(1)


def test_a_truth_that_is_there_already_counts_for_the_next_comparison(
    watched: Watched, photos: dict[str, Path], truth: Path
) -> None:
    watched.page.get_by_role("tab", name="Compare models").click()
    drop(watched.page, truth)
    expect(watched.page.locator("#truth img")).to_have_count(1, timeout=30000)
    page = compared(watched, photos["astronaut"])
    assert all(len(column) == len(SHOWN) for column in scores(page))


def test_a_truth_of_another_size_is_refused_in_words(watched: Watched, photos: dict[str, Path], tmp_path: Path) -> None:
    page = compared(watched, photos["astronaut"])
    Image.new("L", (40, 30), 255).save(tmp_path / "small.png")
    drop(page, tmp_path / "small.png")
    wanted = re.compile("small.png is 40 x 30, but its picture is 512 x 512: they must agree")
    expect(page.locator(".toast-body").last).to_contain_text(wanted, timeout=30000)
    assert page.locator("#comparison .scores").count() == 0
    assert page.locator("#comparison section button").count() == 2


def test_without_the_truth_the_numbers_are_gone(watched: Watched, photos: dict[str, Path], truth: Path) -> None:
    page = compared(watched, photos["astronaut"])
    drop(page, truth)
    scores(page)
    page.locator("#truth").get_by_label("Clear").click()
    expect(page.locator("#comparison .scores")).to_have_count(0, timeout=30000)
    expect(page.locator("#comparison section button")).to_have_count(2)
