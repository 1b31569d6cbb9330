"""CPU and wall seconds from starting the server to listening, to the first plain and the first matted cutout, beside
rembg's server, where matting was compiled never before and where it was.

`python -m benchmarks.cold_start [repeats with compiled matting, 3]`. The pictures are asked for one after the other,
the first as soon as something listens. What a server does meanwhile in the background is counted. Linux only.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.sides import HERE, machine, photo, rembg_python, table
from segmentation.models.registry import load_registry
from segmentation.models.weights import fetch_weights

STEPS = ("listening", "first plain cutout", "first matted cutout")
TICKS = os.sysconf("SC_CLK_TCK")


def ours(url: str, matted: bool) -> bytes:
    with httpx.Client(base_url=url, timeout=600) as http:
        path = http.post("/gradio_api/upload", files={"files": ("a.jpg", photo("1").read_bytes())}).json()[0]
        images = [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        call = http.post("/gradio_api/call/v2/segment", json={"images": images, "alpha_matting": matted})
        stream = http.get(f"/gradio_api/call/segment/{call.json()['event_id']}").text
        address = stream.rpartition('"url": "')[2].partition('"')[0]
        return http.get(address).content


def theirs(url: str, matted: bool) -> bytes:
    data = {"model": "u2netp", "a": str(matted).lower()}
    return httpx.post(f"{url}/api/remove", files={"file": photo("1").read_bytes()}, data=data, timeout=600).content


def start_to_finish(
    command: list[str], environment: dict[str, str], cutout: Callable[[str, bool], bytes]
) -> list[tuple[float, float]]:
    """(CPU, wall) seconds at each of the steps."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began, seconds = time.monotonic(), []
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def step() -> None:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        # its own and its finished children's, in user and kernel mode
        seconds.append((sum(map(int, fields[11:15])) / TICKS, time.monotonic() - began))

    try:
        while True:
            assert process.poll() is None, command
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        step()
        for matted in (False, True):
            assert cutout(f"http://127.0.0.1:{port}", matted).startswith(b"\x89PNG")
            step()
    finally:
        process.kill()
        process.wait()
    return seconds


def main() -> None:
    repeats = int(sys.argv[1]) if sys.argv[1:] else 3
    rembg = rembg_python().with_name("rembg")
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "models"
        home.mkdir()
        shutil.copy(fetch_weights(load_registry()["u2netp"]), home / "u2netp.onnx")
        common = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": f"{scratch}/uploads"}
        sides = {
            "ours": ([sys.executable, str(HERE.parent / "app.py")], {"SEGMATTE_MODELS_DIR": str(home)}, ours),
            "rembg": ([str(rembg), "s", "--host", "127.0.0.1"], {"U2NET_HOME": str(home)}, theirs),
        }
        taken: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
        for turn in range(repeats + 1):
            compiled = "before" if turn else "never"
            for name, (command, own, cutout) in sides.items():
                cache = {"NUMBA_CACHE_DIR": f"{scratch}/cache-{name}", "SEGMATTE_DEVICE": "cpu"}
                taken.setdefault((compiled, name), []).append(
                    start_to_finish(command, {**common, **own, **cache}, cutout)
                )
                print(compiled, name, taken[compiled, name][-1], flush=True)
    rows = []
    for (compiled, name), runs in taken.items():
        medians = [
            [statistics.median(run[step][kind] for run in runs) for kind in (0, 1)] for step in range(len(STEPS))
        ]
        rows.append([name, compiled, *(f"{cpu:.1f} / {wall:.1f}" for cpu, wall in medians)])
    print(f"\n{machine()}\n")
    print(table(["", "matting compiled", *(f"{step}, CPU / wall s" for step in STEPS)], rows))


if __name__ == "__main__":
    main()
