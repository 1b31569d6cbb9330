"""What the page says is true and what is tuned stays in sight: seen as a person does, at the sizes that people have."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Browser, Page, expect

from tests.web.browser.browsing import SAVE, Watched
from tests.web.conftest import Server

pytestmark = pytest.mark.browser

SIZES = [(1366, 768), (1440, 900), (1920, 1080), (390, 844)]
CONTROLS = """() => [...document.querySelectorAll("#settings .block")]
    .filter((block) => block.id && block.offsetParent && !block.querySelector(".block") && block.id !== "report")
    .map((block) => block.id)"""


def visible_share(page: Page, selector: str) -> float:
    """The share of an element that lies inside the viewport and under nothing else."""
    return float(
        page.locator(selector).first.evaluate(
            """(node) => {
                const box = node.getBoundingClientRect();
                let seen = 0, all = 0;
                for (let x = 0.1; x < 1; x += 0.2) for (let y = 0.1; y < 1; y += 0.2) {
                    const [px, py] = [box.left + x * box.width, box.top + y * box.height];
                    const hit = document.elementFromPoint(px, py);
                    all += 1;
                    seen += Boolean(hit && node.contains(hit));
                }
                return seen / all;
            }"""
        )
    )


@pytest.fixture
def photos(small_photos: dict[str, Path]) -> dict[str, Path]:
    return small_photos


@pytest.fixture(params=SIZES, ids=[f"{w}x{h}" for w, h in SIZES])
def sized(request: pytest.FixtureRequest, visit: Callable[..., Watched]) -> Watched:
    width, height = request.param
    return visit(viewport={"width": width, "height": height}, has_touch=width < 500)


def test_the_picture_is_in_sight_while_any_of_its_controls_is(sized: Watched, photos: dict[str, Path]) -> None:
    page = sized.page
    sized.add(photos["cheetah"], photos["astronaut"])
    sized.choose("bright.onnx")
    sized.run(2)
    for section in ("matting", "background", "canvas", "output", "network"):
        sized.open(section)
    controls = page.evaluate(CONTROLS)
    assert {"alpha_matting_erode_size", "background", "format", "std"} <= set(controls)
    for name in controls:
        for block in ("start", "end"):
            page.locator(f"#{name}").evaluate("(node, block) => node.scrollIntoView({ block })", block)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            box = page.locator("#viewer .stage").bounding_box()
            size = page.viewport_size
            assert box
            assert size
            assert box["y"] >= -1, (name, block, box)
            assert box["y"] + box["height"] <= size["height"] + 1, (name, block, box)
            assert visible_share(page, "#viewer .stage") > 0.9, (name, block)
    # and a slider that is turned changes what is seen, where it is seen
    page.locator("#alpha_matting_erode_size").scroll_into_view_if_needed()
    sized.turn("alpha_matting_erode_size", 25)
    expect(page.locator("#status .line")).to_contain_text("updated", timeout=30000)
    assert visible_share(page, "#viewer .stage") > 0.9
    sized.shot(f"tuning-{page.viewport_size['width']}")  # type: ignore[index]


def test_the_page_is_centred_and_fits(sized: Watched) -> None:
    page = sized.page
    width = page.evaluate("document.documentElement.clientWidth")
    box = page.locator("#work").bounding_box()
    assert box
    assert abs(box["x"] - (width - box["x"] - box["width"])) <= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_very_wide_screen_has_its_page_in_the_middle(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 2560, "height": 1440})
    page = Watched(context.new_page(), server.url).page
    box = page.locator("#work").bounding_box()
    assert box
    assert abs(box["x"] - (2560 - box["x"] - box["width"])) <= 16
    context.close()


def test_nothing_jumps_and_nothing_warns(browser: Browser, server: Server, photos: dict[str, Path]) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
    watched = Watched(page, server.url)
    watched.add(photos["cheetah"])
    watched.choose("bright.onnx")
    place = "document.querySelector('#viewer').getBoundingClientRect().top + window.scrollY"
    page.evaluate("window.scrollTo(0, 0)")
    before = page.evaluate(place)
    watched.run(1)
    page.evaluate("window.scrollTo(0, 0)")
    assert page.evaluate(place) == before
    assert [text for text in said if "not implemented" in text.lower()] == []
    assert page.locator("footer .divider").evaluate_all("nodes => nodes.filter((n) => n.offsetParent).length") == 0
    context.close()


# ------------------------------------------------------------------------------------------------- what was brought


def test_a_file_of_no_type_is_told_by_the_server_and_a_phones_is_cut_out(watched: Watched, tmp_path: Path) -> None:
    register_heif_opener()
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 20:60] = 255
    Image.fromarray(pixels).save(tmp_path / "IMG_1.HEIC", "HEIF", quality=90)
    (tmp_path / "raw.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(60))
    page = watched.page
    watched.choose("bright.onnx")
    for name in ("IMG_1.HEIC", "raw.cr2"):
        data = (tmp_path / name).read_bytes()
        page.evaluate(
            """([name, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "" }));
                const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
                document.querySelector("#title").dispatchEvent(drop);
            }""",
            [name, list(data)],
        )
        count = 1 if name == "IMG_1.HEIC" else 2
        expect(page.locator("#pictures .thumbnail-item")).to_have_count(count, timeout=15000)
    # the browser cannot show it, so the server does
    phone = page.locator("#pictures .thumbnail-item img").first
    expect(phone).to_have_attribute("src", re.compile("/preview"), timeout=15000)
    page.wait_for_function("document.querySelector('#pictures .thumbnail-item img').naturalWidth === 80", timeout=15000)
    watched.run(1)
    expect(page.locator("#viewer .broken")).to_have_count(1)
    expect(page.locator("#report .failed")).to_contain_text(
        "raw.cr2 is a camera raw file (CR2), which cannot be read here"
    )
    before = page.locator("#viewer .whole")
    expect(before).to_have_attribute("src", re.compile("before"))
    page.wait_for_function("document.querySelector('#viewer .whole').naturalWidth === 80", timeout=15000)


def test_too_many_pictures_are_told_before_anything_is_sent(watched: Watched, photos: dict[str, Path]) -> None:
    uploads: list[str] = []
    watched.page.on("request", lambda request: uploads.append(request.url) if "upload" in request.url else None)
    watched.page.set_input_files("#pictures input[type=file]", [photos["cheetah"]] * 6)  # five are the cap here
    expect(watched.page.locator("#refused")).to_contain_text("6 pictures are too many: the limit is 5")
    assert uploads == []
    watched.add(photos["cheetah"])
    expect(watched.page.locator("#refused")).to_be_hidden()


def test_names_with_quotes_and_long_names_are_shown_as_they_are(watched: Watched, tmp_path: Path) -> None:
    quoted, long = tmp_path / 'a "quoted" name.png', tmp_path / f"{'long ' * 40}.png"
    for path in (quoted, long):
        Image.new("RGB", (40, 30), "white").save(path)
    watched.choose("bright.onnx")
    watched.add(quoted, long)
    watched.run(2)
    name = watched.page.locator("#viewer .name")
    expect(name).not_to_contain_text("%22")
    watched.page.locator("#viewer .thumb").nth(1).click()
    for bar in watched.page.locator("#viewer .bar").all():
        box = bar.bounding_box()
        assert box
        assert box["height"] < 60


# ------------------------------------------------------------------------------------------------- what was done


def test_a_failed_picture_stands_in_the_film_with_its_reason_and_a_retry(
    watched: Watched, photos: dict[str, Path], server: Server, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    page = watched.page
    page.set_input_files("#pictures input[type=file]", [bad, photos["cheetah"]])
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2, timeout=15000)
    watched.choose("bright.onnx")
    watched.run(1)
    expect(page.locator("#status .line")).to_contain_text("1 of 2 are done, 1 failed")
    page.locator("#viewer .broken").click()
    expect(page.locator("#viewer .failure")).to_contain_text("bad.png is damaged")
    source = next(path for path in server.uploads.rglob("bad.png"))
    Image.new("RGB", (40, 30), "white").save(source)  # as if it had been a passing fault
    page.locator("#viewer .retry").click()
    expect(page.locator("#viewer .thumb")).to_have_count(2, timeout=30000)
    expect(page.locator("#status .line")).to_contain_text("All 2 pictures are done")
    assert Axe().run(page).response["violations"] == []


def test_cut_out_does_what_is_missing_after_stop_and_after_another_picture(
    watched: Watched, photos: dict[str, Path]
) -> None:
    page = watched.page
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"])
    watched.run(1)
    first = page.locator("#viewer .thumb img").first.get_attribute("src")
    page.set_input_files("#pictures input[type=file]", [photos["chelsea"]])
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2, timeout=15000)
    watched.run(2)
    assert page.locator("#viewer .thumb img").first.get_attribute("src") == first
    expect(page.locator("#viewer .name")).to_contain_text("chelsea")


def test_a_page_that_is_loaded_again_has_its_results(watched: Watched, photos: dict[str, Path], server: Server) -> None:
    page = watched.page
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.run(2)
    file = page.locator(SAVE).get_attribute("href")
    page.reload()
    watched.loaded()
    expect(page.locator("#viewer .thumb")).to_have_count(2, timeout=30000)
    assert page.locator(SAVE).get_attribute("href") == file
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2)
    watched.mark()
    watched.open("matting")
    watched.turn("alpha_matting_erode_size", 20)  # it can be tuned as before
    watched.tuned()
    # another visitor gets nothing of it
    context = watched.page.context.browser.new_context()  # type: ignore[union-attr]
    other = Watched(context.new_page(), server.url)
    expect(other.page.locator("#viewer .thumb")).to_have_count(0)
    context.close()


def test_results_that_are_gone_are_said_to_be(watched: Watched, photos: dict[str, Path], server: Server) -> None:
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"])
    watched.run(1)
    for run in list(server.service.shown._runs.values()):
        server.service.shown.drop(run)  # as a restart does
    watched.page.reload()
    expect(watched.page.locator("#status .line")).to_contain_text("Your last results have expired", timeout=30000)


def test_changed_settings_are_seen_on_closed_sections_and_reset(watched: Watched) -> None:
    page = watched.page
    expect(page.locator("#reset")).to_be_hidden()
    watched.open("matting")
    watched.turn("alpha_matting_erode_size", 33)
    watched.open("matting")  # closed again
    expect(page.locator("#section_matting")).to_have_attribute("data-changed", "changed")
    expect(page.locator("#section_background")).to_have_attribute("data-changed", "")
    page.reload()
    watched.loaded()
    expect(page.locator("#section_matting")).to_have_attribute("data-changed", "changed", timeout=20000)
    page.click("#reset")
    expect(page.locator("#section_matting")).to_have_attribute("data-changed", "")
    expect(page.locator("#reset")).to_be_hidden()


def test_what_waits_for_a_run_says_so_and_errors_stay_at_their_field(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"])
    watched.run(1)
    watched.open("network")
    page.locator("#std textarea, #std input").fill("nonsense")
    expect(page.locator("#std .problem")).to_contain_text("Std must be one number or three")
    page.locator("#std textarea, #std input").fill("0,5")
    expect(page.locator("#std .problem")).to_have_count(0)
    expect(page.locator("#status .line")).to_contain_text("takes effect the next time you press Cut out")
    watched.press("#apply_all")
    expect(page.locator("#status .line")).to_contain_text("takes effect the next time you press Cut out")
    expect(page.locator("#status .line")).not_to_contain_text("have these settings")  # of which one still waits
    page.locator("#std textarea, #std input").fill("")
    expect(page.locator("#status .line")).to_contain_text("The picture is done")  # nothing waits


def test_nothing_that_was_made_goes_before_something_else_is_there(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.run(2)
    first = page.locator("#viewer .thumb img").first.get_attribute("src")
    page.click("#run")  # there is nothing to do
    page.wait_for_timeout(1500)
    assert page.locator("#viewer .thumb img").first.get_attribute("src") == first
    watched.choose("modnet")
    watched.open("network")
    page.locator("#size textarea, #size input").fill("1536")  # seconds a picture
    page.click("#run")
    expect(page.locator("#status .line")).to_contain_text("0 of 2 done. ", timeout=30000)  # the network is loaded
    page.click("#stop")
    expect(page.locator("#status .line")).to_contain_text("Stopped before any picture was finished")
    assert page.locator("#viewer .thumb img").first.get_attribute("src") == first
    page.reload()
    expect(page.locator("#viewer .thumb")).to_have_count(2, timeout=30000)
    expect(page.locator("#status .line")).to_contain_text("All 2 pictures are done")


def test_a_size_that_the_model_does_not_take_is_told_at_its_field(watched: Watched) -> None:
    watched.open("network")
    watched.page.locator("#size textarea, #size input").fill("333")
    expect(watched.page.locator("#size .problem")).to_contain_text("works at 320 x 320 only")
    watched.page.locator("#size textarea, #size input").fill("320")
    expect(watched.page.locator("#size .problem")).to_have_count(0)


def test_a_click_on_an_upload_shows_its_cutout_and_the_first_picture_comes_first(
    watched: Watched, photos: dict[str, Path]
) -> None:
    page = watched.page
    watched.choose("bright.onnx")
    watched.add(photos["astronaut"], photos["cheetah"])
    watched.run(2)
    expect(page.locator("#viewer .name")).to_contain_text("1 / 2  astronaut")
    watched.open("matting")
    watched.turn("alpha_matting_erode_size", 22)  # what is tuned is what is shown, whichever was done first
    expect(page.locator("#status .line")).to_contain_text("astronaut.png updated", timeout=30000)
    page.locator("#pictures .thumbnail-item").nth(1).click()
    expect(page.locator("#viewer .name")).to_contain_text("2 / 2  cheetah")


def test_wheel_and_double_click_zoom_at_the_pointer(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    Image.effect_noise((2400, 1800), 80).convert("RGB").save(tmp_path / "large.png")
    watched.choose("bright.onnx")
    page.locator("#alpha_matting input").uncheck()
    watched.add(tmp_path / "large.png")
    watched.run(1)
    page.click("#viewer [data-view=cutout]")
    expect(page.locator("#viewer .own")).to_have_attribute(
        "src", re.compile(r"\.screen\.webp$")
    )  # a slow line is no wait
    sheet, stage = page.locator("#viewer .sheet"), page.locator("#viewer .stage").bounding_box()
    assert stage
    width = sheet.evaluate("node => node.offsetWidth")
    x, y = stage["x"] + stage["width"] / 3, stage["y"] + stage["height"] / 3
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    wide = "document.querySelector('#viewer .sheet').offsetWidth"
    page.wait_for_function(f"{wide} > {2 * width}")
    page.mouse.wheel(0, 4000)
    page.wait_for_function(f"Math.abs({wide} - {width}) <= 1")
    page.mouse.dblclick(x, y)
    page.wait_for_function(f"{wide} > {1.5 * width}")
    expect(page.locator("#viewer .own")).to_have_attribute("src", re.compile(r"-cutout\.png$"))  # now all of it


def test_addresses_are_relative_to_the_page(watched: Watched, photos: dict[str, Path], server: Server) -> None:
    watched.page.evaluate("window.gradio_config.root = 'http://10.0.0.1:1'")  # what a proxy without headers makes of it
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"])
    watched.run(1)
    href = watched.page.locator(SAVE).get_attribute("href") or ""
    assert href.startswith(f"{server.url}/gradio_api/file=")


def test_compared_pictures_zoom_together(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.add(photos["astronaut"])
    watched.drawer("compare")
    page.click("#compare")
    expect(page.locator("#comparison figure img")).to_have_count(4, timeout=60000)
    page.locator("#comparison figure img").first.dblclick()
    for image in page.locator("#comparison figure img").all():
        expect(image).to_have_attribute("style", re.compile(r"transform: scale\(3\)"))


# ------------------------------------------------------------------------------------------------- everybody


def test_every_control_shows_its_focus_and_radios_go_by_arrows(watched: Watched) -> None:
    page = watched.page
    for section in ("matting", "output"):
        watched.open(section)
    for selector in ("#alpha_matting input", "#alpha_matting_erode_size input[type=range]", "#format input >> nth=0"):
        page.locator(selector).focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert (style, width >= 2) == ("solid", True), selector
    page.locator("#format input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#format input").nth(1)).to_be_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_shuts_anybody_out(browser: Browser, server: Server, photos: dict[str, Path], scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    watched = Watched(context.new_page(), server.url)
    assert Axe().run(watched.page).response["violations"] == []
    watched.choose("bright.onnx")
    watched.add(photos["cheetah"])
    watched.run(1)
    for section in ("matting", "background", "canvas", "output", "network"):
        watched.open(section)
    found = Axe().run(watched.page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    context.close()


@pytest.mark.parametrize("language", ["de", "ja"])
def test_all_that_is_said_is_said_in_the_visitors_language(
    browser: Browser, server: Server, photos: dict[str, Path], tmp_path: Path, language: str
) -> None:
    context = browser.new_context(locale=language, viewport={"width": 1366, "height": 900})
    watched = Watched(context.new_page(), server.url)
    page = watched.page
    (tmp_path / "bad.png").write_text("nothing")
    page.set_input_files("#pictures input[type=file]", [tmp_path / "bad.png", photos["cheetah"]])
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2, timeout=15000)
    watched.choose("bright.onnx")
    page.click("#run")
    expect(page.locator("#viewer .thumb")).to_have_count(1, timeout=30000)
    expect(page.locator("#report tbody tr:not(.notes)")).to_have_count(2)
    expect(page.locator("#status progress")).to_have_count(0)
    english = json.loads((Path(__file__).parent / "english_words.json").read_text())
    for selector in ("#status", "#report", "#card"):
        words = set(re.findall(r"[a-z]+", page.locator(selector).inner_text().lower()))
        assert words & set(english) == set(), (selector, words & set(english))
    watched.shot(f"language-{language}")
    context.close()


def test_the_api_panel_describes_its_parameters(server: Server) -> None:
    endpoint = server.page.get_api_info()["named_endpoints"]["/segment"]
    described = {entry["parameter_name"]: entry for entry in endpoint["parameters"]}
    assert "certainly subject" in json.dumps(described["alpha_matting_foreground_threshold"])
    assert described["images"]["label"] == "images"
    assert described["images"]["example_input"][0]["meta"] == {"_type": "gradio.FileData"}
    assert [entry["label"] for entry in endpoint["returns"]] == ["The cutouts", "The report, one entry per picture"]


def test_a_link_to_the_page_has_our_title_sentence_and_picture(watched: Watched) -> None:
    metas = watched.page.evaluate(
        """() => Object.fromEntries(
            [...document.querySelectorAll("meta[property]")].map((m) => [m.getAttribute("property"), m.content])
        )"""
    )
    assert metas["og:title"] == "Segmatte"
    assert "Cut the subject out" in metas["og:description"]
    answer = watched.page.request.get(metas["og:image"])
    assert answer.headers["content-type"] == "image/png"
    assert "gradio" not in json.dumps(metas).lower()
