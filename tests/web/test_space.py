"""The README's front matter, with which the repository is a Hugging Face Space."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from segmentation.models.registry import load_registry
from segmentation.models.spec import HubSource

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {"cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "l4x4", "l40sx1", "a10g-small", "a10g-large"}
ZERO_GPU_PYTHONS = {"3.10.13", "3.12.12"}  # the Hub's documentation, 2026-08
KEYS = {  # of the Hub's configuration reference, as far as this Space has any use for them
    "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "short_description",
    "license", "models", "preload_from_hub", "suggested_hardware", "startup_duration_timeout", "tags",
}  # fmt: skip


@pytest.fixture(scope="module")
def space() -> dict[str, Any]:
    matter = re.match(r"---\n(.*?)\n---\n\n# ", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert matter, "the front matter stands before the heading"
    content: dict[str, Any] = yaml.safe_load(matter[1])
    return content


def test_every_key_is_there_and_none_that_the_hub_does_not_know(space: dict[str, Any]) -> None:
    assert set(space) == KEYS


def test_gradio_is_the_one_of_the_requirements(space: dict[str, Any]) -> None:
    assert space["sdk"] == "gradio"
    assert f"\ngradio=={space['sdk_version']} " in (ROOT / "requirements.txt").read_text()


def test_what_a_space_installs_beside_the_requirements_takes_their_pins() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    extras = [
        {"extra": "mcp"},
        {"extra": "oauth"},
    ]  # a Space's build: pip install -r requirements.txt gradio[oauth,mcp]
    asked = [Requirement(text) for text in importlib.metadata.requires("gradio") or []]
    asked = [need for need in asked if need.marker and any(need.marker.evaluate(extra) for extra in extras)]
    held = {need.name: pins[need.name] for need in asked if need.name in pins}
    assert "pydantic" in held
    assert [need for need in asked if need.name in held and held[need.name] not in need.specifier] == []


def test_python_is_one_that_we_support_and_zerogpu_has(space: dict[str, Any]) -> None:
    assert space["python_version"] in ZERO_GPU_PYTHONS
    minor = int(space["python_version"].split(".")[1])
    assert 11 <= minor < 14


def test_the_app_starts_by_itself(space: dict[str, Any]) -> None:
    app = (ROOT / space["app_file"]).read_text()
    assert "if __name__ == " in app
    assert "from segmentation.serve import main" in app
    # a Space says there that it wants to be reached from outside
    assert "GRADIO_SERVER_NAME" in (ROOT / "segmentation/serve.py").read_text()


def test_the_default_model_and_another_are_preloaded_as_the_registry_pins_them(space: dict[str, Any]) -> None:
    registry = load_registry()
    pinned = {}
    for model_id in (registry.default.id, "modnet"):
        source = next(source for source in registry[model_id].weights.sources if isinstance(source, HubSource))
        pinned[model_id] = f"{source.repo_id} {source.filename} {source.revision}"
    assert space["preload_from_hub"] == list(pinned.values())
    assert space["models"] == [entry.split()[0] for entry in pinned.values()]


def test_what_the_hub_shows_is_what_it_takes(space: dict[str, Any]) -> None:
    assert {space["colorFrom"], space["colorTo"]} <= COLOURS
    assert not re.search(r"[\w\s]", space["emoji"])
    assert len(space["short_description"]) <= 60
    assert space["suggested_hardware"] in HARDWARE
    assert re.fullmatch(r"\d+[mh]", space["startup_duration_timeout"])
    assert space["license"] == "mit"
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert all(re.fullmatch(r"[a-z-]+", tag) for tag in space["tags"])
