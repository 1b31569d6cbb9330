"""Decodes a picture in a separate process, which is stopped when it takes too long or too much memory.

The process stays warm for a while, so that the next picture need not wait for a start. Its pipes carry only JSON and
pixels, as a compromised decoder must not be trusted.
"""

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from segmentation.errors import ImageError
from segmentation.messages import Message, from_json, to_json
from segmentation.picture.decoding import decode
from segmentation.picture.picture import Limits, Picture

IDLE_SECONDS = 60.0  # a process that has been idle for this long ends
_PACKAGE = Path(__file__).resolve().parents[1]
# Bypasses the package's __init__, which loads ONNX Runtime: half a second and 60 MB that no decoder needs.
_PROGRAM = f"""
import sys, types
package = types.ModuleType("segmentation")
package.__path__ = [{str(_PACKAGE)!r}]
sys.modules["segmentation"] = package
from segmentation.picture.decoder_process import serve
serve()
"""
_PIPE_BYTES = 1 << 20
_PROFILE_BYTES = 4 << 20
_BASE_BYTES, _BYTES_A_PIXEL = 1 << 30, 24  # address space on top of what the process has at its start


def decode_apart(data: bytes, kind: str, name: str, limits: Limits) -> Picture:
    """`decode` in a separate process.

    Raises:
        ImageError: It is damaged, has too many pixels, or takes too much time or memory.
    """
    try:
        worker = _take_worker()
    except OSError as error:
        raise ImageError(_ended(name)) from error
    request = {"kind": kind, "name": name, "limits": limits, "bytes": len(data)}
    try:
        with worker.deadline(limits.seconds) as late:
            worker.send(request, data)
            answer = worker.receive_json()
            problem = from_json(answer["error"]) if answer.get("error") else None
            picture = None if problem else _picture(worker, answer, name, kind, limits)
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError) as error:
        # it was stopped, died, or sent nonsense
        worker.close()
        raise ImageError(
            Message(
                "Reading {name} took longer than {seconds:g} s and was stopped. Save it again as an ordinary JPEG "
                "or PNG.",
                name=name, seconds=limits.seconds,
            )
            if late.is_set()
            else _ended(name)
        ) from error  # fmt: skip
    except BaseException:
        worker.close()
        raise
    _give_back(worker)
    if picture is None:
        raise ImageError(problem)
    return picture


def _ended(name: str) -> Message:
    return Message("{name} could not be read: its decoder ended unexpectedly. Save it again as JPEG or PNG.", name=name)


def _picture(worker: "_Worker", answer: dict[str, Any], name: str, kind: str, limits: Limits) -> Picture:
    """The picture sent by the process, checked against the limits."""
    height, width = (int(edge) for edge in answer["size"])
    lengths = [int(length) for length in answer["lengths"]]
    pixels = height * width
    fits = 0 < pixels <= limits.max_pixels and lengths[0] == 3 * pixels and lengths[1] in (0, pixels)
    if len(lengths) != 3 or not fits or not 0 <= lengths[2] <= _PROFILE_BYTES:
        raise ValueError
    rgb, opacity, profile = (worker.receive(length) for length in lengths)
    return Picture(
        rgb=np.frombuffer(rgb, np.uint8).reshape(height, width, 3),
        opacity=np.frombuffer(opacity, np.uint8).reshape(height, width) if opacity else None,
        icc_profile=bytes(profile) or None,
        name=name,
        notes=tuple(from_json(note) for note in answer["notes"]),
        kind=kind,
        is_whole=bool(answer["is_whole"]),
    )


# ------------------------------------------------------------------------------------------ this side of the pipe


class _Worker:
    """A process that decodes one picture after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # -P: import nothing from the current folder, which may not be trusted
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._idle: threading.Timer | None = None
        with contextlib.suppress(ImportError, OSError, AttributeError):  # Linux: fewer switches between processes
            import fcntl

            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @contextlib.contextmanager
    def deadline(self, seconds: float) -> Any:
        """Kill the process after this many seconds, and set the event if that happened."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def send(self, request: dict[str, Any], data: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(json.dumps(request).encode() + b"\n")
        pipe.write(data)
        pipe.flush()

    def receive_json(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline(1 << 20)
        if not line.endswith(b"\n"):
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def receive(self, length: int) -> bytearray:
        assert self._process.stdout is not None
        data = bytearray(length)
        if self._process.stdout.readinto(data) < length:  # type: ignore[attr-defined]  # it is buffered
            raise EOFError
        return data

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def rest(self) -> None:
        """End after a while without a picture."""
        self._idle = threading.Timer(IDLE_SECONDS, _drop, (self,))
        self._idle.daemon = True
        self._idle.start()

    def wake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # unsent data is lost with the process
                assert pipe is not None
                pipe.close()
        self._process.wait()


_resting: list[_Worker] = []
_lock = threading.Lock()


def _take_worker() -> _Worker:
    while True:
        with _lock:
            worker = _resting.pop() if _resting else None
        if worker is None:
            return _Worker()
        worker.wake()
        if worker.is_alive:
            return worker
        worker.close()


def _give_back(worker: _Worker) -> None:
    worker.rest()
    with _lock:
        _resting.append(worker)


def _drop(worker: _Worker) -> None:
    with _lock:
        if worker not in _resting:
            return  # it has just been taken
        _resting.remove(worker)
    worker.close()


@atexit.register
def _drop_all() -> None:
    with _lock:
        workers, _resting[:] = list(_resting), []
    for worker in workers:
        worker.wake()
        worker.close()


# ------------------------------------------------------------------------------------------ the other side of it


def serve() -> None:
    """Decode the pictures from standard input until it ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # printed text must not mix with the pixels
    while line := requests.readline():
        request = json.loads(line)
        limits = Limits(*request["limits"])
        _limit_memory(limits)
        _answer(answers, requests.read(request["bytes"]), request["kind"], request["name"], limits)


def _answer(pipe: IO[bytes], data: bytes, kind: str, name: str, limits: Limits) -> None:
    answer: dict[str, Any]
    planes: list[Any] = []
    try:
        picture = decode(data, kind, name, limits)
    except ImageError as error:
        answer = {"error": to_json(error.message)}
    except MemoryError:
        text = Message("Reading {name} needs more memory than one picture may use. Make it smaller first.", name=name)
        answer = {"error": to_json(text)}
    else:
        opacity = b"" if picture.opacity is None else np.ascontiguousarray(picture.opacity).data.cast("B")
        planes = [np.ascontiguousarray(picture.rgb).data.cast("B"), opacity, picture.icc_profile or b""]
        answer = {
            "size": picture.size,
            "notes": [to_json(note) for note in picture.notes],
            "is_whole": picture.is_whole,
            "lengths": [len(plane) for plane in planes],
        }
    pipe.write(json.dumps(answer).encode() + b"\n")
    for plane in planes:
        pipe.write(plane)
    pipe.flush()


def _limit_memory(limits: Limits) -> None:
    try:
        import resource

        begun = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # Windows, macOS: only time is limited there
        return
    global _begun
    _begun = _begun or begun
    most = _begun + _BASE_BYTES + _BYTES_A_PIXEL * limits.max_pixels
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


_begun = 0  # bytes of address space at the first picture
