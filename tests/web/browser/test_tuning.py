"""Tuning, looking closely, comparing, and taking away, in a real browser."""

import contextlib
import io
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from segmentation import Export, Session, Settings, load_image, predict, refine, save_export, save_png
from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from segmentation.batch import Outcome, run_batch
from segmentation.picture.layout import layout_of
from segmentation.web.runs import work
from tests.web.browser.browsing import SAVE, Watched
from tests.web.conftest import Server

pytestmark = pytest.mark.browser


def cut_out(photo: Path, session: Session, path: Path, **settings: Any) -> bytes:
    """The bytes that the library writes."""
    picture = load_image(photo)
    result = refine(picture, predict(picture, session).maps[""], Settings(**settings))
    save_png(result.cutout, path, picture.icc_profile)
    return path.read_bytes()


@pytest.fixture
def tried(watched: Watched, photos: dict[str, Path], remembered: None) -> Watched:
    """Two photos cut out, and the matting settings open."""
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.run(2)
    watched.page.locator("#viewer .thumb").first.click()  # whichever was done first
    expect(watched.page.locator("#viewer .name")).to_contain_text("1 / 2")
    watched.mark()
    watched.open("matting")
    return watched


# -------------------------------------------------------------------------------------------------------------- tuning


def test_turning_a_slider_changes_the_selected_picture_alone_and_without_the_network(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    before = tried.fetched(SAVE, "href")
    assert before == cut_out(photos["cheetah"], u2netp, tmp_path / "a.png")
    other = tried.page.locator("#viewer .thumb img").nth(1).get_attribute("src")
    tried.turn("alpha_matting_erode_size", 25)
    expect(tried.page.locator("#status .line")).to_contain_text("Preview in", timeout=20000)
    tried.tuned()
    tried.shot("tuned")
    after = tried.fetched(SAVE, "href")
    assert after == cut_out(photos["cheetah"], u2netp, tmp_path / "a.png", alpha_matting_erode_size=25) != before
    assert tried.page.locator("#viewer .thumb img").nth(1).get_attribute("src") == other
    bars = tried.page.locator("#report .bar")
    assert "network" not in (bars.nth(0).get_attribute("aria-label") or "")
    assert "finding the subject" in (bars.nth(1).get_attribute("aria-label") or "")


def test_of_two_selections_in_a_row_the_second_is_tuned(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    tried.page.evaluate("[1, 0, 1, 0].forEach((at) => document.querySelectorAll('#viewer .thumb')[at].click())")
    expect(tried.page.locator("#viewer .name")).to_contain_text("1 / 2")
    tried.turn("alpha_matting_erode_size", 23)
    tried.tuned()
    wanted = cut_out(photos["cheetah"], u2netp, tmp_path / "a.png", alpha_matting_erode_size=23)
    assert tried.fetched(SAVE, "href") == wanted


def test_a_moving_hand_leaves_only_the_last_position(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    for value in (2, 30, 4, 28, 6, 26, 8, 17):
        tried.turn("alpha_matting_erode_size", value)
        tried.page.wait_for_timeout(60)
    wanted = cut_out(photos["cheetah"], u2netp, tmp_path / "a.png", alpha_matting_erode_size=17)
    for _ in range(300):
        if tried.page.locator(SAVE).get_attribute("href") and tried.fetched(SAVE, "href") == wanted:
            break
        tried.page.wait_for_timeout(200)
    tried.page.wait_for_timeout(1500)  # and nothing stale comes after it
    assert tried.fetched(SAVE, "href") == wanted


def test_values_that_contradict_are_told_while_the_hand_moves_and_the_picture_stays(tried: Watched) -> None:
    before = tried.fetched(SAVE, "href")
    tried.turn("alpha_matting_foreground_threshold", 10)
    expect(tried.page.locator("#status .line")).to_contain_text("must be below the foreground threshold")
    assert tried.fetched(SAVE, "href") == before
    tried.turn("alpha_matting_foreground_threshold", 200)
    tried.tuned()
    assert tried.fetched(SAVE, "href") != before


def test_without_live_nothing_happens_until_all_are_done_anew(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    before = tried.fetched(SAVE, "href")
    tried.page.locator("#live input").uncheck()
    tried.page.locator("#alpha_matting input").uncheck()
    tried.page.wait_for_timeout(1500)
    assert tried.fetched(SAVE, "href") == before
    tried.page.click("#apply_all")
    expect(tried.page.locator("#status .line")).to_contain_text("All pictures now have these settings", timeout=30000)
    for place, name in enumerate(("cheetah", "chelsea")):
        tried.page.locator("#viewer .thumb").nth(place).click()
        expect(tried.page.locator("#viewer .name")).to_contain_text(photos[name].name)
        assert tried.fetched(SAVE, "href") == cut_out(photos[name], u2netp, tmp_path / "a.png", alpha_matting=False)


def test_the_picture_never_goes_while_it_is_tuned(tried: Watched) -> None:
    tried.page.evaluate(
        """() => {
            window.emptied = 0;
            const nothing = document.querySelector("#viewer .nothing");
            new MutationObserver(() => (window.emptied += !nothing.hidden)).observe(nothing, { attributes: true });
        }"""
    )
    for value in (3, 25, 5, 12):
        tried.turn("alpha_matting_erode_size", value)
        tried.page.wait_for_timeout(450)  # about as long as a hand has to rest: full sizes begin and go stale
    tried.tuned()
    tried.page.locator("#live input").uncheck()
    tried.turn("alpha_matting_erode_size", 40)
    tried.page.wait_for_timeout(800)
    assert tried.page.evaluate("window.emptied") == 0


def test_setting_a_slider_back_is_tuning_too(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    tried.turn("alpha_matting_erode_size", 30)
    tried.tuned()
    tried.page.locator("#alpha_matting_erode_size").get_by_label("Reset to default value").click()
    tried.tuned()
    assert tried.fetched(SAVE, "href") == cut_out(photos["cheetah"], u2netp, tmp_path / "a.png")


def test_a_number_beyond_the_slider_is_taken_or_told(
    tried: Watched, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    tried.turn("alpha_matting_erode_size", 9999)
    expect(tried.page.locator("#status .line")).to_contain_text("Erode size must lie between 0 and 500")


def test_a_new_run_shows_its_own_pictures_after_the_last_one_was_tuned(tried: Watched, photos: dict[str, Path]) -> None:
    tried.turn("alpha_matting_erode_size", 30)
    tried.tuned()
    tried.page.get_by_label("A lion").click()
    expect(tried.page.locator("#viewer .name")).to_contain_text("lion.jpg", timeout=30000)
    tried.done()
    expect(tried.page.locator("#viewer .badge")).to_be_hidden()
    address = tried.page.locator(SAVE).get_attribute("href") or ""
    expect(tried.page.locator("#viewer .own")).to_have_attribute("src", address)
    assert address.endswith("lion-cutout.png")


def test_an_example_joins_a_run_under_way(
    watched: Watched, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*arguments: Any, **options: Any) -> Iterator[Any]:
        """A run that goes on for ever after its first picture."""
        monkeypatch.setattr(work, "run_batch", run_batch)  # the next does not
        with contextlib.closing(run_batch(*arguments, **options)) as events:
            for event in events:
                yield event
                while isinstance(event, Outcome):
                    time.sleep(0.05)
                    yield None

    monkeypatch.setattr(work, "run_batch", held)
    watched.add(*[photos["astronaut"]] * 4)
    watched.page.click("#run")
    expect(watched.page.locator("#viewer .thumb")).to_have_count(1, timeout=60000)
    first = watched.page.locator("#viewer .thumb img").first.get_attribute("data-source")
    watched.page.get_by_label("A lion").click()
    expect(watched.page.locator("#status .line")).to_contain_text("All 5 pictures are done", timeout=90000)
    expect(watched.page.locator("#viewer .thumb")).to_have_count(5)
    sources = watched.page.locator("#viewer .thumb img").evaluate_all(
        "nodes => nodes.map((node) => node.dataset.source)"
    )
    assert first in sources  # not done again


# ------------------------------------------------------------------------------------------------------- looking close


def test_the_handle_divides_before_and_after(tried: Watched) -> None:
    handle = tried.page.locator("#viewer .handle")
    assert handle.get_attribute("aria-label")
    for value in ("20", "75"):
        handle.fill(value)
        assert tried.page.locator("#viewer .own").evaluate("e => getComputedStyle(e).clipPath").endswith(f"{value}%)")
        clip = tried.page.locator("#viewer .clip").evaluate("e => getComputedStyle(e).clipPath")
        assert f"{100 - int(value)}%" in clip
    handle.focus()
    tried.page.keyboard.press("ArrowRight")
    assert handle.input_value() == "75.5"  # and not the next picture
    expect(tried.page.locator("#viewer .name")).to_contain_text("1 / 2")


def test_every_stage_is_a_picture(tried: Watched, u2netp: Session, photos: dict[str, Path], tmp_path: Path) -> None:
    picture = load_image(photos["cheetah"])
    result = refine(picture, predict(picture, u2netp).maps[""], Settings())
    assert result.trimap is not None
    expected = {
        "probability": np.rint(result.probability * 255).astype(np.uint8),
        "mask": result.mask,
        "trimap": result.trimap,
        "alpha": result.alpha,
    }
    for stage, plane in expected.items():
        tried.page.click(f"#viewer [data-view={stage}]")
        expect(tried.page.locator("#viewer .own")).to_be_hidden()
        expect(tried.page.locator("#viewer .whole")).to_have_attribute("src", _ends(f".{stage}.png"))
        assert np.array_equal(tried.pixels("#viewer .whole", "src", tmp_path), plane)
    assert set(np.unique(result.trimap)) == {BACKGROUND, UNKNOWN, FOREGROUND}
    assert np.array_equal(tried.pixels("#viewer .save-alpha", "href", tmp_path), result.alpha)
    tried.page.locator("#alpha_matting input").uncheck()
    tried.tuned()
    expect(tried.page.locator("#viewer [data-view=trimap]")).to_be_hidden()  # there is none without matting


def test_one_to_one_shows_a_pixel_as_a_pixel(tried: Watched) -> None:
    tried.page.click("#viewer [data-view=cutout]")
    tried.page.click("#viewer [data-zoom=actual]")
    assert tried.page.locator("#viewer .sheet").evaluate("e => [e.offsetWidth, e.offsetHeight]") == [502, 343]


def test_at_one_to_one_a_drag_moves_the_picture_before_and_after_too(watched: Watched, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:1500, :2000]
    inside = (rows - 750) ** 2 + (columns - 1000) ** 2 < 400**2
    Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(tmp_path / "large.png")
    watched.choose("bright.onnx")
    watched.add(tmp_path / "large.png")
    watched.run(1)
    page = watched.page
    page.click("#viewer [data-zoom=actual]")
    stage = page.locator("#viewer .stage")
    box = stage.bounding_box()
    assert box
    before = stage.evaluate("e => [e.scrollLeft, e.scrollTop]")
    assert min(before) > 0  # it opens at the middle, where the knob is
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 70, steps=4)
    page.mouse.up()
    assert stage.evaluate("e => [e.scrollLeft, e.scrollTop]") == [before[0] + 60, before[1] + 30]
    assert page.locator("#viewer .handle").input_value() == "50"
    middle = page.locator("#viewer .rule").bounding_box()
    assert middle
    page.mouse.move(middle["x"] + 1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(middle["x"] + 101, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert float(page.locator("#viewer .handle").input_value()) > 52


def test_the_keyboard_moves_through_the_batch(tried: Watched) -> None:
    name = tried.page.locator("#viewer .name")
    tried.page.click("#viewer [data-view=cutout]")
    tried.page.locator("#viewer .stage").focus()
    tried.page.keyboard.press("ArrowRight")
    expect(name).to_contain_text("2 / 2  chelsea.png")
    expect(tried.page.locator("#viewer .thumb").nth(1)).to_have_attribute("aria-current", "true")
    tried.page.keyboard.press("ArrowRight")
    expect(name).to_contain_text("2 / 2")
    tried.page.keyboard.press("PageUp")
    expect(name).to_contain_text("1 / 2  cheetah.jpg")
    tried.page.get_by_label("Next picture").click()
    tried.mark()
    tried.turn("alpha_matting_erode_size", 3)  # what is turned now is the second picture
    tried.tuned()
    expect(tried.page.locator("#status")).to_contain_text("chelsea.png updated")
    expect(name).to_contain_text("2 / 2")


def test_a_cropped_cutout_lies_over_its_own_place(tried: Watched, tmp_path: Path) -> None:
    tried.open("canvas")
    tried.page.locator("#crop input").check()
    tried.turn("crop_margin", 0)
    tried.tuned()
    cropped = tried.pixels(SAVE, "href", tmp_path)
    assert cropped.shape[0] < 343
    assert cropped.shape[1] < 502
    own, whole = (tried.page.locator(f"#viewer .{name}").bounding_box() for name in ("own", "whole"))
    assert own
    assert whole
    scale = own["width"] / cropped.shape[1]
    assert whole["width"] == pytest.approx(502 * scale, abs=2)
    assert whole["height"] == pytest.approx(343 * scale, abs=2)
    left, top = round((own["x"] - whole["x"]) / scale), round((own["y"] - whole["y"]) / scale)
    alpha = cropped[..., 3] == 255
    with Image.open(io.BytesIO(tried.fetched("#viewer .whole", "src"))) as original:
        part = np.asarray(original.convert("RGB"))[top : top + len(alpha), left : left + alpha.shape[1]]
    # opaque pixels are the picture's own; browsers place by fractions of a pixel, so one off is still in place
    assert np.abs(part[alpha].astype(int) - cropped[..., :3][alpha]).mean() < 12


def test_a_canvas_and_its_shadow_are_previewed_and_the_subject_keeps_its_place(
    tried: Watched, tmp_path: Path, photos: dict[str, Path], u2netp: Session
) -> None:
    page = tried.page
    tried.open("canvas")
    expect(page.locator("#canvas_fill")).to_be_hidden()
    page.locator("#canvas input").click()
    page.get_by_role("option", name="1:1").click()
    tried.tuned()
    expect(page.locator("#canvas_fill")).to_be_visible()
    expect(page.locator("#crop")).to_be_hidden()
    expect(page.locator("#shadow_blur")).to_be_hidden()
    page.get_by_label("Drop shadow", exact=True).check()
    expect(page.locator("#shadow_angle")).to_be_visible()
    tried.tuned()
    tried.turn("outline_width", 2)
    tried.tuned()
    expect(page.locator("#outline_colour")).to_be_visible()
    picture = load_image(photos["cheetah"])
    result = refine(picture, predict(picture, u2netp).maps[""], Settings())
    export = Export(canvas="1:1", shadow="drop", outline_width=2)
    save_export(picture, result.foreground, result.alpha, tmp_path / "library.png", export)
    assert tried.fetched(SAVE, "href") == (tmp_path / "library.png").read_bytes()
    # before and after lie over one another, though the canvas is larger than the picture
    layout = layout_of(result.alpha, export)
    assert layout.box[1] < 0
    own, whole = (page.locator(f"#viewer .{name}").bounding_box() for name in ("own", "whole"))
    assert own
    assert whole
    scale = own["width"] / layout.size[1]
    assert own["height"] == pytest.approx(layout.size[0] * scale, abs=2)
    assert whole["width"] == pytest.approx(502 * scale, abs=2)
    assert whole["x"] - own["x"] == pytest.approx((layout.place[0] - layout.part[0]) * scale, abs=2)
    assert whole["y"] - own["y"] == pytest.approx((layout.place[1] - layout.part[1]) * scale, abs=2)
    expect(page.get_by_text("Download alpha")).to_be_hidden()


# ------------------------------------------------------------------------------------------------------------ comparing


def test_models_are_compared_side_by_side_and_one_is_gone_on_with(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.add(photos["astronaut"])
    watched.drawer("compare")
    page.click("#compare")
    cards = page.locator("#comparison section")
    expect(cards).to_have_count(2, timeout=60000)
    expect(page.locator("#comparison section button")).to_have_count(2, timeout=90000)
    watched.shot("compared")
    for place, title in enumerate(("U²-Net small", "MODNet portrait")):
        card = cards.nth(place)
        expect(card).to_contain_text(title)
        expect(card).to_contain_text("Apache License 2.0")
        expect(card).to_contain_text("commercial use allowed")
        assert float(card.locator("dd").first.inner_text().split()[0]) > 0
        megabytes = card.locator("dd").nth(1).inner_text().split()
        assert megabytes[0] == "about"
        assert int(megabytes[1]) > 20
        for image in card.locator("img").all():
            image.scroll_into_view_if_needed()
            page.wait_for_function("(e) => e.complete && e.naturalWidth > 100", arg=image.element_handle())
    alphas = [watched.fetched(f"#comparison section:nth-child({n}) figure:nth-of-type(2) img", "src") for n in (1, 2)]
    assert alphas[0] != alphas[1]
    page.locator("#comparison button").nth(1).click()
    expect(page.locator("#model input")).to_have_value("MODNet portrait (modnet)")
    expect(page.locator("#status")).to_contain_text("Continuing with MODNet portrait")
    expect(page.locator("#viewer .stage")).to_be_visible()
    assert watched.fetched("#viewer .save-alpha", "href") == alphas[1]
    watched.mark()
    watched.open("matting")
    watched.turn("alpha_matting_erode_size", 2)  # and it can be tuned at once
    watched.tuned()


def test_a_model_that_cannot_be_had_says_so_beside_the_others(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.add(photos["cheetah"])
    watched.drawer("compare")
    page.locator("#compare_models input").click()
    page.get_by_role("option", name="(rmbg-1.4)").click()
    page.click("#compare")
    expect(page.locator("#comparison section")).to_have_count(3, timeout=60000)
    expect(page.locator("#comparison .failed")).to_contain_text("must accept first", timeout=60000)
    expect(page.locator("#comparison section button")).to_have_count(2, timeout=60000)


def test_comparing_needs_two_models_and_a_picture(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.drawer("compare")
    page.click("#compare")
    expect(page.locator(".toast-body").last).to_contain_text("Add at least one picture first")
    page.locator("#compare_models input").focus()
    page.keyboard.press("Backspace")
    page.click("#compare")
    expect(page.locator(".toast-body").last).to_contain_text("Choose 2 to 4 models")


# ----------------------------------------------------------------------------------------- backgrounds and taking away


def test_backgrounds_change_without_the_network(
    tried: Watched, tmp_path: Path, photos: dict[str, Path], u2netp: Session
) -> None:
    page = tried.page
    tried.open("background")
    page.get_by_label("Colour", exact=True).check()
    tried.tuned()
    white = tried.pixels(SAVE, "href", tmp_path)
    assert white.shape == (343, 502, 3)
    assert white[5, 5].tolist() == [255, 255, 255]
    page.get_by_label("Blur", exact=True).check()
    tried.tuned()
    expect(page.locator("#background_blur")).to_be_visible()
    blurred = tried.pixels(SAVE, "href", tmp_path)
    assert 0 < blurred[5:60, 5:200].std() < load_image(photos["cheetah"]).rgb[5:60, 5:200].std()
    page.get_by_label("Mask only", exact=True).check()
    tried.tuned()
    picture = load_image(photos["cheetah"])
    alpha = refine(picture, predict(picture, u2netp).maps[""], Settings()).alpha
    assert np.array_equal(tried.pixels(SAVE, "href", tmp_path), alpha)
    page.get_by_label("Picture", exact=True).check()
    expect(page.locator("#status")).to_contain_text("add a backdrop")
    Image.new("RGB", (20, 20), (200, 30, 90)).save(tmp_path / "behind.png")
    page.set_input_files("#backdrop input[type=file]", str(tmp_path / "behind.png"))
    tried.tuned()
    assert tried.pixels(SAVE, "href", tmp_path)[5, 5].tolist() == [200, 30, 90]
    tried.open("output")
    page.get_by_label("JPEG", exact=True).check()
    tried.tuned()
    with Image.open(io.BytesIO(tried.fetched(SAVE, "href"))) as taken:
        assert taken.format == "JPEG"
    assert page.locator(SAVE).get_attribute("download") == "cheetah-cutout.jpg"


def test_edge_colours_are_cleaned_without_matting_too(tried: Watched, tmp_path: Path) -> None:
    tried.page.locator("#alpha_matting input").uncheck()
    tried.tuned()
    plain = tried.pixels(SAVE, "href", tmp_path)
    tried.open("background")
    tried.page.locator("#decontaminate input").check()
    tried.tuned()
    clean = tried.pixels(SAVE, "href", tmp_path)
    assert np.array_equal(plain[..., 3], clean[..., 3])
    changed = (plain != clean).any(axis=2)
    edge = (plain[..., 3] > 0) & (plain[..., 3] < 254)
    assert changed[edge].mean() > 0.5
    assert not changed[~edge].any()


def test_the_cutout_is_copied_to_the_clipboard(tried: Watched) -> None:
    tried.page.get_by_role("button", name="Copy", exact=True).click()
    expect(tried.page.locator("#viewer .copy")).to_have_text("Copied")
    size = tried.page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const bitmap = await createImageBitmap(await item.getType("image/png"));
            return [bitmap.width, bitmap.height];
        }"""
    )
    assert size == [502, 343]


def test_the_settings_in_the_archive_make_the_same_files_again(
    tried: Watched, server: Server, photos: dict[str, Path], tmp_path: Path
) -> None:
    tried.open("output")
    tried.page.get_by_label("WebP", exact=True).check()
    tried.turn("alpha_matting_erode_size", 6)  # of the first picture alone
    tried.tuned()
    tried.page.click("#download")
    expect(tried.page.locator("#zip_question")).to_contain_text("1 of 2 pictures have these settings")
    for _ in range(2):  # the second time as well
        with tried.page.expect_download() as download:
            tried.page.click("#zip_as_is")
        expect(tried.page.locator("#zip_question")).to_be_hidden()
        tried.page.click("#download")
        expect(tried.page.locator("#zip_question")).to_be_visible()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "cheetah-cutout.webp", "chelsea-cutout.png", "settings-chelsea.yaml", "settings.yaml",
    }  # fmt: skip
    assert "segmentation cut cheetah.jpg --settings settings.yaml" in (tmp_path / "settings.yaml").read_text()
    for name, recipe in (("cheetah", "settings.yaml"), ("chelsea", "settings-chelsea.yaml")):
        command = [sys.executable, "-m", "segmentation", "cut", str(photos[name]), "--settings", str(tmp_path / recipe)]
        subprocess.run(
            [*command, "-o", str(tmp_path / "again"), "--device", "cpu"], check=True, capture_output=True,
            env=os.environ | {"SEGMATTE_MODELS_DIR": str(server.service.config.models_folder)},
        )  # fmt: skip
    for again in (tmp_path / "again").glob("[!.]*"):
        assert again.read_bytes() == (tmp_path / again.name).read_bytes()


# ------------------------------------------------------------------------------------------------------------ strangers


def test_two_visitors_at_once_see_only_their_own(browser: Browser, server: Server, photos: dict[str, Path]) -> None:
    contexts = [browser.new_context(viewport={"width": 1200, "height": 900}) for _ in range(2)]
    first, second = (Watched(context.new_page(), server.url) for context in contexts)
    first.add(photos["cheetah"])
    second.add(photos["chelsea"])
    first.page.click("#run")
    second.page.click("#run")
    for visitor in (first, second):
        visitor.done()
        visitor.open("matting")
    first.turn("alpha_matting_erode_size", 3)
    second.turn("alpha_matting_erode_size", 20)
    for visitor, name, erode_size in ((first, "cheetah.jpg", 3), (second, "chelsea.png", 20)):
        visitor.tuned()
        expect(visitor.page.locator("#viewer .name")).to_contain_text(f"1 / 1  {name}")
        expect(visitor.page.locator("#report tbody tr:not(.notes)")).to_have_count(1)
        expect(visitor.page.locator("#report")).to_contain_text(name)
        assert visitor.page.locator("#alpha_matting_erode_size input[type=number]").input_value() == str(erode_size)
    addresses = [visitor.page.locator(SAVE).get_attribute("href") or "" for visitor in (first, second)]
    assert Path(addresses[0]).parent != Path(addresses[1]).parent
    for visitor in (first, second):
        assert visitor.console == []
        assert visitor.off_host == []
    for context in contexts:
        context.close()


def _ends(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text) + "$")
