"""Default, range, choices and help of a setting stand in `settings.py`; page, API and command line say the same."""

import ast
import inspect
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import pytest

import segmentation
from segmentation.__main__ import main
from segmentation.models.registry import load_registry
from segmentation.recipe import DEFAULTS, write_value
from segmentation.settings import CHOICES, FIELDS, RANGES, help_text
from segmentation.web.page.controls import AUTO, COLOUR, Controls
from segmentation.web.texts import texts
from tests.web.conftest import Server

PACKAGE = Path(segmentation.__file__).parent
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
TYPED = {"mean", "std", "size"}  # into text fields; a model has such values of its own
PARAMETERS = set(FIELDS) | {name.removeprefix("alpha_matting_") for name in FIELDS} | {"trust", "method"}
"""Names of parameters that take the value of a setting."""


@pytest.fixture(scope="module")
def controls() -> dict[str, Any]:
    with gr.Blocks():
        laid_out = Controls(load_registry)
        laid_out.classes()
        laid_out.matting_switch()
        laid_out.matting()
        laid_out.background()
        laid_out.canvas()
        laid_out.effects()
        laid_out.output()
        laid_out.network()
    return laid_out.by_name


def test_the_page_has_a_control_for_every_setting_with_its_default(controls: dict[str, Any]) -> None:
    assert set(FIELDS) <= set(controls)
    for name, default in DEFAULTS.items():
        shown = write_value(default) if isinstance(controls[name], gr.Textbox) else default
        assert controls[name].value == ([] if name == "classes" else shown), name  # no chip: a cutout of each class
    assert {name: texts()["en"][f"{name}_info"] for name in FIELDS if name not in CHOICES} == {
        name: help_text(name) for name in FIELDS if name not in CHOICES
    }


def test_sliders_have_the_ranges_of_the_settings(controls: dict[str, Any]) -> None:
    sliders = {name: control for name, control in controls.items() if isinstance(control, gr.Slider)}
    assert set(sliders) == set(RANGES) - TYPED - {"canvas_margin", "max_edge", "max_kb"}
    for name, slider in sliders.items():
        range_ = RANGES[name]
        assert (slider.minimum, slider.maximum, slider.step) == (
            range_.low,
            range_.useful or range_.high,
            range_.step,
        ), name
        assert range_.low <= DEFAULTS[name] <= slider.maximum <= range_.high


def test_radios_have_the_choices_of_the_settings(controls: dict[str, Any]) -> None:
    radios = {name: control for name, control in controls.items() if isinstance(control, gr.Radio)}
    shown = {name: tuple(value for _, value in radio.choices if value != COLOUR) for name, radio in radios.items()}
    assert shown | {"alpha_matting_erode_size": ("auto",), "classes": ("each", "all"), "canvas": ("none",)} == CHOICES
    assert AUTO in controls


def test_the_api_takes_the_choices_defaults_and_texts_of_the_settings(server: Server) -> None:
    endpoints = [event.fn for event in server.page.fns.values() if event.api_name in ("segment", "refine")]
    assert len(endpoints) == 2
    for endpoint in endpoints:
        assert endpoint
        parameters = inspect.signature(endpoint).parameters
        text = inspect.getdoc(endpoint) or ""
        for name, field in FIELDS.items():
            assert parameters[name].default == field.default
            assert f"{name}: {help_text(name)}\n" in text
        for name in ("matting_method", "background_fit", "format"):
            assert get_args(parameters[name].annotation) == CHOICES[name]


def test_the_command_line_has_the_texts_and_defaults_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["cut", "--help"])
    shown = "".join(capsys.readouterr().out.split())  # lines are broken at hyphens too
    for name, default in DEFAULTS.items():
        text = help_text(name) if default in (None, "") else f"{help_text(name)} (default: {write_value(default)})"
        assert "".join(text.split()) in shown


def test_no_other_module_lists_the_choices_of_a_setting() -> None:
    found = []
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            listed = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []  # of Literal[...] too
            values = {entry.value for entry in listed if isinstance(entry, ast.Constant)}
            found += [(path.name, name) for name, named in CHOICES.items() if len(named) > 1 and values >= set(named)]
    assert {(name, setting) for name, setting in found if name != "settings.py"} == set()
    assert {setting for _, setting in found} == {
        name for name, named in CHOICES.items() if len(named) > 1
    }  # looked for


def test_no_other_module_gives_a_setting_a_default() -> None:
    """But for `drop_in`, whose `remove` has the defaults of rembg's."""
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            pairs: list[tuple[str, ast.expr | None]] = []
            if isinstance(node, ast.arguments):
                plain = [*node.posonlyargs, *node.args]
                pairs += zip((arg.arg for arg in plain[len(plain) - len(node.defaults) :]), node.defaults, strict=True)
                pairs += zip((arg.arg for arg in node.kwonlyargs), node.kw_defaults, strict=True)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                pairs.append((node.target.id, node.value))
            written = [name for name, value in pairs if name in PARAMETERS - TYPED and isinstance(value, ast.Constant)]
            assert not [name for name in written if path.name not in ("settings.py", "drop_in.py")], path
