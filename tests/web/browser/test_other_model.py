"""Trying a model as easily as a picture: its name, a look at what it cuts out, and one button."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from segmentation.config import Config
from tests import graphs
from tests.hub import LoopbackHub
from tests.models.hub_shapes import add_all
from tests.repositories import scene, write_repository
from tests.web.browser.browsing import SAVE, Visitors, Visits, Watched, violations
from tests.web.conftest import Server, served

pytestmark = pytest.mark.browser

BARE, LOGITS, LABELS, SLOW = (f"onnx-community/{name}" for name in ("imagenet-bare", "logits", "labels", "half-unit"))
QUERY = "/?model=u2netp&alpha_matting=false"
PANEL, FIELD = "#other_model", "#other_name"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    hub, folder = LoopbackHub(), tmp_path_factory.mktemp("hub")
    add_all(hub, folder)
    for name, repo_id in (("imagenet", BARE), ("logits", LOGITS), ("labels", LABELS), ("half_unit", SLOW)):
        tags = ["onnx", "image-segmentation"]
        hub.add(repo_id, write_repository(name, folder / name, declared=repo_id != BARE), tags=tags)
    with hub.serving():
        yield hub


@pytest.fixture(scope="module")
def hub_server(
    hub: LoopbackHub, fetched: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    shutil.copy(fetched("u2netp"), models)
    config = Config(models_folder=models, model_uploads=True, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        hub.use(patch, tmp_path_factory.mktemp("home"))
        yield from served(config, tmp_path_factory.mktemp("uploads"))


@pytest.fixture
def visit(visitors: Visitors, hub_server: Server) -> Iterator[Callable[..., Watched]]:
    """Opens the page as another visitor; nothing may go wrong on it, and it may ask no other host."""
    visits = Visits(visitors, hub_server.url, QUERY)

    def come(query: str | None = None, **wanted: Any) -> Watched:
        options: dict[str, Any] = {"viewport": {"width": 1366, "height": 768}, "accept_downloads": True} | wanted
        return visits(query, permissions=["clipboard-read", "clipboard-write"], **options)

    yield come
    visits.end()


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """A picture with the subject that the repositories' networks find."""
    path = tmp_path / "figure.png"
    Image.fromarray(scene()[0]).save(path)
    return path


def look_up(page: Page, text: str) -> None:
    if page.locator(FIELD).count() == 0 or page.locator(FIELD).is_hidden():
        page.click("#section_other > button")
    page.fill(FIELD, text)
    page.press(FIELD, "Enter")


def shown(page: Page, title: str) -> None:
    """Wait until a model is shown, and tried if there is a picture."""
    expect(page.get_by_role("region", name=title, exact=True)).to_be_visible()
    expect(page.locator(f"{PANEL} .other")).to_have_attribute("aria-busy", "false")


def alpha(watched: Watched, folder: Path) -> NDArray[Any]:
    levels: NDArray[Any] = watched.pixels(SAVE, "href", folder)[..., 3]
    return levels


def cut(watched: Watched) -> None:
    watched.press(f"{PANEL} button.main")
    watched.done()


def test_a_name_is_enough_for_a_cutout(visit: Callable[..., Watched], figure: Path, tmp_path: Path) -> None:
    watched = visit()
    page = watched.page
    watched.add(figure)
    look_up(page, LOGITS)
    shown(page, "logits")
    expect(page.locator(f"{PANEL} p.sure")).to_contain_text("Declared by its authors")
    expect(page.locator(PANEL)).to_contain_text(f"{LOGITS} · onnx/model.onnx")
    expect(page.locator(PANEL)).to_contain_text("Apache License 2.0 (commercial use allowed)")
    expect(page.locator(f"{PANEL} .readings button").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#model_choice .now")).to_contain_text("logits")
    cut(watched)
    truth = scene()[1] > 127
    found = alpha(watched, tmp_path) > 127
    assert (truth & found).sum() / (truth | found).sum() > 0.95


def test_another_reading_is_used_by_the_next_run_and_goes_with_its_model(
    visit: Callable[..., Watched], figure: Path, tmp_path: Path
) -> None:
    watched = visit()
    page = watched.page
    watched.open("network")
    watched.add(figure)
    look_up(page, BARE)
    shown(page, "imagenet-bare")
    expect(page.locator(f"{PANEL} p.unsure")).to_contain_text("uessed")
    cut(watched)
    first = alpha(watched, tmp_path)
    other = page.locator(f"{PANEL} .readings button", has_text="0 to 255").first
    other.click()
    expect(other).to_have_attribute("aria-pressed", "true")
    expect(other).to_be_focused()
    contract = page.locator("#contract").get_by_role("textbox")
    expect(contract).to_have_value(re.compile(r"scale=1\b"))
    watched.still()
    cut(watched)
    assert np.abs(alpha(watched, tmp_path).astype(int) - first).mean() > 10
    page.locator("#model_choice").get_by_role("radio", name="Fast").check()
    expect(contract).to_have_value("")  # another model has its own
    expect(page.locator(f"{PANEL} button.main")).to_have_text("Use this model")
    page.click(f"{PANEL} button.main")
    expect(contract).to_have_value(re.compile(r"scale=1\b"))
    expect(page.locator(f"{PANEL} button.main")).to_have_text("Cut out with this model")


def test_words_find_models_that_a_click_looks_up(visit: Callable[..., Watched]) -> None:
    page = visit().page
    look_up(page, "logits")
    hit = page.locator(f"{PANEL} .hits button")
    expect(hit).to_have_count(1)
    expect(hit).to_contain_text(re.compile(rf"{LOGITS}.*100 downloads a month"))
    hit.click()
    shown(page, "logits")
    expect(page.locator(FIELD)).to_have_value(LOGITS)
    expect(page.locator(PANEL)).to_contain_text("This model is selected. Add a picture")
    expect(page.locator(f"{PANEL} button.main")).to_have_count(0)


def test_a_picture_added_later_can_be_tried(visit: Callable[..., Watched], figure: Path) -> None:
    watched = visit()
    look_up(watched.page, LOGITS)
    shown(watched.page, "logits")
    watched.add(figure)
    watched.page.get_by_role("button", name="Try it on my picture").click()
    expect(watched.page.get_by_role("heading", name="What it makes of figure.png")).to_be_visible()


def test_what_cannot_be_used_gets_a_sentence_and_changes_nothing(
    visit: Callable[..., Watched], hub: LoopbackHub
) -> None:
    page = visit().page
    status = page.locator(f"{PANEL} .status")
    for name, sentence in {
        "nobody/refused": "is not among the Hub models that this server allows",
        "onnx-community/nothere": "There is no model onnx-community/nothere on the Hub",
        "ZhengPeng7/BiRefNet": "has no .onnx file",
        "Xenova/slimsam-77-uniform": "several networks that work together",
        "briaai/RMBG-2.0": "is gated",
        "https://example.com/a/b": "is not a model on the Hub",
        "qqqq zzzz": "No model was found for these words",
    }.items():
        look_up(page, name)
        expect(status).to_contain_text(sentence)
        expect(page.locator(FIELD)).to_have_value(name)
    hub.down = True
    try:
        look_up(page, "onnx-community/uint8")
        expect(status).to_contain_text("could not be looked up on the Hub")
    finally:
        hub.down = False
    expect(page.locator("#model_choice .now")).to_contain_text("U²-Net small")
    assert violations(page) == []


def test_a_download_shows_that_it_runs_and_can_be_cancelled(visit: Callable[..., Watched], hub: LoopbackHub) -> None:
    page = visit().page
    hub.slow.set()
    try:
        look_up(page, SLOW)
        expect(page.locator(f"{PANEL} progress")).to_be_visible()
        expect(page.locator(f"{PANEL} .status")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Look up")).to_be_disabled()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(f"{PANEL} .status")).to_have_text("Stopped.")
        expect(page.locator(f"{PANEL} progress")).to_be_hidden()
        expect(page.locator(FIELD)).to_be_focused()
    finally:
        hub.slow.clear()

    def again() -> bool:
        look_up(page, SLOW)
        expect(page.locator(f"{PANEL} .other")).to_have_attribute("aria-busy", "false")
        return page.get_by_role("region", name="half-unit").count() == 1

    assert any(again() for _ in range(20))  # the cancelled download ends with the bytes that it waits for


def test_variants_are_a_click_apart(visit: Callable[..., Watched]) -> None:
    page = visit().page
    look_up(page, "https://huggingface.co/Xenova/modnet/tree/main")
    shown(page, "modnet")
    fp16 = page.get_by_role("group", name="Variants").get_by_role("button", name="fp16")
    expect(page.get_by_role("group", name="Variants").get_by_role("button")).to_have_count(3)
    fp16.click()
    shown(page, "modnet (fp16)")
    expect(fp16).to_have_attribute("aria-pressed", "true")
    expect(fp16).to_be_focused()
    expect(page.locator("#model_choice .now")).to_contain_text("modnet (fp16)")


def test_classes_of_a_model_from_the_hub_become_chips(visit: Callable[..., Watched], figure: Path) -> None:
    watched = visit()
    page = watched.page
    watched.add(figure)
    look_up(page, LABELS)
    shown(page, "labels")
    page.locator("#classes").get_by_label("hair").check()
    cut(watched)
    expect(page.locator(SAVE)).to_have_attribute("download", re.compile("figure.*hair"))


def test_the_entry_can_be_copied_and_downloaded(visit: Callable[..., Watched]) -> None:
    page = visit().page
    look_up(page, LOGITS)
    shown(page, "logits")
    page.get_by_text("Save as a registry entry").click()
    page.locator(f"{PANEL} details[open]").get_by_role("button", name="Copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f'repo_id: "{LOGITS}"' in copied
    with page.expect_download() as download:
        page.locator(f"{PANEL} details[open]").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".yaml")
    assert Path(download.value.path()).read_text(encoding="utf-8") == copied


def test_a_name_typed_into_the_list_of_all_models_opens_the_panel(visit: Callable[..., Watched]) -> None:
    page = visit().page
    page.click("#model_choice .now button")
    page.keyboard.type(LOGITS)
    page.keyboard.press("Enter")
    shown(page, "logits")
    expect(page.locator(FIELD)).to_have_value(LOGITS)
    expect(page.locator("#model input")).to_have_value(f"logits ({LOGITS})")
    page.click("#model input")
    refused = page.get_by_role("option", name="BRIA RMBG 1.4 (rmbg-1.4): licence not accepted")
    expect(refused).to_be_visible()
    expect(page.get_by_role("option", name=f"logits ({LOGITS})")).to_be_attached()


def test_the_model_survives_a_reload_and_travels_in_a_link(visit: Callable[..., Watched], figure: Path) -> None:
    watched = visit("")
    page = watched.page
    watched.add(figure)
    look_up(page, BARE)
    shown(page, "imagenet-bare")
    page.locator(f"{PANEL} .readings button", has_text="0 to 255").first.click()
    watched.still()
    watched.drawer("code")
    link = page.locator("#code pre").last
    expect(link).to_contain_text(re.compile("contract=scale"))
    page.reload()
    watched.loaded()
    expect(page.locator("#model input")).to_have_value(f"imagenet-bare ({BARE})")
    watched.drawer("code")
    expect(link).to_contain_text(re.compile("contract=scale"))
    expect(page.locator("#code pre").first).to_contain_text(re.compile(rf"{BARE}@[0-9a-f]{{40}}:onnx/model.onnx"))
    other = visit("/" + link.inner_text().split("/", 3)[3]).page
    expect(other.locator("#model_choice .now")).to_contain_text("imagenet-bare")
    other.click("#section_network > button")
    expect(other.locator("#contract").get_by_role("textbox")).to_have_value(re.compile(r"scale=1\b"))


def test_it_can_be_compared_with_others(visit: Callable[..., Watched], figure: Path) -> None:
    watched = visit()
    page = watched.page
    watched.add(figure)
    look_up(page, LOGITS)
    shown(page, "logits")
    watched.drawer("compare")
    models = page.locator("#compare_models input")
    models.click()
    page.get_by_role("option", name=f"({LOGITS})").click()
    models.fill(BARE)  # never looked up on this page
    models.press("Enter")
    page.keyboard.press("Escape")
    page.click("#compare")
    expect(page.locator("#comparison figure")).to_have_count(3 * 2)  # a cutout and an alpha each
    expect(page.locator("#comparison")).to_contain_text("logits")
    expect(page.locator("#comparison")).to_contain_text("imagenet-bare")
    expect(page.locator("#comparison .failed")).to_have_count(0)


def test_an_upload_is_its_visitors_alone(visit: Callable[..., Watched], figure: Path, tmp_path: Path) -> None:
    watched, other = visit(), visit()
    page = watched.page
    watched.add(figure)
    page.click("#section_other > button")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="or upload a model").click()
    chooser.value.set_files(graphs.brightness(tmp_path / "secret.onnx"))
    shown(page, "secret")
    cut(watched)
    for list_ in ("#model_choice .now button", "#model input"):
        other.page.click(list_)
    expect(other.page.get_by_role("option", name="(u2netp)")).to_be_visible()
    expect(other.page.get_by_role("option", name="secret")).to_have_count(0)


def test_a_file_that_appears_in_the_models_folder_is_in_the_list(
    visit: Callable[..., Watched], hub_server: Server
) -> None:
    page = visit().page
    graphs.brightness(hub_server.service.config.models_folder / "dropped.onnx")
    page.click("#model_choice .now button")
    page.get_by_role("option", name="dropped").click()
    expect(page.locator("#model_choice .now")).to_contain_text("dropped")


def test_it_works_by_keyboard(visit: Callable[..., Watched], figure: Path) -> None:
    watched = visit()
    page = watched.page
    watched.add(figure)
    page.locator("#section_other > button").focus()
    page.keyboard.press("Enter")
    expect(page.locator(FIELD)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(FIELD)).to_be_focused()
    page.keyboard.type(BARE)
    page.keyboard.press("Enter")
    shown(page, "imagenet-bare")

    def tab_to(text: str) -> None:
        focused = "document.activeElement.textContent.trim()"
        for _ in range(20):
            page.keyboard.press("Tab")
            if text in page.evaluate(focused):
                return
        pytest.fail(f"{text} cannot be reached")

    tab_to("0 to 255")
    page.keyboard.press("Enter")
    expect(page.locator(f"{PANEL} [aria-pressed=true]")).to_contain_text("0 to 255")
    tab_to("Cut out with this model")
    page.locator("#status .line").evaluate("(line) => line.setAttribute('data-before', '')")
    page.keyboard.press("Enter")
    expect(page.locator("#status .line:not([data-before])")).to_have_count(1)
    watched.done()


@pytest.mark.parametrize(
    ("width", "height", "scheme", "language"),
    [(390, 844, "light", "de"), (390, 844, "dark", "en"), (1366, 768, "dark", "ja"), (1920, 1080, "light", "fr")],
)
def test_everything_fits_and_is_accessible(
    visit: Callable[..., Watched], figure: Path, width: int, height: int, scheme: str, language: str
) -> None:
    watched = visit(viewport={"width": width, "height": height}, color_scheme=scheme, locale=language)
    page = watched.page
    watched.add(figure)
    watched.sheet()
    look_up(page, BARE)
    shown(page, "imagenet-bare")
    expect(page.locator(f"{PANEL} .readings button")).to_have_count(6)
    for summary in page.locator(f"{PANEL} summary").all():
        summary.click()
    watched.still()
    watched.shot(f"other-model-{width}-{scheme}-{language}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = """() => [...document.querySelectorAll("#other_model .other *")].filter((each) =>
        !each.closest("pre") && each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)"""
    assert page.evaluate(outside) == []
    assert violations(page) == []
