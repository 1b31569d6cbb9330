"""Components whose look and behaviour are scripts of our own; the server sends them data."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.config import Config
from segmentation.web.page.controls import default_values
from segmentation.web.texts import script_texts

HERE = Path(__file__).parent


def script(name: str) -> str:
    """A script's text, behind what all of them share."""
    return "\n".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in ("common", name))


def scripted(name: str, elem_id: str, value: Any = None) -> gr.HTML:
    """A component that `<name>.js` fills. The script gets its value as `props.value` and its texts as `props.texts`."""
    return gr.HTML(
        value, html_template="<div></div>", js_on_load=script(name), apply_default_css=False, elem_id=elem_id,
        texts=script_texts(),
    )  # fmt: skip


def messenger(name: str) -> gr.HTML:
    """Something unseen whose script, `<name>.js`, acts on each value that the server sends."""
    return gr.HTML(
        None, html_template="<div></div>", js_on_load=script(name), apply_default_css=False, elem_id=name,
        elem_classes="unseen",
    )  # fmt: skip


def page_script(config: Config) -> str:
    """What runs once when the page is there; it is given the caps, the settings' defaults and its texts."""
    facts = {
        "most": config.max_pictures,
        "mostBytes": config.max_upload_mb << 20,
        "defaults": default_values(),
        "texts": script_texts(),
    }
    text = (HERE / "page.js").read_text(encoding="utf-8")
    return text.replace("/* facts */ {}", json.dumps(facts, ensure_ascii=False).replace("</", "<\\/"))
