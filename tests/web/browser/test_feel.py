"""What the page feels like: readable for everybody, in six languages, remembered, linked, true in what it prints."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from segmentation.web.runs.stages import STAGES
from segmentation.web.texts import texts
from tests.web.browser.browsing import Watched, violations
from tests.web.conftest import Server

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_weak_eyes_find_nothing_seriously_wrong(
    browser: Browser, server: Server, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    watched = Watched(context.new_page(), server.url)
    page = watched.page
    assert violations(page) == []
    page.get_by_label("A running cheetah").click()
    watched.done()
    for section in ("matting", "background", "canvas", "output", "network"):
        watched.open(section)
    assert violations(page) == []
    watched.drawer("compare")
    page.click("#compare")
    expect(page.locator("#comparison section button")).to_have_count(2, timeout=90000)
    watched.still()
    assert violations(page) == []
    watched.drawer("code")
    expect(page.locator("#code pre")).to_have_count(4)
    assert violations(page) == []
    context.close()


def test_the_keyboard_reaches_what_matters_in_order(watched: Watched, photos: dict[str, Path]) -> None:
    watched.add(photos["cheetah"])
    watched.run(1)
    page = watched.page
    page.locator("#run").focus()
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.closest('[id]')?.id"))
        if reached[-1] == "download":
            break
    order = [reached.index(name) for name in ("alpha_matting", "live", "download")]
    assert order == sorted(order)


def test_the_typeface_is_complete_in_every_weight_used(watched: Watched) -> None:
    weights = watched.page.evaluate(
        """() => [...new Set([...document.querySelectorAll("body *")]
            .filter((node) => node.offsetParent && node.innerText)
            .map((node) => getComputedStyle(node).fontWeight))]"""
    )
    assert set(weights) <= {"400", "700"}


@pytest.mark.parametrize("language", [language for language in texts() if language != "en"])
def test_labels_come_in_the_visitors_language(browser: Browser, server: Server, language: str) -> None:
    context = browser.new_context(locale=language, viewport={"width": 1400, "height": 900})
    watched = Watched(context.new_page(), server.url)
    said, english = texts()[language], texts()["en"]
    expect(watched.page.locator("#run")).to_have_text(said["run"])
    expect(watched.page.locator("#hero h2")).to_have_text(said["script.hero_title"])
    expect(watched.page.locator("#alpha_matting")).to_contain_text(said["alpha_matting"])
    watched.open("background")
    expect(watched.page.locator("#background")).to_contain_text(said["background_mask"])
    expect(watched.page.locator("#background")).not_to_contain_text(
        "(background)"
    )  # what scripts call it is in "As code"
    assert said["run"] != english["run"]
    watched.shot(f"language-{language}")
    assert watched.console == []
    context.close()


def test_every_language_says_everything() -> None:
    english = texts()["en"]
    for language, said in texts().items():
        assert set(said) == set(english), language
        assert all(text.strip() for text in said.values())
        for key, text in said.items():
            assert re.findall(r"\{\w*\}|\(\w+_\w+\)", text) == re.findall(r"\{\w*\}|\(\w+_\w+\)", english[key])


def test_settings_are_remembered_in_the_visitors_browser_alone(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    first = Watched(context.new_page(), server.url)
    first.choose("modnet")
    first.open("matting")
    first.turn("alpha_matting_erode_size", 33)
    first.open("background")
    first.page.get_by_label("Colour", exact=True).check()
    expect(first.page.locator("#section_background")).to_have_attribute("data-changed", "changed")  # told as it is kept
    first.still()
    again = Watched(context.new_page(), server.url)
    again.open("matting")
    again.open("background")
    expect(again.page.locator("#alpha_matting_erode_size input[type=number]")).to_have_value("33")
    expect(again.page.locator("#model input")).to_have_value("MODNet portrait (modnet)")
    expect(again.page.get_by_label("Colour", exact=True)).to_be_checked()
    expect(again.page.locator("#colour")).to_be_visible()
    stranger = Watched(browser.new_context().new_page(), server.url)
    expect(stranger.page.locator("#model input")).to_have_value("U²-Net small (u2netp)")
    stranger.page.context.close()
    context.close()


def test_a_link_carries_model_and_settings(visit: Callable[..., Watched], server: Server) -> None:
    query = "/?model=modnet&alpha_matting_erode_size=5&background=%23ff0000&crop=true&size=512"
    watched = visit(query, viewport={"width": 1400, "height": 900})
    page = watched.page
    expect(page.locator("#model input")).to_have_value("MODNet portrait (modnet)")
    for section in ("matting", "background", "canvas", "output", "network"):
        watched.open(section)
    expect(page.locator("#alpha_matting_erode_size input[type=number]")).to_have_value("5")
    expect(page.get_by_label("Colour", exact=True)).to_be_checked()
    expect(page.locator("#crop input")).to_be_checked()
    expect(page.locator("#size textarea, #size input")).to_have_value("512")
    watched.drawer("code")
    link = page.locator("#code pre[data-code=code_link]")
    expect(link).to_have_text(
        f"{server.url}/?model=modnet&alpha_matting_erode_size=5&size=512&background=%23ff0000&crop=true"
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?model=nothing<b>", "This link asks for the model 'nothing<b>', which is not available here."),
        ("?alpha_matting_erode_size=9999", "This link's settings cannot be used. Erode size must lie"),
        ("?std=0", "std must not be 0"),
    ],
)
def test_a_link_that_cannot_be_followed_says_so(visit: Callable[..., Watched], query: str, sentence: str) -> None:
    watched = visit(f"/{query}", viewport={"width": 1400, "height": 900})
    expect(watched.page.locator("#status .line")).to_contain_text(sentence)
    expect(watched.page.locator("#model input")).to_have_value("U²-Net small (u2netp)")


def test_the_report_says_what_took_long_and_what_to_try(watched: Watched, photos: dict[str, Path]) -> None:
    watched.add(photos["cheetah"])
    watched.open("matting")
    watched.turn("alpha_matting_foreground_threshold", 255)
    watched.run(1)
    row = watched.page.locator("#report tbody")  # with the notes below it
    expect(row).to_contain_text("u2netp on CPU")
    spelled = row.locator(".bar").get_attribute("aria-label") or ""
    stages = {str(words): stage for stage, words in STAGES.items()}
    seconds = {stages[words]: took for words, took in re.findall(r"([a-z ]+) ([\d.]+) s", spelled.replace(", ", ","))}
    assert set(seconds) == {"decode", "network", "mask", "matting", "encode"}
    widths = row.locator(".bar i").evaluate_all(
        "nodes => nodes.map((n) => [n.className, n.getBoundingClientRect().width])"
    )
    longest = max(widths, key=lambda pair: pair[1])[0]
    assert longest == max(seconds, key=lambda stage: float(seconds[stage]))
    expect(row).to_contain_text("erode size")
    expect(watched.page.locator("#report .legend")).to_contain_text("finding the subject")


def test_what_the_code_panel_prints_does_what_the_page_did(
    watched: Watched, server: Server, photos: dict[str, Path], tmp_path: Path
) -> None:
    page = watched.page
    watched.add(photos["cheetah"], photos["chelsea"])
    watched.open("matting")
    watched.turn("alpha_matting_erode_size", 7)
    watched.open("background")
    page.get_by_label("Picture", exact=True).check()
    page.set_input_files("#backdrop input[type=file]", str(photos["astronaut"]))
    watched.open("canvas")
    page.locator("#crop input").check()
    watched.open("network")
    page.locator("#mean textarea, #mean input").fill("0.48, 0.45, 0.4")
    watched.run(2)
    shown = []
    for place in range(2):
        page.locator("#viewer .thumb").nth(place).click()
        expect(page.locator("#viewer .name")).to_contain_text(f"{place + 1} / 2")
        shown.append(watched.fetched("#viewer a.save", "href"))
    watched.drawer("code")
    expect(page.locator("#code pre[data-code=code_python]")).to_contain_text("alpha_matting_erode_size=7")
    expect(page.locator("#code pre[data-code=code_python]")).to_contain_text("0.48")  # what was turned last
    code = {
        kind: page.locator(f"#code pre[data-code=code_{kind}]").inner_text() for kind in ("python", "command", "curl")
    }
    watched.shot("code")
    for path in photos.values():
        shutil.copy(path, tmp_path)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "SEGMATTE_MODELS_DIR": str(server.service.config.models_folder),
        "SEGMATTE_DEVICE": "cpu",
    }

    def run(command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    files = run([sys.executable, "-c", code["python"]]).splitlines()[-1]
    assert [Path(file).read_bytes() for file in json.loads(files.replace("'", '"'))] == shown
    run(["bash", "-euc", code["command"]])
    assert [(tmp_path / f"{name}-cutout.png").read_bytes() for name in ("cheetah", "chelsea")] == shown
    answer = run(["bash", "-euc", code["curl"]])
    written, _ = json.loads(answer.rpartition("data: ")[2])
    assert [Path(file["path"]).read_bytes() for file in written] == shown
