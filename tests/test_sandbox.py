"""The sandbox: hostile code in it ends as one error, reaches nothing, and its parent goes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmentation.sandbox import process
from segmentation.sandbox.limits import Limits, held_bytes
from segmentation.sandbox.process import Sandbox, SandboxError
from segmentation.sandbox.protections import missing_protections, protections
from segmentation.sandbox.shared import AREA_BYTES, Area
from tests.waiting import until

LIMITS = Limits(memory_mb=200, seconds=20, threads=2)
linux = pytest.mark.skipif(bool(missing_protections()), reason=f"this system protects less: {missing_protections()}")

Start = Callable[..., Sandbox]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(process, "_running", weakref.WeakSet())  # those of other tests have other limits
    started = []

    def begin(target: str, readable: tuple[Path, ...] = (), limits: Limits = LIMITS) -> Sandbox:
        sandbox = Sandbox(f"tests.sandbox_targets:{target}", readable, limits)
        started.append(sandbox)
        return sandbox

    yield begin
    for sandbox in started:
        sandbox.close()


def reason(sandbox: Sandbox, request: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(SandboxError, match=r".") as caught:
        sandbox.call(request or {}, **options)
    return caught.value.reason


# ------------------------------------------------------------------------------------------------- calls


def test_requests_and_arrays_come_back(start: Start) -> None:
    sandbox = start("echo")
    arrays = [
        np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4),
        np.array([[True, False]]),
        np.zeros((0, 3), np.int64),
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.array(7, np.uint8),
    ]
    for _ in range(2):
        answer, back = sandbox.call({"a": [1, None, "ü"]}, arrays)
        assert answer == {"a": [1, None, "ü"]}
        for mine, theirs in zip(arrays, back, strict=True):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs)
            assert mine.shape == theirs.shape


def test_an_error_of_the_code_leaves_the_process_alive(start: Start) -> None:
    sandbox = start("fail")
    with pytest.raises(SandboxError, match=r"^no such thing") as caught:
        sandbox.call({})
    assert caught.value.reason == "failed"
    assert len(str(caught.value)) <= 500
    assert sandbox.is_alive


def test_nothing_of_the_servers_environment_is_passed_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "SEGMATTE_AUTH", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    found, _ = start("environment").call({})
    assert "secret" not in str(found)


def test_code_that_does_not_exist_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SandboxError, match="crashed"):
        Sandbox("tests.sandbox_targets:nothing", (), LIMITS)
    assert "no sandbox for tests.sandbox_targets:nothing: AttributeError" in caplog.text


@linux
def test_code_that_starts_threads_before_it_is_locked_in_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SandboxError, match="crashed"):
        Sandbox("tests.sandbox_threads:answer", (), LIMITS)
    assert "would stay outside" in caplog.text


@linux
def test_a_process_with_devices_works(start: Start, tmp_path: Path) -> None:
    """As for a GPU, whose drivers need more: tests/network/test_real_gpu.py tries it on one."""
    sandbox = Sandbox("tests.sandbox_targets:attempt", (), LIMITS, devices=[Path("/dev/zero")])
    for what in ("control", "memory file", "listen", "name a thread"):
        assert sandbox.call({"what": what}) == ({"result": "done"}, [])
    own = tmp_path / "own"
    own.write_text("x")
    for what in ("udp", "pair", "fork", "connect", "delete", "listen at a path"):
        found, _ = sandbox.call({"what": what, "path": str(own)})
        assert found["result"] in {"OSError", "PermissionError"}, what
    assert own.exists()
    sandbox.close()


# ------------------------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("target", ["crash", "end"])
def test_a_crash_is_an_error(start: Start, target: str) -> None:
    sandbox = start(target)
    assert reason(sandbox) == "crashed"
    assert not sandbox.is_alive
    assert reason(sandbox) == "crashed"  # and stays one


@pytest.mark.parametrize("target", ["spin", "sleep"])
def test_a_call_that_takes_too_long_is_ended(start: Start, target: str) -> None:
    sandbox = start(target)
    assert reason(sandbox, {"seconds": 60}, seconds=0.2) == "time"
    assert not sandbox.is_alive


def test_a_cancelled_call_is_ended(start: Start) -> None:
    sandbox = start("spin")
    asked = iter([False, True])
    assert reason(sandbox, cancelled=lambda: next(asked)) == "cancelled"
    assert not sandbox.is_alive


@linux
@pytest.mark.parametrize("mb", [1000, 100 << 10])
def test_memory_beyond_the_limit_is_refused(start: Start, mb: int) -> None:
    assert reason(start("allocate"), {"mb": mb}) == "memory"


@linux
def test_memory_within_the_limit_is_granted(start: Start) -> None:
    assert start("allocate").call({"mb": 150}) == ({}, [])


@linux
def test_shared_memory_counts_too(start: Start) -> None:
    assert reason(start("allocate_shared"), {"mb": 400}) == "memory"


@linux
def test_the_limit_is_for_all_together_and_one_that_rests_gives_way(start: Start) -> None:
    resting, busy = start("hold"), start("hold")
    resting.call({"mb": 150, "seconds": 0})
    assert resting.is_alive
    assert busy.call({"mb": 100, "seconds": 0.3}) == ({}, [])
    assert not resting.is_alive
    assert busy.is_alive


@linux
def test_the_limit_is_for_all_together_and_of_two_that_compute_the_larger_ends(start: Start) -> None:
    small, large = start("hold"), start("hold")
    done = []
    thread = threading.Thread(target=lambda: done.append(small.call({"mb": 60, "seconds": 4})))
    thread.start()
    assert reason(large, {"mb": 170, "seconds": 10}) == "memory"
    thread.join()
    assert done == [({}, [])]


@linux
def test_a_process_killed_by_the_kernel_ran_out_of_memory(start: Start) -> None:
    sandbox = start("sleep")

    def kill() -> bool:
        os.kill(sandbox._process.pid, signal.SIGKILL)
        return False

    assert reason(sandbox, {"seconds": 60}, cancelled=kill) == "memory"


def test_a_process_ends_with_the_object(start: Start) -> None:
    sandbox = Sandbox("tests.sandbox_targets:echo", (), LIMITS)
    process = sandbox._process
    del sandbox
    assert process.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
@pytest.mark.parametrize("target", ["echo", "spin"])
def test_a_process_ends_with_a_server_that_is_killed(target: str) -> None:
    program = (
        f"import sys, threading\nsys.path.append({str(Path.cwd())!r})\n"
        "from segmentation.sandbox.process import Sandbox\n"
        "from segmentation.sandbox.limits import Limits\n"
        f"sandbox = Sandbox('tests.sandbox_targets:{target}', (), Limits(200, 60, 1))\n"
        "threading.Thread(target=sandbox.call, args=({},), daemon=True).start()\n"
        "print(sandbox._process.pid, flush=True)\nimport time; time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (OSError, ProcessLookupError):
        return False


# ------------------------------------------------------------------------------------------------- what it reaches


@linux
@pytest.mark.parametrize(
    "what",
    ["unix", "udp", "pair", "exec", "subprocess", "fork", "kill", "ptrace", "parent's memory", "parent's environment",
     "parent's limits", "memory file", "grow"],
)  # fmt: skip
def test_the_outside_is_out_of_reach(start: Start, what: str) -> None:
    found, _ = start("attempt").call({"what": what, "pid": os.getpid()})
    assert found["result"] in {"OSError", "PermissionError", "BlockingIOError"}


@linux
def test_a_server_on_this_machine_is_out_of_reach(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found, _ = start("attempt").call({"what": "tcp", "port": listening.getsockname()[1]})
    assert found == {"result": "OSError"}


@linux
def test_only_its_own_files_are_in_reach(start: Start, tmp_path: Path) -> None:
    own, other, folder = tmp_path / "own", tmp_path / "other", tmp_path / "folder"
    folder.mkdir()
    for file in (own, other, folder / "inside"):
        file.write_text("x")
    (folder / "way-out").symlink_to(other)
    sandbox = start("attempt", (own, folder))

    def result(what: str, path: Path) -> str:
        return str(sandbox.call({"what": what, "path": str(path)})[0]["result"])

    assert result("read", own) == result("read", folder / "inside") == result("list", folder) == "done"
    for path in (
        other,
        folder / "way-out",
        folder / ".." / "other",
        Path("/etc/passwd"),
        Path("pyproject.toml").resolve(),
    ):
        assert result("read", path) == "PermissionError"
    assert result("list", tmp_path) == "PermissionError"
    for path in (own, folder / "new", tmp_path / "new"):
        assert result("write", path) == "PermissionError"


@linux
def test_threads_are_allowed(start: Start) -> None:
    assert start("attempt").call({"what": "thread"})[0] == {"result": "done"}


# ------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize(
    "line",
    [
        "nonsense", "[]", "1e999", "[" * 5000, '{"answer": 1, "arrays": []}', '{"answer": {}}',
        *(
            json.dumps({"answer": {}, "arrays": arrays})
            for arrays in (
                5,
                [5], [["float32", [-1]]], [["object", [1]]], [["float32", ["9"]]], [["float32", [1] * 40]], [["", []]],
                [["float64", [1 << 40]]], [["float64", [AREA_BYTES]]], [["float32", [True]]], [["U9", [1]]],
            )
        ),
    ],
)  # fmt: skip
def test_lies_about_the_answer_are_a_crash(start: Start, line: str) -> None:
    sandbox = start("lie")
    assert reason(sandbox, {"line": line}) == "crashed"
    assert not sandbox.is_alive


def test_an_area_takes_only_numbers() -> None:
    area = Area.create()
    with pytest.raises(ValueError, match="not of numbers"):
        area.write([np.array(["text"])])
    assert area.held_bytes == 0
    area.close()


# ------------------------------------------------------------------------------------------------- protections


def test_what_protects_is_known() -> None:
    assert [protection.name for protection in protections()] == ["memory limit", "Landlock", "seccomp"]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segmentation.sandbox.protections.landlock_version", lambda: 0)
    assert "lacks Landlock: nothing prevents" in missing_protections()


@linux
def test_memory_held_by_a_process_is_known() -> None:
    before = held_bytes(os.getpid())
    held = np.ones(16 << 20)  # so much that the allocator asks the system for it
    assert held_bytes(os.getpid()) - before == pytest.approx(held.nbytes, rel=0.2)
