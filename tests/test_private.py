"""Nothing is reported to anybody: no socket but the loopback's, no file outside our folders, native code included."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.request import urlopen

import pytest

from segmentation import Session
from tests import traced

ROOT = Path(__file__).resolve().parent.parent
REPORT_SECONDS = 12  # ONNX Runtime reports nine seconds after it was imported

CONTROL = """
import ctypes
libc = ctypes.CDLL(None)
libc.getaddrinfo(b"control.invalid", None, None, ctypes.byref(ctypes.c_void_p()))
libc.mkdir(b"{made}", 0o700)
"""
LIBRARY = f"""
import time
from segmentation import Picture, load_registry, load_session, segment
import numpy as np
session = load_session(load_registry()["u2netp"], device="cpu")
segment(Picture(np.zeros((64, 64, 3), np.uint8)), session)
time.sleep({REPORT_SECONDS})
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")


class Trace:
    """Where a traced process works, and what it did."""

    def __init__(self, tmp_path: Path) -> None:
        if shutil.which("strace") is None:
            pytest.fail("NO STRACE") if os.environ.get("CI") else pytest.skip("no strace on this machine")
        self.place, self.home, self.folder = tmp_path, tmp_path / "home", tmp_path / "trace"
        self.home.mkdir()
        self.folder.mkdir()
        # Nothing is inherited: CI, GITHUB_ACTIONS and their like silence ONNX Runtime and would hide our omission.
        # USER saves getpass a look into the password database, whose cache is a socket.
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "USER": "me", "TMPDIR": str(tmp_path / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "tmp"),
            "GRADIO_TEMP_DIR": str(tmp_path / "tmp" / "gradio"),
        }  # fmt: skip
        (tmp_path / "tmp").mkdir()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*traced.strace(self.folder), sys.executable, *words],
            env=self.environment, cwd=self.place, start_new_session=True,
        )  # fmt: skip

    def deeds(self, *ours: Path) -> tuple[set[str], set[str]]:
        assert any(self.folder.iterdir())
        return traced.deeds(self.folder, ours, self.place)


Traced: TypeAlias = tuple[Trace, subprocess.Popen[bytes]]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path)


def test_the_trace_sees_native_code(trace: Trace) -> None:
    made = trace.home / "made"
    assert trace.start("-c", CONTROL.format(made=made)).wait(60) == 0
    away, outside = trace.deeds(trace.place / "tmp")
    assert any(" 53" in deed or "resolve" in deed or "nscd" in deed for deed in away), away
    assert outside == {f"mkdir {made}"}


@pytest.mark.usefixtures("u2netp")
def test_the_command_line_reports_nothing(trace: Trace) -> None:
    assert trace.start("-m", "segmentation", "models").wait(120) == 0
    assert trace.deeds(trace.place / "tmp") == (set(), set())
    assert list(trace.home.iterdir()) == []


@pytest.fixture(scope="module")
def library(u2netp: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:  # fetched
    """Traced while the app is: both wait for the same seconds."""
    trace = Trace(tmp_path_factory.mktemp("library"))
    process = trace.start("-c", LIBRARY)
    yield trace, process
    process.kill()


@pytest.mark.usefixtures("library")
def test_the_app_its_page_and_its_api_report_nothing(trace: Trace, photos: dict[str, Path]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # at start it asks the Hub for a better default model; here, the Hub is a port where nobody listens
    trace.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    begun = time.monotonic()
    app = trace.start(str(ROOT / "app.py"), "--port", str(port))
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                assert "Segmatte" in urlopen(url, timeout=5).read().decode()
                break
            except OSError:
                assert time.monotonic() - begun < 90
                assert app.poll() is None
                time.sleep(0.2)
        script = (
            "import sys\nfrom gradio_client import Client, handle_file\n"
            f"client = Client({url!r}, analytics_enabled=False, verbose=False, download_files={str(trace.place)!r})\n"
            f"files, report = client.predict([handle_file({str(photos['cheetah'])!r})], api_name='/segment')\n"
            "assert report[0]['error'] is None, report\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=trace.place)
        time.sleep(max(0.0, REPORT_SECONDS + 5 - (time.monotonic() - begun)))
    finally:
        os.killpg(app.pid, signal.SIGTERM)
        app.wait(30)
    away, outside = trace.deeds(trace.place / "tmp", ROOT, Path(sys.prefix))
    assert (away, outside) == (set(), set())
    assert list(trace.home.iterdir()) == []


def test_the_library_reports_nothing(library: Traced) -> None:
    trace, process = library
    assert process.wait(120) == 0
    assert trace.deeds(trace.place / "tmp") == (set(), set())
    assert list(trace.home.iterdir()) == []
