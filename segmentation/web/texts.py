"""The page's texts in the visitor's language: `locales/*.json`, one key per label, looked up in the browser."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.messages import translated
from segmentation.recipe import DEFAULTS
from segmentation.settings import CHOICES, help_text

LABELS = {name: {choice: f"{name}_{choice}" for choice in choices} for name, choices in CHOICES.items()}
LABELS["alpha_matting_erode_size"]["auto"] = "auto_erode_size"
LABELS["background"]["blur"] = "background_blur_choice"  # background_blur is a setting
"""Setting -> choice -> key of its label."""

FOLDER = Path(__file__).with_name("locales")
MESSAGES = FOLDER / "messages"
SCRIPTS = "script."  # prefix of the keys that the page's scripts use


@cache
def texts() -> dict[str, dict[str, str]]:
    """Language -> key -> text. The English help for settings comes from `Settings` and `Export`."""
    languages = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
    languages["en"] |= {f"{name}_info": help_text(name) for name in DEFAULTS}
    for own in languages.values():
        labels = languages["en"] | own
        for name, choices in LABELS.items():  # visitors see a choice by its label
            text = own.get(f"{name}_info", "")
            for choice, key in choices.items():
                text = text.replace(f"'{choice}'", f"“{labels[key]}”")
            if text:
                own[f"{name}_info"] = text
    return languages


def file_size(size: int) -> str:
    """Bytes for people, such as "42 kB", "4.6 MB" or "1.2 GB"."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6)):
        if size >= 0.95 * bytes_:
            value = size / bytes_
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{max(1, round(size / 1e3))} kB"


Say = Callable[[object], str]
"""Translates a message into a visitor's language."""


@cache
def messages() -> dict[str, dict[str, str]]:
    """Language -> template of a `Message` -> its text on the page; for English, only where they differ."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(MESSAGES.glob("*.json"))}


def speaker(request: gr.Request | None) -> Say:
    """Returns a function that translates messages into the language that the visitor's browser requests."""
    known = messages()
    accepted = request.headers.get("accept-language", "") if request else ""
    tags = [tag.partition(";")[0].strip() for tag in accepted.split(",")]
    # like the page itself: the browser's first language that exists, if need be without its region
    wanted = (name for tag in tags for name in known if name.lower() in (tag.lower(), tag.partition("-")[0].lower()))
    starts = (name for tag in tags for name in known if name.partition("-")[0].lower() == tag.partition("-")[0].lower())
    language = next(wanted, next(starts, "en"))
    labels = texts()["en"] | texts().get(language, {})
    catalogue = known.get("en", {}) | known.get(language, {}) | {name: labels[name] for name in DEFAULTS}
    return lambda text: translated(str(text) if not isinstance(text, str) else text, catalogue)


_in_the_browser = gr.I18n()


def i18n(key: str) -> Any:
    """The text of a key, translated in the browser, with English as the fallback."""
    assert key in texts()["en"], key
    return _in_the_browser(key)


def info(name: str) -> Any:
    """The explanation of a control."""
    return i18n(f"{name}_info")


def translations() -> gr.I18n:
    """All languages, for `launch`."""
    english = texts()["en"]
    return gr.I18n(**{language: english | own for language, own in texts().items()})


def script_texts() -> dict[str, dict[str, str]]:
    """Language -> key -> text, for the page's scripts."""
    english = texts()["en"]
    return {
        language: {key.removeprefix(SCRIPTS): text for key, text in (english | own).items() if key.startswith(SCRIPTS)}
        for language, own in texts().items()
    }
