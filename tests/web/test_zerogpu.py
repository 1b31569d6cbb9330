"""ZeroGPU with Hugging Face's own `spaces` package, forks and all; what lends the GPUs is simulated."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file

from segmentation import Picture, Registry, Session, predict
from segmentation.config import Config
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import gpu_problem
from segmentation.network.providers import CPU
from segmentation.network.recovery import Answer
from segmentation.network.watchdog import Cancelled
from segmentation.web.runs.zerogpu import for_this_process, runner_for_visitor, seconds
from tests.web.test_app import answers, free_port, start


class Lender(ThreadingHTTPServer):
    """Lends a GPU to every call, or says that the quota is used up; remembers who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.used_up = False

    def asked(self, what: str) -> list[dict[str, str]]:
        return [query for path, query in self.calls if path == what]


class _Calls(BaseHTTPRequestHandler):
    server: Lender

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        lent_before = bool(self.server.asked("/allow"))
        self.server.calls.append((address.path, {key: value[0] for key, value in parse_qs(address.query).items()}))
        status, answer = 200, {}
        if address.path == "/schedule" and self.server.used_up:
            status, answer = 429, {"left": 0, "wait": "PT1H"}
        elif address.path == "/schedule":
            answer = {"idle": lent_before, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lender() -> Iterator[Lender]:
    with Lender() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="ZeroGPU is Linux")
def test_the_network_alone_runs_in_one_forked_process_and_on_the_cpu_here_without_quota(
    lender: Lender, photos: dict[str, Path], tmp_path: Path, fetched: Callable[[str], Path]
) -> None:
    models = fetched("u2netp").parent
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = start(
        "--port", str(port), GRADIO_TEMP_DIR=str(tmp_path / "uploads"), SEGMATTE_MODELS_DIR=str(models),
        SPACES_ZERO_GPU="true", SPACES_ZERO_DEVICE_API_URL=f"http://127.0.0.1:{lender.server_port}",
    )  # fmt: skip
    try:
        assert answers(process, url)
        assert lender.asked("/startup-report")
        options = {"analytics_enabled": False, "verbose": False, "download_files": tmp_path}
        with closing(Client(url, **options, headers={"x-ip-token": "e30.e30.e30"})) as client:
            pictures = [handle_file(photos[name]) for name in ("chelsea", "cheetah")]
            files, report = client.predict(images=pictures, alpha_matting=False, api_name="/segment")
            lender.used_up = True
            _, without = client.predict(images=pictures[:1], alpha_matting=False, api_name="/segment")
    finally:
        process.terminate()
        for query in lender.asked("/allow"):  # on a Space it goes with its container
            os.kill(int(query["pid"]), signal.SIGKILL)
        output, _ = process.communicate(timeout=30)
    assert len(files) == 2
    assert [entry["error"] for entry in (*report, *without)] == [None] * 3
    assert len(lender.asked("/schedule")) == 3  # one each picture
    assert {query["token"] for query in lender.asked("/schedule")} == {"e30.e30.e30"}  # the visitor's quota, not ours
    assert {query["durationSeconds"] for query in lender.asked("/schedule")} == {"8"}
    (allowed,) = lender.asked("/allow")  # the second picture found the first one's process
    assert int(allowed["pid"]) != process.pid
    assert output.count(": loaded ") == 1
    assert without[0]["provider"] == CPU
    assert without[0]["provider_note"].startswith("The Space's GPU was unavailable")
    assert "Traceback" not in output
    if gpu_problem():
        assert {entry["provider"] for entry in report} == {CPU}


def test_elsewhere_nothing_changes(tiny: Session) -> None:
    assert runner_for_visitor(tiny, Config()) == tiny.run
    assert for_this_process(Config(device="cuda")).device == "cuda"


def test_larger_networks_and_pictures_ask_for_more_time_within_the_limit(registry: Registry) -> None:
    def asked(model_id: str, edge: int) -> int:
        return seconds(registry[model_id], Path("x.onnx"), GpuOptions(), np.empty((1, 3, edge, edge), np.float32))

    assert asked("u2netp", 320) < asked("birefnet-general-lite", 1024) < asked("birefnet-general", 1024) <= 60
    assert asked("birefnet-general", 1 << 14) == 120


def test_a_picture_computed_elsewhere_says_where(tiny: Session) -> None:
    asked = []

    def elsewhere(tensor: np.ndarray, _: Cancelled | None) -> Answer:
        asked.append(tensor.shape)
        return Answer(tensor[:, :1], "ElsewhereExecutionProvider", "because", 5)

    prediction = predict(Picture(np.full((64, 64, 3), 128, np.uint8)), tiny, runner=elsewhere)
    assert prediction.maps[""].shape == (64, 64)
    assert (prediction.provider, prediction.provider_note) == ("ElsewhereExecutionProvider", "because")
    assert (tiny.provider, asked) == (CPU, [(1, 3, 64, 64)])
