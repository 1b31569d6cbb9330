"""A true mask dropped beside the comparison tells which model comes closer, in a real browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from segmentation import Picture, Session, load_image, segment
from segmentation.score.board import Board
from segmentation.score.page import to_html
from segmentation.score.run import Row
from segmentation.score.scores import measure
from segmentation.score.shown import to_shown
from segmentation.web.page.judging import SHOWN
from tests.score.cases import REFERENCE, cases
from tests.web.browser.browsing import Watched

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("remembered")]


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
    watched.drawer("compare")
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
    watched.drawer("compare")
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


# ------------------------------------------------------------------------------------------------- the page of scores


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_scores_sorts_its_pictures_by_any_measure(browser: Browser, tmp_path: Path, scheme: str) -> None:
    board = Board(["one", "two"])
    made = cases()
    for index, name in enumerate(("perfect", "soft", "shifted", "noise")):
        alpha, truth = made[name]
        picture = Picture(np.repeat(alpha[..., None], 3, axis=2))
        for candidate, own in (("one", alpha), ("two", truth)):
            board.add(Row(index, name, candidate, measure(own, truth), shown=to_shown(picture, truth, own, 100)))
    (tmp_path / "page.html").write_text(to_html(board, "Scores"), encoding="utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    page, problems = context.new_page(), list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if "://" in request.url[5:] else None)
    page.goto((tmp_path / "page.html").as_uri())

    def order() -> list[str]:
        return page.locator(".cards li:visible h3").all_inner_texts()

    wanted = [f"{entry.picture} {entry.candidate}" for entry in board.worst_first()]
    assert order() == wanted
    assert order()[0] == "noise one"
    page.select_option("#order", "best")
    assert set(order()[:5]) == {"perfect one", *(f"{name} two" for name in ("perfect", "soft", "shifted", "noise"))}
    page.select_option("#candidate", "one")
    page.select_option("#measure", "s_measure")
    page.select_option("#order", "worst")
    by_structure = {
        entry.picture: entry.scores.s_measure for entry in board.entries if entry.candidate == "one" and entry.scores
    }
    assert order() == [f"{name} one" for name in sorted(by_structure, key=lambda name: by_structure[name])]
    assert page.locator(".cards li:visible .chosen dt").all_inner_texts() == ["S"] * 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".cards li:visible img").first.evaluate("image => image.naturalWidth") == 100
    background = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert (background == "rgb(244, 245, 248)") is (scheme == "light")
    context.close()
    assert problems == []
