"""Correcting a cutout with a real mouse, finger and keyboard: what is painted comes back in the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from segmentation import Session, Settings, load_image, predict, refine, save_png
from segmentation.config import Config
from segmentation.corrections import MAX_STROKES, Correction, Stroke, read_correction
from tests import graphs
from tests.web.browser.browsing import SAVE, Watched, violations
from tests.web.browser.painting import Hand
from tests.web.conftest import Server, served

pytestmark = pytest.mark.browser

SIZE = (240, 160)  # of the picture: width, height
BODY, ARM = (slice(30, 130), slice(50, 130)), (slice(68, 92), slice(130, 210))  # rows, columns
ALONG_THE_ARM = ((140.0, 80.0), (170.0, 80.0), (202.0, 80.0))
SCREENS = {"laptop": (1366, 768), "desktop": (1920, 1080), "phone": (390, 844), "tablet": (820, 1180)}
TOUCHED = ("phone", "tablet")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network that finds what is bright, but for the arm."""
    lost = slice(None), slice(round(133 / SIZE[0] * 64), 64)
    return graphs.brightness_without(tmp_path_factory.mktemp("models") / "lossy.onnx", lost)


@pytest.fixture(scope="module")
def session(lossy: Path) -> Session:
    return Session(graphs.make_spec(lossy), lossy, "cpu")


@pytest.fixture(scope="module")
def server(lossy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    registry = graphs.write_registry(tmp_path_factory.mktemp("registry") / "registry.yaml", graphs.make_spec(lossy))
    config = Config(models_folder=lossy.parent, registry=str(registry), max_pictures=5, device="cpu")
    yield from served(config, tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright body with an arm, before a dark wall."""
    pixels = np.full((SIZE[1], SIZE[0], 3), (8, 10, 12), np.uint8)
    pixels[BODY] = pixels[ARM] = 255, 254, 252
    noise = np.random.default_rng(0).integers(-4, 5, pixels.shape)
    path = tmp_path_factory.mktemp("pictures") / "figure.png"
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


def cut_out(watched: Watched, *pictures: Path, touches: bool = False) -> Hand:
    watched.add(*pictures)
    watched.run(len(pictures))
    return Hand(watched, SIZE, touches=touches)


@pytest.fixture(params=SCREENS)
def on_each_screen(browser: Browser, server: Server, figure: Path, request: pytest.FixtureRequest) -> Iterator[Hand]:
    """A page on which the figure is cut out."""
    width, height = SCREENS[request.param]
    touches = request.param in TOUCHED
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touches)
    watched = Watched(context.new_page(), server.url)
    yield cut_out(watched, figure, touches=touches)
    context.close()
    assert watched.console == []
    assert watched.off_host == []


@pytest.fixture(scope="module")
def shared(browser: Browser, server: Server, figure: Path) -> Iterator[tuple[Hand, bytes]]:
    """A page on which the figure is cut out, for all tests that leave nothing behind, and the first file."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    watched = Watched(context.new_page(), server.url)
    hand = cut_out(watched, figure)
    yield hand, saved(hand)
    context.close()
    assert watched.console == []
    assert watched.off_host == []


@pytest.fixture
def hand(shared: tuple[Hand, bytes]) -> Hand:
    """The shared page without corrections and without a tool in hand."""
    hand, first = shared
    hand.page.keyboard.press("Escape")
    hand.take("keep")
    if hand.page.locator("#viewer [data-tool=clear]").is_enabled():
        hand.take("clear")
    hand.page.keyboard.press("Escape")
    hand.page.locator("#viewer .zooms button").first.click()
    becomes(hand, first)
    hand.watched.mark()
    hand.sent.clear()
    return hand


def of_the_library(figure: Path, session: Session, correction: Any, folder: Path) -> bytes:
    """The bytes that the library writes with the same strokes."""
    picture = load_image(figure)
    strokes = read_correction(correction).strokes
    result = refine(picture, predict(picture, session).maps[""], Settings(), strokes=strokes)
    save_png(result.cutout, folder / "own.png", picture.icc_profile)
    return (folder / "own.png").read_bytes()


def alpha(hand: Hand, folder: Path) -> NDArray[Any]:
    return hand.watched.pixels(SAVE, "href", folder)[..., 3]


def saved(hand: Hand) -> bytes:
    return hand.watched.fetched(SAVE, "href")


def becomes(hand: Hand, content: bytes) -> None:
    """Wait until the file that can be downloaded is this."""
    for _ in range(150):
        address = hand.page.locator(SAVE).get_attribute("href")  # none while a preview is shown
        if address and hand.page.request.get(address).body() == content:
            hand.watched.mark()
            return
        hand.page.wait_for_timeout(100)
    pytest.fail("the file is another")


# ------------------------------------------------------------------------------------------------ what a stroke does


def test_a_stroke_brings_back_what_the_network_lost(
    on_each_screen: Hand, figure: Path, session: Session, tmp_path: Path
) -> None:
    hand, page, watched = on_each_screen, on_each_screen.page, on_each_screen.watched
    before = saved(hand)
    assert alpha(hand, tmp_path)[ARM][:, 8:].max() == 0
    hand.take("keep")
    page.locator("#viewer .stage").scroll_into_view_if_needed()
    hand.draw(*ALONG_THE_ARM)
    watched.tuned()
    kept = alpha(hand, tmp_path)
    assert kept[78:82, 140:202].min() > 240
    assert kept[:50, 140:].max() == 0
    assert saved(hand) == of_the_library(figure, session, hand.said(1), tmp_path) != before
    (stroke,) = hand.said(1)["strokes"]
    assert stroke["kind"] == "keep"
    assert len(stroke["points"]) <= 3  # a straight line needs no more
    assert np.allclose(stroke["points"][0], ALONG_THE_ARM[0], atol=1.5)
    assert np.allclose(stroke["points"][-1], ALONG_THE_ARM[-1], atol=1.5)
    # picture and tools are in view while it is painted, and nothing spills over
    sheet, tools = (page.locator(f"#viewer {name}").bounding_box() for name in (".sheet", ".tools"))
    assert sheet
    assert tools
    size = page.viewport_size
    assert size
    for box in (sheet, tools):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size["height"]
    assert (
        tools["y"] + tools["height"] <= sheet["y"] + 1
        or tools["y"] >= sheet["y"] + sheet["height"] - 1
        or (tools["x"] + tools["width"] <= sheet["x"] + 1)
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert violations(page) == []
    watched.shot(f"correcting-{size['width']}")
    page.locator("#viewer [data-tool=undo]").click()
    becomes(hand, before)


def test_several_strokes_in_a_row_are_all_in_the_file(
    hand: Hand, figure: Path, session: Session, tmp_path: Path
) -> None:
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    hand.take("remove")
    hand.draw((60, 40), (60, 120))
    hand.take("solve")
    hand.draw((90, 30), (120, 30))
    said = hand.said(3)
    assert [stroke["kind"] for stroke in said["strokes"]] == ["keep", "remove", "solve"]
    becomes(hand, of_the_library(figure, session, said, tmp_path))
    assert alpha(hand, tmp_path)[50:110, 60].max() == 0
    assert [sent["revision"] for sent in hand.sent] == sorted({sent["revision"] for sent in hand.sent})


def test_undo_redo_and_clear_restore_the_very_bytes(hand: Hand, figure: Path, session: Session, tmp_path: Path) -> None:
    first = saved(hand)
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    second = of_the_library(figure, session, hand.said(1), tmp_path)
    becomes(hand, second)
    hand.page.keyboard.press("Control+z")
    becomes(hand, first)
    expect(hand.page.locator("#viewer .ink g[class]")).to_have_count(0)
    hand.page.keyboard.press("Control+Shift+Z")
    becomes(hand, second)
    hand.take("clear")
    becomes(hand, first)
    expect(hand.page.locator("#viewer [data-tool=clear]")).to_be_disabled()
    hand.take("undo")  # clearing is a step too
    becomes(hand, second)


def test_the_eraser_takes_away_the_part_of_a_stroke_that_it_touches(
    hand: Hand, figure: Path, session: Session, tmp_path: Path
) -> None:
    hand.take("keep")
    hand.draw((20, 20), (220, 20))
    hand.take("erase")
    hand.draw((120, 5), (120, 40))
    left, right = hand.said(2)["strokes"]
    assert left["points"][0][0] < 25
    assert left["points"][-1][0] < 120 - left["radius"] + 1
    assert right["points"][0][0] > 120 + right["radius"] - 1
    becomes(hand, of_the_library(figure, session, hand.said(2), tmp_path))
    hand.draw((10, 150), (30, 150))  # where nothing is, there is no step
    hand.page.wait_for_timeout(100)
    assert len(hand.sent) == 2


def test_an_eraser_that_would_leave_more_strokes_than_the_server_takes_is_refused(
    browser: Browser, server: Server, figure: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), figure)
    run = list(server.service.shown._runs.values())[-1]
    run.corrections.change(0, lambda _: Correction((Stroke("keep", 2.0, ((20, 20), (220, 20))),) * MAX_STROKES))
    run.correction_failed(0, run.corrections.revision(0))  # so many take long
    hand.page.reload()
    hand.watched.loaded()
    hand.take("erase")
    expect(hand.page.locator("#viewer .ink g.keep")).to_have_count(MAX_STROKES)
    hand.draw((120, 5), (120, 40))
    expect(hand.page.locator("#viewer .hint")).to_contain_text("cannot have more strokes")
    expect(hand.page.locator("#viewer .ink g.keep")).to_have_count(MAX_STROKES)
    assert hand.sent == []
    context.close()


def test_who_paints_while_zoomed_in_and_moved_paints_where_the_brush_is(hand: Hand) -> None:
    page = hand.page
    hand.take("keep")
    page.mouse.move(*hand.at((150, 80)))
    for _ in range(5):
        page.mouse.wheel(0, -120)
    scroll = "[document.querySelector('#viewer .stage').scrollLeft, document.querySelector('#viewer .stage').scrollTop]"
    before = page.evaluate(scroll)
    page.keyboard.down("Space")
    hand.draw((150, 80), (140, 76))
    page.keyboard.up("Space")
    moved = page.evaluate(scroll)
    assert moved[0] > before[0]
    page.mouse.move(*hand.at((150, 80)))
    page.mouse.down(button="middle")
    x, y = hand.at((153, 82))
    page.mouse.move(x, y)
    page.mouse.up(button="middle")
    assert page.evaluate(scroll)[0] < moved[0]
    assert hand.sent == []
    zoomed = page.locator("#viewer .sheet").bounding_box()
    assert zoomed
    assert zoomed["width"] > 3 * SIZE[0]
    hand.draw((150, 80), (160, 84))
    (stroke,) = hand.said(1)["strokes"]
    assert np.allclose([stroke["points"][0], stroke["points"][-1]], [(150, 80), (160, 84)], atol=0.4)


def test_two_fingers_move_the_picture_and_one_paints(browser: Browser, server: Server, figure: Path) -> None:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True)
    hand = cut_out(Watched(context.new_page(), server.url), figure, touches=True)
    hand.take("keep")
    width = "document.querySelector('#viewer .sheet').clientWidth"
    before = hand.page.evaluate(width)
    hand.pinch(160)
    assert hand.page.evaluate(width) > 2 * before
    assert hand.sent == []
    expect(hand.page.locator("#viewer .ink g[class]")).to_have_count(0)
    hand.draw((115, 80), (125, 78))
    (stroke,) = hand.said(1)["strokes"]
    assert np.allclose([stroke["points"][0], stroke["points"][-1]], [(115, 80), (125, 78)], atol=0.5)
    context.close()


def test_a_cropped_cutout_is_corrected_on_the_whole_picture(
    browser: Browser, server: Server, figure: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url, "/?crop=true&crop_margin=0"), figure)
    narrow = alpha(hand, tmp_path).shape
    assert narrow[1] < 110
    hand.take("keep")
    sheet = hand.page.locator("#viewer .sheet").bounding_box()
    assert sheet
    assert sheet["width"] / sheet["height"] == pytest.approx(SIZE[0] / SIZE[1], rel=0.01)
    hand.draw(*ALONG_THE_ARM)
    hand.watched.tuned()
    assert np.allclose(hand.said(1)["strokes"][0]["points"][-1], ALONG_THE_ARM[-1], atol=1)
    assert alpha(hand, tmp_path).shape[1] > narrow[1] + 40
    context.close()


@pytest.mark.parametrize("query", ["/?alpha_matting=false", "/"])
def test_a_subject_that_no_network_finds_can_be_painted(
    browser: Browser, server: Server, tmp_path: Path, query: str
) -> None:
    pixels = np.full((SIZE[1], SIZE[0], 3), 12, np.uint8)
    pixels[ARM] = 20, 24, 60
    Image.fromarray(pixels).save(tmp_path / "night.png")
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url, query), tmp_path / "night.png")
    expect(hand.page.locator("#viewer .notes")).to_contain_text("No subject found")
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    hand.watched.tuned()
    assert alpha(hand, tmp_path)[79:81, 142:200].min() == 255
    context.close()


# --------------------------------------------------------------------------------------------- nothing is mixed or lost


def test_a_reloaded_page_shows_the_strokes_and_can_take_them_back(
    browser: Browser, server: Server, figure: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), figure)
    page, first = hand.page, saved(hand)
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    hand.draw((60, 60), (60, 90))
    hand.watched.tuned()
    page.add_init_script("const now = Date.now; Date.now = () => now() - 3_600_000")  # the clock is set back
    page.reload()
    expect(page.locator("#viewer .tools")).to_be_visible(timeout=30000)
    hand.watched.loaded()
    hand.take("keep")
    expect(page.locator("#viewer .ink g.keep")).to_have_count(2)
    expect(page.locator("#viewer .ink g.fresh")).to_have_count(0)
    hand.take("undo")
    expect(page.locator("#viewer .ink g[class]")).to_have_count(1)
    hand.take("undo")
    becomes(hand, first)
    context.close()


def test_strokes_that_did_not_reach_the_server_are_sent_when_the_page_is_back(
    browser: Browser, server: Server, figure: Path, session: Session, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), figure)
    hand.page.route("**/run/predict", lambda route: route.abort())
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    lost = hand.said(1)
    hand.page.unroute("**/run/predict")
    hand.page.reload()  # as Gradio does once the server answers again
    becomes(hand, of_the_library(figure, session, lost, tmp_path))
    context.close()


def test_the_tools_rest_from_cut_out_to_the_first_cutout_of_the_new_run(
    browser: Browser, server: Server, figure: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), figure)
    page, held = hand.page, list[Route]()
    keep, hint = page.locator("#viewer [data-tool=keep]"), page.locator("#viewer .hint")
    own = page.locator("#own_mask")
    hand.watched.open("matting")
    expect(own).to_be_visible()
    hand.watched.open("network")
    page.locator("#mean textarea, #mean input").fill("0.1")
    hand.take("keep")
    for is_new in (True, False):  # at first with another setting of the network, and then without a change
        page.route("**/queue/join*", lambda route: held.append(route))
        page.click("#run")
        expect(keep).to_be_disabled()
        expect(hint).to_have_text("A new run has begun. The tools are back with its first cutout.")
        expect(own).to_be_hidden()
        hand.draw(*ALONG_THE_ARM)
        page.keyboard.press("k")
        expect(keep).to_have_attribute("aria-pressed", "false")
        while held:
            held.pop().continue_()
        page.unroute("**/queue/join*")
        if is_new:
            hand.watched.tuned()
        expect(keep).to_be_enabled()
        expect(hint).to_be_empty()
        expect(own).to_be_visible()
        hand.watched.done()
    assert hand.sent == []
    context.close()


def test_history_belongs_to_a_picture_and_a_picture_left_at_once_is_finished(
    browser: Browser, server: Server, figure: Path, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "second.png").write_bytes(figure.read_bytes())
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), figure, tmp_path / "second.png")
    page = hand.page
    page.locator("#viewer .thumb").first.click()
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    corrected = of_the_library(figure, session, hand.said(1), tmp_path)
    page.locator("#viewer .thumb").nth(1).click()
    expect(page.locator("#viewer .ink g[class]")).to_have_count(0)
    expect(page.locator("#viewer [data-tool=undo]")).to_be_disabled()
    hand.draw((20, 20), (40, 20))
    second = of_the_library(figure, session, hand.said(2), tmp_path)
    becomes(hand, second)
    page.locator("#viewer .thumb").first.click()
    expect(page.locator("#viewer .ink g[class]")).to_have_count(1)
    becomes(hand, corrected)
    hand.take("undo")
    becomes(hand, of_the_library(figure, session, {}, tmp_path))
    page.locator("#viewer .thumb").nth(1).click()
    becomes(hand, second)
    context.close()


def test_two_visitors_paint_on_their_own_pictures(
    hand: Hand, browser: Browser, server: Server, figure: Path, session: Session, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    other = cut_out(Watched(context.new_page(), server.url), figure)
    first = saved(other)
    hand.take("keep")
    other.take("remove")
    hand.draw(*ALONG_THE_ARM)
    other.draw((60, 40), (60, 120))
    becomes(hand, of_the_library(figure, session, hand.said(1), tmp_path))
    becomes(other, of_the_library(figure, session, other.said(1), tmp_path))
    assert [stroke["kind"] for stroke in other.said(1)["strokes"]] == ["remove"]
    other.take("undo")
    becomes(other, first)
    context.close()


def test_what_cannot_be_done_is_told_in_the_status_line(
    browser: Browser, server: Server, figure: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    lost = tmp_path / "lost.bmp"
    with Image.open(figure) as picture:
        picture.save(lost)
    hand = cut_out(Watched(context.new_page(), server.url), lost)
    (upload,) = server.uploads.rglob("lost.bmp")
    upload.unlink()
    hand.take("keep")
    hand.draw(*ALONG_THE_ARM)
    expect(hand.page.locator("#status .line")).to_contain_text("lost.bmp")
    expect(hand.page.locator("#viewer .ink g.fresh")).to_have_count(1)  # it stays, with no answer
    context.close()


# ----------------------------------------------------------------------------------------------------------- the tools


def test_the_keyboard_alone_paints(hand: Hand, shared: tuple[Hand, bytes], tmp_path: Path) -> None:
    page, keys = hand.page, hand.page.keyboard
    page.locator("#viewer [data-view=alpha]").focus()
    for _ in range(30):
        keys.press("Tab")
        if page.evaluate("document.activeElement.dataset.tool") == "keep":
            break
    assert page.evaluate("document.activeElement.dataset.tool") == "keep"
    keys.press("Enter")
    keys.press("ArrowRight")  # the brush begins in the middle of the picture
    keys.press("Enter")
    for _ in range(8):
        keys.press("ArrowRight")
    keys.press("Enter")
    hand.watched.tuned()
    (stroke,) = hand.said(1)["strokes"]
    assert stroke["points"][0][1] == stroke["points"][-1][1] == SIZE[1] / 2
    assert stroke["points"][-1][0] - stroke["points"][0][0] == pytest.approx(8 * stroke["radius"], abs=1)
    assert alpha(hand, tmp_path)[80, 140:155].min() > 240
    keys.press("Control+z")
    becomes(hand, shared[1])
    keys.press("Escape")
    expect(page.locator("#viewer [data-tool=keep]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#viewer .correction")).to_be_hidden()


def test_the_brush_is_as_large_as_its_outline(hand: Hand) -> None:
    page = hand.page
    hand.take("keep")
    page.mouse.move(*hand.at((150, 80)))
    sizes = []

    def size() -> float:
        outline = page.locator("#viewer .brush").bounding_box()
        sheet = page.locator("#viewer .sheet").bounding_box()
        assert outline
        assert sheet
        sizes.append(outline["width"] / sheet["width"] * SIZE[0])
        return sizes[-1]

    first = size()
    page.keyboard.press("]")
    assert size() == pytest.approx(1.25 * first, rel=0.1)
    page.keyboard.press("[")
    assert size() == pytest.approx(first, rel=0.1)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Shift")
    page.wait_for_timeout(100)
    assert size() > 1.3 * first
    page.locator("#viewer .size input").fill("0.9")
    page.mouse.move(*hand.at((150, 80)))
    assert size() > 2 * first
    hand.draw((150, 80))
    (stroke,) = hand.said(1)["strokes"]
    assert stroke["points"] == [pytest.approx([150, 80], abs=0.5)]
    assert 2 * stroke["radius"] == pytest.approx(sizes[-1], rel=0.15)  # the outline has a border
    page.locator("#viewer .size input").fill("0.58")


def test_before_and_after_are_seen_at_once_while_a_key_or_a_button_is_held(hand: Hand) -> None:
    page = hand.page
    hand.take("keep")
    layer = page.locator("#viewer .correction")
    expect(layer).to_be_visible()
    page.keyboard.down("a")
    expect(layer).to_be_hidden()
    expect(page.locator("#viewer .own")).to_be_visible()
    page.keyboard.up("a")
    expect(layer).to_be_visible()
    page.locator("#viewer [data-tool=before]").hover()
    page.mouse.down()
    expect(page.locator("#viewer .kept")).to_be_hidden()
    expect(page.locator("#viewer .removed")).to_have_css("opacity", "1")
    page.mouse.up()
    expect(page.locator("#viewer .kept")).to_be_visible()


def test_clicks_and_boxes_say_which_subject(hand: Hand) -> None:
    page = hand.page
    hand.take("click")
    page.mouse.click(*hand.at((90, 80)))
    page.mouse.click(*hand.at((20, 20)), button="right")
    page.keyboard.down("Alt")
    page.mouse.click(*hand.at((220, 20)))
    page.keyboard.up("Alt")
    hand.draw((40, 25), (215, 135))
    said = hand.said(4)
    assert [point["keep"] for point in said["points"]] == [True, False, False]
    assert np.allclose([(point["x"], point["y"]) for point in said["points"]], [(90, 80), (20, 20), (220, 20)], atol=1)
    assert np.allclose(said["box"], (40, 25, 215, 135), atol=1)
    expect(page.locator("#viewer .marks .point")).to_have_text(["+", "−", "−"])
    page.mouse.click(*hand.at((20, 20)))  # a click on a mark takes it away
    assert len(hand.said(5)["points"]) == 2
    page.keyboard.press("n")
    assert [sent["correction"]["candidate"] for sent in hand.sent[:5]] == [1] * 5
    assert hand.said(6)["candidate"] == 2
    hand.take("undo")
    assert hand.said(7)["candidate"] == 1


def test_a_click_chooses_among_subjects(browser: Browser, server: Server, tmp_path: Path) -> None:
    pixels = np.full((SIZE[1], SIZE[0], 3), 8, np.uint8)
    pixels[50:110, 20:60] = pixels[50:110, 80:120] = 254
    Image.fromarray(pixels).save(tmp_path / "pair.png")
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), tmp_path / "pair.png")
    both = saved(hand)
    hand.take("click")
    hand.page.mouse.click(*hand.at((100, 80)))
    hand.watched.tuned()
    kept = alpha(hand, tmp_path)
    assert kept[60:100, 25:55].max() == 0
    assert kept[60:100, 85:115].min() > 230
    hand.page.mouse.click(*hand.at((100, 80)))  # on the mark
    becomes(hand, both)
    hand.page.mouse.click(*hand.at((100, 80)), button="right")
    hand.watched.tuned()
    kept = alpha(hand, tmp_path)
    assert kept[60:100, 25:55].min() > 230
    assert kept[60:100, 85:115].max() == 0
    context.close()


# --------------------------------------------------------------------------------------------------------------- doubt


def test_the_warning_of_doubt_shows_where(browser: Browser, server: Server, tmp_path: Path) -> None:
    pixels = np.full((SIZE[1], SIZE[0], 3), 8, np.uint8)
    pixels[20:140, 10:50] = 254
    pixels[20:140, 50:120] = 118  # as much as nothing, to a network that sees brightness
    Image.fromarray(pixels).save(tmp_path / "doubtful.png")
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hand = cut_out(Watched(context.new_page(), server.url), tmp_path / "doubtful.png")
    page = hand.page
    expect(page.locator("#viewer .notes")).to_contain_text("The model is unsure about")
    where = page.get_by_role("button", name="Show where")
    expect(page.locator("#viewer .doubt")).to_be_hidden()
    where.click()
    expect(where).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#viewer .doubt")).to_be_visible()
    mask = page.locator("#viewer .doubt").evaluate("(node) => getComputedStyle(node).maskImage.slice(5, -2)")
    (tmp_path / "doubt.png").write_bytes(page.request.get(mask).body())
    with Image.open(tmp_path / "doubt.png") as picture:
        doubt = np.asarray(picture)
    height, width = doubt.shape
    assert doubt[height // 2, round(85 / SIZE[0] * width)] == 255
    assert doubt[height // 2, round(25 / SIZE[0] * width)] == 0
    assert doubt[height // 2, round(200 / SIZE[0] * width)] == 0
    hand.watched.shot("doubt")
    assert violations(page) == []
    where.click()
    expect(page.locator("#viewer .doubt")).to_be_hidden()
    context.close()
