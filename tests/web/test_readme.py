"""What the README shows is run as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.readme_tables import README, with_tables
from tests.web.conftest import Server

TEXT = README.read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return found


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, Path]) -> Path:
    """A working folder with the pictures that the examples speak of."""
    (tmp_path / "photos").mkdir()
    with Image.open(photos["chelsea"]) as photo:
        photo.convert("RGB").save(tmp_path / "cat.jpg")
    shutil.copy(tmp_path / "cat.jpg", tmp_path / "photos")
    shutil.copy(photos["astronaut"], tmp_path / "dog.png")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(README.parent), "PATH": path}


def test_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "python -m tests.readme_tables writes them in"


def test_the_gradio_client_example_runs(server: Server, folder: Path) -> None:
    code = block("python", "from gradio_client") + block("python", "/refine")
    code = code.replace("http://127.0.0.1:7860", server.url)
    lines = run([sys.executable, "-c", code], folder).splitlines()
    assert "cat.jpg ['cat-cutout.png'] [] None" in lines
    assert "dog.png ['dog-cutout.png'] [] None" in lines
    assert lines[-1].startswith("['dog-cutout.jpg'] {'decode':")
    assert "network" not in lines[-1]


def test_the_curl_example_runs(server: Server, folder: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    code = block("bash", "curl").replace("http://127.0.0.1:7860", server.url)
    events = run(["bash", "-euc", code], folder)
    assert "event: complete" in events
    files, report = json.loads(events.rpartition("data: ")[2])
    assert files[0]["url"].startswith(server.url)
    assert report[0]["files"] == ["cat-cutout.png"]


def test_the_library_example_runs(folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    shown = run([sys.executable, "-c", block("python", "load_registry")], folder)
    assert "(300, 451) uint8" in shown
    with Image.open(folder / "cat-cutout.png") as cutout:
        assert cutout.size == (451, 300)


def test_the_command_line_examples_run(folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    fetched("modnet")
    shown = run(["bash", "-euc", block("bash", "segmentation cut")], folder)
    assert str(Path("cutouts/cat-cutout.png")) in shown
    assert str(Path("white/cat-cutout.jpg")) in shown
    assert "birefnet-general-lite" in shown
    assert shown.splitlines()[-1].endswith("modnet.onnx")
    with Image.open(folder / "cutouts/cat-cutout.png") as cutout:
        assert cutout.mode == "RGBA"


def test_python_versions_and_pins_agree() -> None:
    requirements = (README.parent / "requirements.txt").read_text()
    gpu = re.search(r"onnxruntime-gpu==([\d.]+)", requirements)
    assert gpu
    assert f'"onnxruntime-gpu[cuda,cudnn]=={gpu[1]}"' in TEXT
    assert 'requires-python = ">=3.11,<3.14"' in (README.parent / "pyproject.toml").read_text()
    assert "Python 3.11 to 3.13" in TEXT
