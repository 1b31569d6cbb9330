"""What README and docs show is run as it stands there; their tables, links and keys are those of the code."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from segmentation import load_registry
from segmentation.models.spec import InputSpec, OutputSpec
from segmentation.score.scores import MEASURES
from segmentation.web.texts import texts
from tests.doc_tables import DOCS, README, ROOT, TABLES, with_table
from tests.hub import LoopbackHub
from tests.models.hub_shapes import add_all
from tests.web.conftest import Server

API, MODELS, HOSTING = DOCS / "api.md", DOCS / "models.md", DOCS / "hosting.md"
COMMAND_LINE = DOCS / "command-line.md"
CORRECTING, PRODUCTS = DOCS / "correcting.md", DOCS / "products.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), ROOT / "benchmarks" / "README.md"]
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "zh-CN": "Chinese", "ja": "Japanese"}


def block(file: Path, language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)
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
    (tmp_path / "truth").mkdir()
    shutil.copy(tmp_path / "cat.jpg", tmp_path / "truth")
    with np.load(ROOT / "tests" / "reference" / "rembg_masks.npz") as masks:
        for file in (tmp_path / "truth" / "cat.png", tmp_path / "cat-mask.png"):
            Image.fromarray(masks["chelsea"]).save(file)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}


# ------------------------------------------------------------------------------------------------- what stands there


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.name)
def test_tables_are_those_of_the_code(file: Path) -> None:
    assert with_table(file) == file.read_text(encoding="utf-8"), "python -m tests.doc_tables writes them"


def test_the_readme_is_short_and_names_every_language() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert set(LANGUAGES) == set(texts())
    assert [name for name in LANGUAGES.values() if name not in text] == []


def anchors(file: Path) -> set[str]:
    """What a link may name in a file, as GitHub makes it from headings."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_of_it(file: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", file.read_text(encoding="utf-8"))
    for path, anchor in links:
        target = (file.parent / path) if path else file
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_key_of_a_registry_entry_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", MODELS.read_text(encoding="utf-8")))
    assert {*InputSpec.model_fields, *OutputSpec.model_fields} - explained == set()


def test_python_versions_and_pins_agree() -> None:
    requirements = (ROOT / "requirements.txt").read_text()
    gpu = re.search(r"onnxruntime-gpu==([\d.]+)", requirements)
    assert gpu
    assert f'"onnxruntime-gpu[cuda,cudnn]=={gpu[1]}"' in HOSTING.read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
    assert "Python 3.11 to 3.13" in README.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------- what it shows runs


def test_the_readmes_gradio_client_example_runs(server: Server, folder: Path) -> None:
    code = block(README, "python", "gradio_client").replace("http://127.0.0.1:7860", server.url)
    assert run([sys.executable, "-c", code + "print(report[0]['files'])"], folder).endswith("['cat-cutout.png']\n")


def test_the_gradio_client_example_runs(server: Server, folder: Path) -> None:
    code = block(API, "python", "from gradio_client") + block(API, "python", "/refine")
    code = code.replace("http://127.0.0.1:7860", server.url)
    lines = run([sys.executable, "-c", code], folder).splitlines()
    for name in ("cat.jpg", "dog.png"):  # u2netp is in doubt over parts of both
        cut = rf"{re.escape(name)} \['{name[:3]}-cutout\.png'\] \[('The model is unsure about [^']+')?\] None"
        assert [line for line in lines if re.fullmatch(cut, line)], lines
    assert lines[-1].startswith("['dog-cutout.jpg'] {'decode':")
    assert "network" not in lines[-1]


def test_the_example_of_scoring_pairs_runs(server: Server, folder: Path) -> None:
    head = block(API, "python", "from gradio_client").partition("files, report")[0]
    code = (head + block(API, "python", "/score")).replace("http://127.0.0.1:7860", server.url)
    rows = [line.split() for line in run([sys.executable, "-c", code], folder).splitlines()[-4:]]
    assert [row[:2] for row in rows] == [["u2netp", "0"], ["modnet", "0"], ["u2netp", "1"], ["modnet", "1"]]
    assert 0 < float(rows[0][2]) < float(rows[1][2]) < 0.2  # the truth is u2netp's own mask


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """The repositories that the examples name."""
    hub, folder = LoopbackHub(), tmp_path / "shapes"
    folder.mkdir()
    add_all(hub, folder)
    with hub.serving():
        hub.use(monkeypatch, tmp_path / "home")
        for name, value in hub.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield hub


def test_the_example_of_inspecting_a_model_runs(server: Server, folder: Path, hub: LoopbackHub) -> None:
    head = block(API, "python", "from gradio_client").partition("files, report")[0]
    code = (head + block(API, "python", "/inspect")).replace("http://127.0.0.1:7860", server.url)
    commit = hub.repositories["Xenova/modnet"].main.id
    _, first, *readings = run([sys.executable, "-c", code], folder).splitlines()
    assert first.startswith(f"Xenova/modnet@{commit}:onnx/model.onnx ")
    assert readings


@pytest.mark.usefixtures("hub")
def test_the_examples_of_naming_any_model_run(folder: Path) -> None:
    assert "Licence: " in run(["bash", "-euc", block(MODELS, "bash", "inspect")], folder)
    assert (folder / "cat-cutout.png").is_file()
    assert run([sys.executable, "-c", block(MODELS, "python", "inspect_model")], folder).endswith("registered\n")


def test_the_example_of_scoring_a_folder_runs(folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    fetched("modnet")
    shown = run(["bash", "-euc", block(MODELS, "bash", "score")], folder)
    assert "1 of 1" in shown
    assert "cat.jpg" in (folder / "score.html").read_text(encoding="utf-8")


def test_every_measure_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", MODELS.read_text(encoding="utf-8")))
    assert {each.name for each in MEASURES} - explained == set()


def test_the_curl_example_runs(server: Server, folder: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    code = block(API, "bash", "curl").replace("http://127.0.0.1:7860", server.url)
    events = run(["bash", "-euc", code], folder)
    assert "event: complete" in events
    files, report = json.loads(events.rpartition("data: ")[2])
    assert files[0]["url"].startswith(server.url)
    assert report[0]["files"] == ["cat-cutout.png"]


@pytest.mark.parametrize(("file", "shown"), [(README, ""), (API, "(300, 451) uint8")], ids=["readme", "api"])
def test_the_library_example_runs(folder: Path, fetched: Callable[[str], Path], file: Path, shown: str) -> None:
    fetched("u2netp")
    assert shown in run([sys.executable, "-c", block(file, "python", "load_registry")], folder)
    with Image.open(folder / "cat-cutout.png") as cutout:
        assert cutout.size == (451, 300)


@pytest.mark.usefixtures("hub")
def test_the_command_line_examples_run(folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    fetched("modnet")
    shown = run(["bash", "-euc", block(API, "bash", "segmentation cut")], folder)
    assert str(Path("cutouts/cat-cutout.png")) in shown
    assert str(Path("white/cat-cutout.jpg")) in shown
    assert "birefnet-general-lite" in shown
    assert any(line.endswith("modnet.onnx") for line in shown.splitlines())
    assert shown.splitlines()[-1] == "mine.yaml"
    assert [*load_registry(extra=folder / "mine.yaml")][-1] == "xenova-modnet"
    with Image.open(folder / "cutouts/cat-cutout.png") as cutout:
        assert cutout.mode == "RGBA"
    assert (folder / "scores.csv").read_text(encoding="utf-8").count("cat.jpg,") == 2


@pytest.fixture
def with_segmatte(folder: Path) -> Path:
    """The working folder, and the installed command in its PATH."""
    command = folder / "bin" / "segmatte"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m segmentation "$@"\n')
    command.chmod(0o755)
    (command.parent / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return folder


def test_the_examples_of_the_command_line_run(with_segmatte: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    folder = with_segmatte
    shutil.copy(folder / "cat.jpg", folder / "photos" / "dog.jpg")
    shown = run(["bash", "-euc", f"PATH={folder}/bin:$PATH\n{block(COMMAND_LINE, 'bash', '@-')}"], folder)
    assert shown.split().count("cutouts/cat-cutout.png") == 2  # told again where it was done before
    assert (folder / "cat.png").read_bytes() == (folder / "cat-cutout.png").read_bytes()
    assert sorted(path.name for path in (folder / "flat").glob("[!.]*")) == [
        "cat-cutout.jpg", "dog.jpg-cutout.jpg", "dog.png-cutout.jpg",
    ]  # fmt: skip
    assert (folder / "found" / "photos" / "cat-cutout.png").is_file()
    assert len((folder / "report.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    film = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=0.3", "in.mp4"]
    run([str(folder / "bin" / "ffmpeg"), *film[1:]], folder)
    run(["bash", "-euc", f"PATH={folder}/bin:$PATH\n{block(COMMAND_LINE, 'bash', 'rawvideo')}"], folder)
    assert (folder / "out.mov").stat().st_size > 1000


def test_the_examples_of_correcting_by_script_run(server: Server, folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    (folder / "masks").mkdir()
    shutil.copy(folder / "cat-mask.png", folder / "masks" / "cat.png")
    strokes = [{"kind": "keep", "radius": 12, "points": [[140, 90], [160, 200]]}]
    (folder / "strokes.json").write_text(json.dumps(strokes), encoding="utf-8")
    corrections = {name: {"strokes": strokes} for name in ("cat.jpg", "dog.png")}
    (folder / "settings.yaml").write_text(json.dumps({"model": "u2netp", "corrections": corrections}), encoding="utf-8")
    shown = run(["bash", "-euc", block(CORRECTING, "bash", "segmentation cut")], folder)
    assert len(shown.splitlines()) == 6
    corrected = (folder / "corrected" / "cat-cutout.png").read_bytes()
    assert (folder / "again" / "cat-cutout.png").read_bytes() == corrected
    code = block(CORRECTING, "python", "gradio_client").replace("http://127.0.0.1:7860", server.url)
    assert "['cat-cutout.png'] None" in run([sys.executable, "-c", code], folder)
    code = block(CORRECTING, "python", "load_mask") + "import segmentation\n"
    code += (
        "segmentation.save_png(corrected.cutout, 'library.png', picture.icc_profile)\nprint(own.alpha.mean(), notes)"
    )
    assert run([sys.executable, "-c", code], folder).endswith(" ()\n")
    assert (folder / "library.png").read_bytes() == corrected


def test_the_examples_of_finishing_products_run(server: Server, folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    commands = block(PRODUCTS, "bash", "--canvas").replace("segmentation cut", "segmentation cut --model u2netp")
    run(["bash", "-euc", commands], folder)
    run([sys.executable, "-c", block(PRODUCTS, "python", "save_export")], folder)
    code = block(PRODUCTS, "python", "gradio_client").replace("http://127.0.0.1:7860", server.url)
    assert "cat-cutout.png" in run([sys.executable, "-c", code], folder)
    made = {}
    assert (folder / "lots/cat-cutout.png").is_file()
    files = "shop/cat-cutout.jpg", "catalogue/cat-cutout.png", "sticker.webp", "cat-wide.jpg"
    for file in files:
        with Image.open(folder / file) as image:
            made[file] = image.mode, round(image.width / image.height, 2)
    assert [made[file] for file in files] == [("RGB", 1), ("RGBA", 0.8), ("RGBA", 1), ("RGB", 1.78)]
    assert (folder / "shop/cat-cutout.jpg").stat().st_size <= 200_000


def test_weights_are_fetched_as_shown(folder: Path, fetched: Callable[[str], Path]) -> None:
    paths = [fetched("u2netp"), fetched("modnet")]
    shown = run(["bash", "-euc", block(MODELS, "bash", "fetch")], folder)
    assert shown.splitlines() == [str(path) for path in paths]


def test_the_registry_example_adds_a_model(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(block(MODELS, "yaml", "models:"))
    assert [*load_registry(extra=own)] == [*load_registry(), "my-model"]
