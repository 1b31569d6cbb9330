"""`python -m segmentation score`: a table, files, notes, and exit codes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import graphs
from tests.score.cases import disc
from tests.score.test_pairs import zipped
from tests.test_command_line import BRIGHT, main, models  # noqa: F401  (a fixture)

OTHER = "coarse.onnx"


@pytest.fixture
def truth(tmp_path: Path, models: Path) -> Path:  # noqa: F811
    """Three photographs of a bright disc with their masks, and a second model."""
    graphs.brightness(models / OTHER, (16, 16))
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for radius in (10, 18, 20):
        picture, mask = ((disc((48, 64), (24, 32), r) * 220 + 20).astype(np.uint8) for r in (radius, 20))
        Image.fromarray(picture).convert("RGB").save(tmp_path / "set" / "images" / f"{radius}.png")
        Image.fromarray(np.where(mask > 128, 255, 0).astype(np.uint8)).save(
            tmp_path / "set" / "masks" / f"{radius}.png"
        )
    return tmp_path / "set"


def score(*arguments: str | Path) -> int:
    return main(["score", *map(str, arguments)])


def test_two_models_are_compared(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(truth, "--models", f"{BRIGHT},{OTHER}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["pictures", "MAE"]
    assert lines[1].startswith(f"{BRIGHT} ")
    assert lines[2].startswith(f"{OTHER} ")
    assert all("3 of 3" in line for line in lines[1:3])
    assert sum(line.count("*") for line in lines[1:3]) >= 9
    assert lines[4] == "Worst pictures first:"
    assert lines[6].startswith("10.png ")


def test_a_zip_is_scored_as_its_folder(truth: Path, tmp_path: Path) -> None:
    assert score(truth, "--models", BRIGHT, "--json", tmp_path / "a.json") == 0
    assert score(zipped(tmp_path / "set.zip", truth), "--models", BRIGHT, "--json", tmp_path / "b.json") == 0
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    for each in (one, other):
        for entry in (*each["totals"], *each["pictures"]):
            del entry["seconds"]
    assert one["totals"] == other["totals"]
    key = lambda entry: str(entry["picture"])  # noqa: E731
    assert sorted(one["pictures"], key=key) == sorted(other["pictures"], key=key)


def test_settings_files_are_compared_for_every_model(truth: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(f"model: {OTHER}\nalpha_matting: false\n")
    (tmp_path / "smooth.yaml").write_text(f"model: {OTHER}\nalpha_matting: false\npost_process_mask: true\n")
    files = f"{tmp_path / 'plain.yaml'},{tmp_path / 'smooth.yaml'}"
    assert score(truth, "--models", f"{BRIGHT},{OTHER}", "--settings", files, "--csv", tmp_path / "all.csv") == 0
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    wanted = [f"{BRIGHT}, plain", f"{OTHER}, plain", f"{BRIGHT}, smooth", f"{OTHER}, smooth"]
    assert [row["candidate"] for row in rows[:4]] == wanted
    assert len(rows) == 3 * 4 + 4
    assert len({row["mae"] for row in rows[-4:]}) == 4
    assert score(truth, "--settings", files, "--csv", tmp_path / "own.csv") == 0  # for the models that they name
    with (tmp_path / "own.csv").open() as file:
        assert {row["candidate"] for row in csv.DictReader(file)} == {f"{OTHER}, plain", f"{OTHER}, smooth"}


def test_settings_files_of_one_name_are_told_apart(truth: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "settings.yaml").write_text(f"model: {BRIGHT}\nalpha_matting: false\n")
    files = [str(tmp_path / folder / "settings.yaml") for folder in ("a", "b")]
    assert score(truth, "--settings", ",".join(files), "--json", tmp_path / "x.json") == 0
    totals = json.loads((tmp_path / "x.json").read_text())["totals"]
    assert [total["candidate"] for total in totals] == [f"{BRIGHT}, {file}" for file in files]


def test_a_page_is_written(truth: Path, tmp_path: Path) -> None:
    assert score(truth, "--models", BRIGHT, "--html", tmp_path / "new" / "page.html") == 0
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<h1>set: 3 pictures</h1>" in page
    assert page.count("data:image/jpeg") == 12
    assert page.index("10.png") < page.index("18.png") < page.index("20.png")


def test_a_picture_that_fails_makes_the_exit_code_one(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (9, 9)).save(truth / "masks" / "18.png")
    Image.new("L", (9, 9)).save(truth / "masks" / "lonely.png")
    assert score(truth, "--models", f"{BRIGHT},{OTHER}") == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "1 truth has no picture: lonely.png.",
        f"18.png ({BRIGHT}; {OTHER}): 18.png is 9 x 9, but its picture is 64 x 48: they must agree.",
    ]
    assert "2 of 3" in printed.out


def test_a_model_that_is_refused_fails_alone(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(truth, "--models", f"rmbg-1.4,{BRIGHT}") == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("3 pictures (rmbg-1.4): BRIA RMBG 1.4 has a licence that must be accepted first")
    assert printed.err.count("\n") == 1
    assert "0 of 3" in printed.out
    assert "3 of 3" in printed.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere does not exist."),
        (["masks"], "3 pictures have no truth"),
        ([".", "--models", "no-such-model"], "There is no model 'no-such-model'"),
        ([".", "--settings", "nowhere.yaml"], "nowhere.yaml cannot be read as settings"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(
    truth: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(truth)
    assert score(*arguments) == 1
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_pictures_may_lie_elsewhere(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(truth / "masks", "--pictures", truth / "images", "--models", BRIGHT) == 0
    assert "3 of 3" in capsys.readouterr().out
