"""The scripts and styles of the page: in files of their own, and whole where Gradio gets them as text."""

import ast
import re

import pytest

from segmentation.web.page.scripts import FOLDER, STYLES, handler, script
from tests.web.test_app import ROOT

MODULES = sorted(path.stem for path in FOLDER.glob("*.js"))
HANDLERS = re.findall(r"^export (?:async )?function (\w+)", (FOLDER / "events.js").read_text(encoding="utf-8"), re.M)


def test_python_holds_no_script_and_no_style() -> None:
    for file in (ROOT / "segmentation" / "web").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        given = [
            keyword.value
            for call in calls
            for keyword in call.keywords
            if keyword.arg in ("js", "js_on_load", "css", "css_template", "head")
        ]
        assert not [value for value in given if isinstance(value, ast.JoinedStr | ast.Constant | ast.BinOp)], file


@pytest.mark.parametrize("name", MODULES)
def test_a_script_stands_whole_behind_what_it_imports(name: str) -> None:
    text = script(name)
    assert not re.search("^(?:import|export) ", text, re.M)
    assert text.endswith((FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()[-1] + "\n")
    declared = re.findall(r"^(?:const|let|function) (\w+)", text, re.M)
    assert len(declared) == len(set(declared))


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_is_one_function_and_used(name: str) -> None:
    text = handler(name)
    assert text.startswith(f"function {name}(")
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"^\S", text, re.M)) == 2
    users = [path for path in FOLDER.parent.glob("*.py") if f'"{name}"' in path.read_text(encoding="utf-8")]
    assert len(users) == 1


def test_every_file_is_used() -> None:
    assert {path.name for path in STYLES} == {path.name for path in FOLDER.glob("*.css")}
    python = "".join(path.read_text(encoding="utf-8") for path in FOLDER.parent.glob("*.py"))
    imported = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js"))
    for name in MODULES:
        assert f'"{name}"' in python or f'/{name}.js"' in imported or f'"{name}.js"' in python
