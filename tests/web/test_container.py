"""Dockerfile and compose.yaml, as far as they can be tried without Docker: what they run, and what they rest on."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation.config import VARIABLES
from tests.web.conftest import Server
from tests.web.test_hosting import served

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def environment() -> dict[str, str]:
    (block,) = re.findall(r"^ENV (.*?[^\\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return dict(entry.split("=", 1) for entry in block.replace("\\\n", " ").split())


def test_the_image_holds_what_the_app_is_made_of_and_its_python_is_the_spaces() -> None:
    copied = {
        word for line in re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }
    assert copied == {"requirements.txt", "app.py", "model_registry.yaml", "LICENSE", "segmentation/"}
    assert all((ROOT / name).exists() for name in copied)
    (image,) = re.findall(r"^FROM python:([\d.]+)-", DOCKERFILE, re.MULTILINE)
    assert f"\npython_version: {image}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_does_not_run_as_root_and_what_it_writes_is_its_own() -> None:
    before, _, after = DOCKERFILE.partition("\nUSER 1000\n")
    assert "--uid 1000" in before
    assert "chown segmatte: . models .numba_cache" in before
    assert "USER" not in after
    assert environment()["HF_HOME"].startswith("/app/models/")  # on the volume


@pytest.fixture
def compiled(request: pytest.FixtureRequest) -> Path:
    """Numba's cache, empty unless an earlier run of the tests filled it from the same sources: that takes a minute."""
    matting = sorted((ROOT / "segmentation" / "matting").rglob("*.py"))
    versions = "".join(map(version, ("numba", "llvmlite", "numpy", "pymatting"))) + sys.version
    made_of = "".join(path.read_text(encoding="utf-8") for path in matting) + DOCKERFILE + versions
    folder = request.config.cache.mkdir("compiled-for-the-image")
    cache: Path = folder / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    for old in folder.iterdir():
        if old != cache:
            shutil.rmtree(old)
    return cache


def test_matting_is_compiled_when_the_image_is_built(compiled: Path) -> None:
    (command,) = re.findall(r"^RUN (python -c .*?)[\s\\]*&& python -m segmentation fetch$", DOCKERFILE, re.MULTILINE)
    own = environment() | {"NUMBA_CACHE_DIR": str(compiled), "PYTHONPATH": str(ROOT)}

    def run() -> dict[Path, int]:
        words = [sys.executable, *shlex.split(command)[1:]]
        subprocess.run(words, env=os.environ | own, check=True, timeout=300)
        return {path: path.stat().st_mtime_ns for path in compiled.rglob("*") if path.is_file()}

    built = run()
    assert any(path.suffix == ".nbc" for path in built)
    assert run() == built  # nothing is compiled again when it starts


def test_the_health_check_asks_what_the_server_answers(server: Server) -> None:
    (found,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    _, *arguments = json.loads(found)
    assert "http://127.0.0.1:7860/healthz" in arguments[-1]
    with served(server.service, server.service.config) as url:
        arguments[-1] = arguments[-1].replace("http://127.0.0.1:7860", url)
        subprocess.run([sys.executable, *arguments], check=True, timeout=60)
    stopped = subprocess.run([sys.executable, *arguments], check=False, timeout=60, capture_output=True)
    assert stopped.returncode != 0


@pytest.mark.parametrize("name", ["segmatte", "gpu"])
def test_compose_serves_it_with_its_models_kept_and_no_more_rights_than_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["ports"] == ["127.0.0.1:7860:7860"]
    assert service["volumes"] == ["models:/app/models"]
    assert "models" in COMPOSE["volumes"]
    assert "\nVOLUME /app/models\n" in DOCKERFILE
    assert "\nEXPOSE 7860\n" in DOCKERFILE
    assert service["cap_drop"] == ["ALL"]
    assert environment()["GRADIO_SERVER_NAME"] == "0.0.0.0"


def test_the_gpu_image_is_the_same_one_with_cudas_libraries() -> None:
    build = COMPOSE["services"]["gpu"]["build"]
    assert f"onnxruntime-gpu${{{next(iter(build['args']))}}}" in DOCKERFILE
    assert build["args"] == {"ORT_EXTRAS": "[cuda,cudnn]"}


def test_no_setting_of_the_app_is_set_for_good() -> None:
    assert not set(VARIABLES.values()) & set(environment())


@pytest.mark.parametrize(("extras", "installed"), [("", []), ("[cuda,cudnn]", ["onnxruntime-gpu[cuda,cudnn]"])])
def test_cudas_libraries_are_installed_where_they_are_asked_for_alone(extras: str, installed: list[str]) -> None:
    (packages,) = re.findall(r"^RUN pip install --no-cache-dir -r requirements.txt (.*)$", DOCKERFILE, re.MULTILINE)
    shell = ["sh", "-c", f'for word in {packages}; do echo "$word"; done']  # ARM has no onnxruntime-gpu to install
    done = subprocess.run(shell, env={**os.environ, "ORT_EXTRAS": extras}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == installed
