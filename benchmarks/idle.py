"""What it costs to do nothing: the server without a network, and a page that is open.

`python -m benchmarks.idle [seconds]`. CPU of the server and of all processes of the browser. Linux only.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from benchmarks.sides import HERE, machine, table
from tests.web.browser import chromium
from tests.web.test_app import free_port

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Of a process, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descendants(pid: int) -> list[int]:
    children = [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]
    return [pid, *(process for child in children for process in descendants(child))]


def main() -> None:
    seconds = float(sys.argv[1]) if sys.argv[1:] else 60.0
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as scratch:
        # an empty models folder and no way to fetch: no network is loaded
        nothing = {"SEGMATTE_MODELS_DIR": f"{scratch}/models", "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
        server = subprocess.Popen(
            [sys.executable, str(HERE.parent / "app.py"), "--port", str(port)],
            env={**os.environ, **nothing, "GRADIO_TEMP_DIR": f"{scratch}/uploads", "UV_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    httpx.get(url, timeout=5)
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            time.sleep(20)  # until what is prepared behind the page is prepared
            rows = [["server alone", *idle(server.pid, None, seconds)]]
            memory = resident_mb(server.pid)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
                # Playwright's driver is our child, the browser the driver's
                page = browser.new_page()
                page.goto(url)
                page.locator("#run").wait_for()
                time.sleep(10)
                rows.append(["a page open", *idle(server.pid, os.getpid(), seconds)])
                browser.close()
        finally:
            server.terminate()
            server.wait()
    print(f"\n{machine().partition(', against')[0]}\n")
    print(table(["", "server, % of a core", "browser, % of a core"], rows))
    print(f"\nThe idle server without a network holds {memory:.0f} MB.")


def idle(server: int, ours: int | None, seconds: float) -> list[str]:
    browsers = [pid for pid in descendants(ours) if pid not in (ours, server)] if ours else []
    watched = {"server": [server], "browser": browsers}
    before = {name: sum(map(cpu_seconds, pids)) for name, pids in watched.items()}
    time.sleep(seconds)
    return [
        f"{100 * (sum(map(cpu_seconds, pids)) - before[name]) / seconds:.2f}" if pids else ""
        for name, pids in watched.items()
    ]


if __name__ == "__main__":
    main()
