"""Components whose look and behaviour are scripts of our own; the server sends them data."""

from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.web.texts import script_texts

HERE = Path(__file__).parent


def scripted(name: str, elem_id: str, value: Any = None) -> gr.HTML:
    """A component that `<name>.js` fills. The script gets its value as `props.value` and its texts as `props.texts`."""
    script = (HERE / "common.js").read_text(encoding="utf-8") + (HERE / f"{name}.js").read_text(encoding="utf-8")
    return gr.HTML(
        value, html_template="<div></div>", js_on_load=script, apply_default_css=False, elem_id=elem_id,
        texts=script_texts(),
    )  # fmt: skip


def messenger(elem_id: str, script: str) -> gr.HTML:
    """Something unseen whose script acts on each value that the server sends."""
    return gr.HTML(
        None, html_template="<div></div>", apply_default_css=False, elem_id=elem_id, elem_classes="unseen",
        js_on_load=f"{(HERE / 'common.js').read_text(encoding='utf-8')}\nwatch('value', () => {{ {script} }});",
    )  # fmt: skip


DRAFT = """
const viewer = document.querySelector("#viewer .viewer").parentElement;
viewer.dispatchEvent(new CustomEvent("draft", { detail: props.value }));
"""
DOWNLOAD = """
if (props.value) make("a", { href: url(props.value.file), download: props.value.name }).click();
"""
