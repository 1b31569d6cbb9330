"""`python app.py` as a newcomer starts it: its own process, no network but loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


def answers(process: "subprocess.Popen[Any]", url: str, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(f"{url}/gradio_api/app_id", timeout=5).status_code == 200
        except httpx.TransportError:
            time.sleep(0.2)
    return False


def test_it_serves_where_it_is_told_and_lists_the_models(tmp_path: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    port = free_port()
    process = start("--port", str(port), GRADIO_TEMP_DIR=str(tmp_path))
    try:
        assert answers(process, f"http://127.0.0.1:{port}")
        config = httpx.get(f"http://127.0.0.1:{port}/config", timeout=30).json()
        assert config["title"] == "Segmatte"
        assert config["analytics_enabled"] is False
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30).status_code == 200
        deadline = time.monotonic() + 120  # where the matting kernels were never compiled
        while httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SEGMATTE_MAX_PIXELS": "many"}, "SEGMATTE_MAX_PIXELS must be a whole number above 0, not 'many'"),
        ({"SEGMATTE_MODELS": "u2netp, nothing"}, "There is no model 'nothing'"),
        ({"SEGMATTE_REGISTRY": "/nowhere.yaml"}, "/nowhere.yaml: cannot be read"),
        ({"SEGMATTE_DEVICE": "quantum"}, "There is no device 'quantum'"),
    ],
)
def test_a_wrong_environment_is_told_in_a_sentence(environment: dict[str, str], sentence: str) -> None:
    process = start("--port", str(free_port()), **environment)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert sentence in output
    assert "Traceback" not in output
