"""Every setting can be turned on the page, is explained there, and is marked once it was turned."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from playwright.sync_api import Browser

from segmentation import Settings
from segmentation.recipe import DEFAULTS
from segmentation.settings import Export
from segmentation.web.texts import texts
from tests.web.browser.browsing import Watched
from tests.web.conftest import Server


def test_every_setting_has_a_control(server: Server) -> None:
    assert set(DEFAULTS) - {getattr(block, "elem_id", None) for block in server.page.blocks.values()} == set()


@pytest.mark.parametrize("language", texts())
def test_what_explains_a_choice_names_all_there_is_to_choose(language: str) -> None:
    said: dict[str, str] = texts()["en"] | texts()[language]
    hints: dict[str, Any] = get_type_hints(Settings) | get_type_hints(Export)
    choices = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    assert "format" in choices
    for name, named in choices.items():
        for choice in named:
            assert f"“{said[f'{name}_{choice}']}”" in said[f"{name}_info"]


@pytest.mark.browser
def test_every_changed_setting_marks_the_section_that_hides_it(watched: Watched) -> None:
    marks = """(names) => names.filter((name) => {
        document.dispatchEvent(new CustomEvent("segmatte:settings", { detail: { [name]: "another" } }));
        return document.querySelector('[id^=section_][data-changed="changed"]');
    })"""
    assert set(DEFAULTS) - set(watched.page.evaluate(marks, list(DEFAULTS))) == {
        "alpha_matting",
        "classes",
    }  # always in sight


@pytest.mark.browser
@pytest.mark.parametrize("kind", get_args(get_type_hints(Export)["format"]))
def test_a_cutout_is_seen_in_every_format(browser: Browser, server: Server, photos: dict[str, Path], kind: Any) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    watched = Watched(context.new_page(), server.url, f"/?model=bright.onnx&alpha_matting=false&format={kind}")
    watched.add(photos["chelsea"])  # small, so that the file itself is shown
    watched.run(1)
    seen = "(ending) => [...document.images].some((image) => image.src.endsWith(ending) && image.naturalWidth === 451)"
    ending = f"chelsea-cutout{Export(format=kind).ending}"
    watched.page.wait_for_function(seen, arg=ending)
    assert watched.page.evaluate(seen, ending)
    context.close()
