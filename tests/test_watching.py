"""`watch`: what is there, what comes, what is still being written, and a clean start after a stop."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.events import FileClosedNoWriteEvent, FileCreatedEvent, FileMovedEvent

from segmentation.commands.watch import Inbox, _Wake
from tests.test_command_line import main, models  # noqa: F401  (a fixture)
from tests.test_outputs import paint, visible
from tests.test_resuming import registry  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent


def aged(path: Path, seconds: float = 100) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_old_files_are_complete_at_once_and_new_ones_once_they_settle(tmp_path: Path) -> None:
    old = aged(paint(tmp_path / "sub" / "old.png"))
    new = paint(tmp_path / "new.png")
    inbox = Inbox(tmp_path, settle=0.05)
    assert inbox.look() == ([old], True)
    time.sleep(0.06)
    assert inbox.look() == ([new], False)
    assert inbox.look() == ([], False)
    assert inbox.pictures == [new, old]


def test_a_file_that_grows_is_not_complete(tmp_path: Path) -> None:
    whole = paint(tmp_path / "a.png").read_bytes()
    inbox = Inbox(tmp_path, settle=0.2)
    for end in (2, 4, 6):
        (tmp_path / "a.png").write_bytes(whole[:end])
        assert inbox.look() == ([], True)
    time.sleep(0.25)
    assert inbox.look() == ([], False)  # complete, but no picture
    (tmp_path / "a.png").write_bytes(whole)
    assert inbox.look() == ([], True)
    time.sleep(0.25)
    assert inbox.look() == ([tmp_path / "a.png"], False)
    (tmp_path / "a.png").unlink()
    inbox.look()
    assert inbox.pictures == []


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        (FileCreatedEvent("/in/a.png"), True),
        (FileMovedEvent("/in/.a.png", "/in/a.png"), True),
        (FileClosedNoWriteEvent("/in/a.png"), False),  # which looking at it does
        (FileCreatedEvent("/in/out/a-cutout.png"), False),
    ],
)
def test_only_what_others_do_wakes(event: FileCreatedEvent, wakes: bool) -> None:
    woken = threading.Event()
    _Wake(woken, Path("/in/out")).dispatch(event)
    assert woken.is_set() is wakes


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs that are started can be interrupted, even where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_folder_is_watched_stopped_and_watched_again(tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "in" / "out"
    aged(paint(inbox / "there.png"))
    words = [
        sys.executable, "-m", "segmentation", "watch", str(inbox), "-o", str(out), "--model", "tiny", "--json",
        "--no-alpha-matting", "--settle", "0.2",
    ]  # fmt: skip

    def watching() -> "subprocess.Popen[str]":
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)

    def told(process: "subprocess.Popen[str]") -> tuple[str, bool]:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert line["error"] is None
        return line["source"], line["skipped"]

    with watching() as process:
        try:
            assert told(process) == (str(inbox / "there.png"), False)
            paint(tmp_path / "coming.png").rename(inbox / "coming.png")
            assert told(process) == (str(inbox / "coming.png"), False)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    aged(paint(inbox / "later" / "there.png"))
    with watching() as process:
        try:
            names = ("coming.png", "later/there.png", "there.png")
            assert sorted(told(process) for _ in range(3)) == [
                (str(inbox / name), name != "later/there.png") for name in names
            ]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert visible(out) == ["coming-cutout.png", "later", "there-cutout.png"]
    assert visible(out / "later") == ["there-cutout.png"]


def test_what_is_no_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path / "nowhere"), "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'nowhere'} is not a folder.\n"
