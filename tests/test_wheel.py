"""The wheel, outside the checkout: the command `segmatte` with registry, page and languages."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.web.test_app import answers, free_port

ROOT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run(words, check=True, timeout=120)
    (found,) = folder.glob("segmatte-*.whl")
    return found


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    words = [*PIP, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)]
    subprocess.run(words, check=True, timeout=120)
    return folder


def environment(place: Path, **more: str) -> dict[str, str]:
    """One in which the checkout is nowhere near."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("SEGMATTE_", "PYTHON"))}
    return known | {"PYTHONPATH": str(place), "HOME": str(place / "home"), "XDG_CACHE_HOME": ""} | more


def segmatte(place: Path, *arguments: str) -> str:
    """What the installed command prints."""
    words = [str(place / "bin" / "segmatte"), *arguments]
    done = subprocess.run(
        words, cwd=place, env=environment(place), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_file_of_the_package_the_registry_and_what_it_requires(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("segmentation/")}
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "segmentation"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(tracked.stdout.split()) - held == set()
    assert held - set(tracked.stdout.split()) == {"segmentation/model_registry.yaml"}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
    assert [
        line for line in required if f"Requires-Dist: {line.replace('_', '-')}==" not in metadata.replace("_", "-")
    ] == []


def test_its_command_speaks_and_lists_the_models(place: Path) -> None:
    assert segmatte(place, "--help").startswith("usage: segmatte ")
    assert segmatte(place, "--version") == "segmatte 0.1.0\n"
    assert segmatte(place, "models").startswith("u2netp ")
    assert not (place / "home").exists()  # nothing was downloaded or made


def test_it_serves_its_page_and_keeps_models_in_the_users_folder(place: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [str(place / "bin" / "segmatte"), "serve", "--port", str(port)], cwd=place, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(place, SEGMATTE_MODELS="u2netp", GRADIO_TEMP_DIR=str(place / "uploads"), HF_HUB_OFFLINE="1"),
    ) as process:  # fmt: skip
        try:
            assert answers(process, f"http://127.0.0.1:{port}", 180)  # nothing of it is compiled yet
            page = httpx.get(f"http://127.0.0.1:{port}/", timeout=30)
            assert "Segmatte" in page.text
            assert httpx.get(f"http://127.0.0.1:{port}/card.png", timeout=30).status_code == 200
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
    code = "from segmentation.config import Config; print(Config().models_folder)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment(place), capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{place / 'home' / '.cache' / 'segmatte' / 'models'}\n"
