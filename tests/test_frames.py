"""`frames`: raw frames in, raw cutouts out, in their order, between two real ffmpegs."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests import graphs
from tests.test_command_line import main, models  # noqa: F401  (a fixture)
from tests.test_resuming import registry  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
WIDTH, HEIGHT = 48, 32
WORDS = [sys.executable, "-m", "segmentation", "frames"]
FLAGS = ["--model", "tiny", "--no-alpha-matting"]

Frames = npt.NDArray[np.uint8]


def frames(count: int) -> Frames:
    """A bright bar that moves by four pixels a frame."""
    pixels = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    for number in range(count):
        pixels[number, :, 4 * number : 4 * number + 8] = 255
    return pixels


def centre(plane: npt.NDArray[np.uint8]) -> float:
    """Where its brightness lies, from the left in pixels."""
    columns = plane.sum(axis=0, dtype=float)
    return float((columns * np.arange(len(columns))).sum() / columns.sum())


Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """The command in this process: exit code, and what it wrote."""

    def run(data: bytes, *arguments: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
        code = main(["frames", *map(str, size), *FLAGS, *arguments])
        printed = capsysbinary.readouterr()
        return code, printed.out, printed.err.decode()

    return run


def test_frames_come_out_in_their_order_and_an_incomplete_one_is_told(run: Run) -> None:
    pixels = frames(9)
    code, out, said = run(pixels.tobytes() + b"123")
    assert said == "The last frame has 3 of 4608 bytes: check width, height and rgb24.\n"
    assert code == 1
    cutouts = np.frombuffer(out, np.uint8).reshape(9, HEIGHT, WIDTH, 4)
    for cutout, frame in zip(cutouts, pixels, strict=True):
        assert abs(centre(cutout[..., 3]) - centre(frame[..., 0])) < 1


def test_real_ffmpegs_on_both_sides(run: Run, tmp_path: Path) -> None:
    source = "testsrc2=size=48x32:rate=10:duration=1.2"
    reading = [FFMPEG, "-v", "error", "-f", "lavfi", "-i", source, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    writing = [FFMPEG, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", "48x32", "-r", "10", "-i", "-"]
    film = tmp_path / "out.mov"
    with (
        subprocess.Popen(reading, stdout=subprocess.PIPE) as first,
        subprocess.Popen([*WORDS, "48", "32", *FLAGS], stdin=first.stdout, stdout=subprocess.PIPE, cwd=ROOT) as ours,
        subprocess.Popen([*writing, "-c:v", "qtrle", str(film)], stdin=ours.stdout) as last,
    ):
        assert [process.wait(120) for process in (first, ours, last)] == [0, 0, 0]
    back = [FFMPEG, "-v", "error", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    read = subprocess.run(back, capture_output=True, check=True).stdout
    raw = subprocess.run(reading, capture_output=True, check=True).stdout
    assert (0, read, "") == run(raw)  # qtrle is lossless
    assert len(read) == 12 * 48 * 32 * 4


def test_nobody_reads_ahead_of_who_takes_the_frames() -> None:
    """A writer of endless frames, and a reader of none: only what fits into pipes and cores is taken."""
    written = 0
    with subprocess.Popen(
        [*WORDS, "400", "300", *FLAGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=ROOT,
    ) as ours:  # fmt: skip
        assert ours.stdin
        assert ours.stdout
        fed = threading.Event()

        def feed() -> None:
            nonlocal written
            try:
                for _ in range(200):
                    ours.stdin.write(bytes(400 * 300 * 3))  # type: ignore[union-attr]
                    ours.stdin.flush()  # type: ignore[union-attr]
                    written += 1
            except OSError:
                pass
            fed.set()

        threading.Thread(target=feed, daemon=True).start()
        assert len(ours.stdout.read(400 * 300 * 4)) == 400 * 300 * 4  # one frame
        assert not fed.wait(1.5)
        assert written < 20
        ours.stdout.close()  # enough: it ends by itself, without a traceback
        assert ours.wait(30) == 1


def test_frames_may_become_files_with_all_that_files_can_be(run: Run, tmp_path: Path) -> None:
    flags = ["--background", "#00ff00", "--format", "webp"]
    assert run(frames(2).tobytes(), "-o", str(tmp_path / "out"), *flags) == (0, b"", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frame-000001.webp", "frame-000002.webp"]
    with Image.open(tmp_path / "out" / "frame-000001.webp") as image:
        assert image.getpixel((40, 10)) == (0, 255, 0)
    code, _, said = run(frames(1).tobytes(), "-o", str(tmp_path / "out"))
    assert code == 1
    assert "exists. Choose another folder with -o" in said


@pytest.mark.parametrize(
    ("arguments", "size", "sentence"),
    [
        (["--background", "#fff"], (4, 4), "Raw frames have no background. Name a folder with -o."),
        ([], (0, 4), "0 x 4 is no size of frames."),
    ],
)
def test_what_is_wrong_is_said_before_the_first_frame(
    run: Run, arguments: list[str], size: tuple[int, int], sentence: str
) -> None:
    assert run(b"", *arguments, size=size) == (1, b"", f"{sentence}\n")


def test_a_frame_that_fails_is_told_and_keeps_its_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = graphs.not_a_number(tmp_path / "models" / "tiny.onnx")
    bad = graphs.write_registry(tmp_path / "bad.yaml", graphs.make_spec(network))
    monkeypatch.setenv("SEGMATTE_REGISTRY", str(bad))
    code, out, said = run(frames(2).tobytes())
    assert code == 1
    assert out == bytes(2 * WIDTH * HEIGHT * 4)
    assert [line[:9] for line in said.splitlines()] == ["frame 1: ", "frame 2: "]
