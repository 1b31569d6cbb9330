"""What the page says, in the visitor's language: `locales/*.json`, one key a label, looked up in the browser."""

import json
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.i18n import I18nData

from segmentation.recipe import DEFAULTS
from segmentation.settings import help_text

FOLDER = Path(__file__).with_name("locales")
SCRIPTS = "script."  # keys of what the scripts of the page say


@cache
def texts() -> dict[str, dict[str, str]]:
    """Language -> key -> text. English explains the settings in the words of `Settings` and `Export`.

    What a setting is called everywhere else stands behind what it does, in every language.
    """
    languages = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
    languages["en"] |= {f"{name}_info": help_text(name) for name in DEFAULTS}
    for said in languages.values():
        for name in DEFAULTS:
            if f"{name}_info" in said:
                said[f"{name}_info"] += f" ({name})"
    return languages


def i18n(key: str) -> I18nData:
    """The text of a key, translated in the browser; English where a language has none."""
    assert key in texts()["en"], key
    return I18nData(key)


def info(name: str) -> I18nData:
    """The explanation of a control."""
    return i18n(f"{name}_info")


def translations() -> gr.I18n:
    """All languages, for `launch`."""
    english = texts()["en"]
    return gr.I18n(**{language: english | said for language, said in texts().items()})


def script_texts() -> dict[str, dict[str, str]]:
    """Language -> key -> text of what the scripts of the page say."""
    english = texts()["en"]
    return {
        language: {key.removeprefix(SCRIPTS): text for key, text in (english | said).items() if key.startswith(SCRIPTS)}
        for language, said in texts().items()
    }
