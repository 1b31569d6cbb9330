"""What a batch tells in a terminal: a bar with rate and time left, and above it what else there is to say."""

import io
from pathlib import Path

import pytest

from segmentation.commands.job import Finished
from segmentation.commands.telling import Teller
from segmentation.report import Report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def finished(number: int, error: str | None = None, *, is_skipped: bool = False) -> Finished:
    name = f"{number}.png"
    return Finished(
        Path(name), name, Report(name, "tiny", "", error=error), (Path(f"{number}-cutout.png"),), is_skipped=is_skipped
    )


def test_a_terminal_sees_a_bar_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, out = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    with Teller(4, out=out) as teller:
        teller.tell(finished(0, is_skipped=True))
        assert (
            "1 of 4, ? pictures/s, ? left" in terminal.getvalue()
        )  # what was there already says nothing about the rate
        for number in (1, 2):
            teller.tell(finished(number))
        teller.tell(finished(3, "3.png is damaged."))
        assert teller._bar
        teller._bar.refresh()
    shown = terminal.getvalue()
    assert "100% |" in shown
    assert "4 of 4, " in shown
    assert "pictures/s, 00:00 left" in shown
    assert "3.png is damaged.\n" in shown
    assert shown.endswith("4 pictures: 2 cut out, 1 done before, 1 failed.\n")
    assert out.getvalue().splitlines() == [f"{number}-cutout.png" for number in range(4)]


def test_anything_else_sees_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Teller(2) as teller:
        teller.tell(finished(1))
        teller.tell(finished(2))
    printed = capsys.readouterr()
    assert printed.out == "1-cutout.png\n2-cutout.png\n"
    assert printed.err == "2 pictures: 2 cut out.\n"
