"""Our own scripts and styles. Gradio takes scripts as strings, so the files in `browser` are read here."""

import re
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.web.texts import script_texts

FOLDER = Path(__file__).parent / "browser"
STYLES = [
    FOLDER / f"{name}.css" for name in ("page", "hero", "layout", "viewer", "tools", "panels", "other_model", "screens")
]
"""In cascade order."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)


def script(name: str) -> str:
    """The module `<name>.js`, bundled with its imports: Gradio runs it as the body of a function."""
    return re.sub("^export ", "", "\n".join(_bundled(name).values()), flags=re.MULTILINE)


def _bundled(name: str) -> dict[str, str]:
    """Module -> its text without imports, each once and behind those that it imports."""
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    parts: dict[str, str] = {}
    for imported in _IMPORT.findall(text):
        parts |= {each: part for each, part in _bundled(imported).items() if each not in parts}
    return parts | {name: _IMPORT.sub("", text)}


def handler(name: str) -> str:
    """One function of `events.js`, for the `js` of an event."""
    text = (FOLDER / "events.js").read_text(encoding="utf-8")
    found = re.search(rf"^export (function {name}\(.*?^\}})$", text, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def scripted(name: str, value: Any = None, **options: Any) -> gr.HTML:
    """A component rendered by `<name>.js`. The script gets its value as `props.value` and its texts as `props.texts`.

    Args:
        name: Name of the script, and id of the element in the page.
        value: The initial value.
        options: Additional arguments of `gr.HTML`.
    """
    options = {"html_template": "<div></div>", "elem_id": name} | options
    return gr.HTML(value, js_on_load=script(name), apply_default_css=False, texts=_texts_of(name), **options)


def _texts_of(name: str) -> dict[str, dict[str, str]]:
    """The texts that a script may use, by language: each component brings its own along, so all would be 200 kB."""
    text = script(name)
    words = set(re.findall(r"\w+", text))
    prefixes = (f"{name}_", *re.findall(r"say\[`(\w+)\$\{", text))  # say[`tier_${tier}`], and say[key] in code.js
    return {
        language: {key: said for key, said in own.items() if key in words or key.startswith(prefixes)}
        for language, own in script_texts().items()
    }


def messenger(name: str) -> gr.HTML:
    """A hidden component whose script, `<name>.js`, acts on each value that the server sends."""
    return gr.HTML(
        None, html_template="<div></div>", js_on_load=script(name), apply_default_css=False, elem_id=name,
        elem_classes="unseen",
    )  # fmt: skip
