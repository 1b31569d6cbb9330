"""No file of a person's is overwritten, and none is passed over in silence: names, folders, the command line."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.manifest import MANIFEST, Manifest
from segmentation.outputs import safe_stems
from tests import graphs
from tests.test_command_line import BRIGHT, main, models  # noqa: F401  (a fixture)


def paint(path: Path, level: int = 255, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:40] = level
    Image.fromarray(pixels).save(path, kind)
    return path


def cut(*arguments: str | Path) -> int:
    return main(["cut", "--model", BRIGHT, "--no-alpha-matting", *map(str, arguments)])


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_a_picture_of_a_cutouts_name_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    paint(place / "a.jpg")
    own = paint(place / "a-cutout.png", 200).read_bytes()
    monkeypatch.chdir(place)
    assert cut("a.jpg", "a-cutout.png") == 1
    assert (place / "a-cutout.png").read_bytes() == own
    assert visible(place) == ["a-cutout-cutout.png", "a-cutout.png", "a.jpg"]
    assert "its cutout would overwrite the picture a-cutout.png" in capsys.readouterr().err
    assert cut("a.jpg", "a-cutout.png", "--overwrite") == 1  # not even then
    assert (place / "a-cutout.png").read_bytes() == own


def test_a_picture_is_known_by_another_spelling_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = paint(tmp_path / "e\u0301.jpg")
    second = paint(tmp_path / "\u00e9-CUTOUT.png", 200)
    assert unicodedata.normalize("NFC", first.name) == "\u00e9.jpg"
    assert cut(first, second, "-o", tmp_path) == 1
    assert "would overwrite the picture" in capsys.readouterr().err


def test_a_link_to_a_picture_is_that_picture(tmp_path: Path) -> None:
    picture = paint(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-cutout.png").symlink_to(picture)
    before = picture.read_bytes()
    assert cut(picture, "-o", tmp_path / "out", "--overwrite") == 1
    assert picture.read_bytes() == before


def test_a_second_picture_does_not_replace_the_cutout_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cut(paint(tmp_path / "a.jpg"), "-o", out) == 0
    first = (out / "a-cutout.png").read_bytes()
    assert cut(paint(tmp_path / "a.png", 200), "-o", out) == 1
    assert (out / "a-cutout.png").read_bytes() == first
    said = capsys.readouterr().err
    assert "a.png was skipped: a-cutout.png exists and was made from" in said
    assert "--overwrite" in said
    assert cut(tmp_path / "a.png", "-o", out, "--overwrite") == 0
    assert (out / "a-cutout.png").read_bytes() != first


def test_in_one_batch_the_ending_stays_where_stems_are_the_same(tmp_path: Path) -> None:
    assert (
        cut(paint(tmp_path / "a.jpg"), paint(tmp_path / "a.png"), paint(tmp_path / "b.png"), "-o", tmp_path / "out")
        == 0
    )
    assert visible(tmp_path / "out") == ["a.jpg-cutout.png", "a.png-cutout.png", "b-cutout.png"]
    assert safe_stems(["a.png", "a.jpg"]) == safe_stems(["a.jpg", "a.png"])[::-1]  # whoever comes first


def test_a_second_time_replaces_what_was_made_and_cuts_no_cutouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    paint(place / "a.png")
    monkeypatch.chdir(place)
    for _ in range(3):
        assert cut(*sorted(path.name for path in place.glob("*.png"))) == 0  # as a shell does with *.png
        assert visible(place) == ["a-cutout.png", "a.png"]
    assert "1 file is a cutout made here and was left out: a-cutout.png." in capsys.readouterr().err


def test_a_cutout_that_was_touched_up_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, out = paint(tmp_path / "a.png"), tmp_path / "out"
    assert cut(picture, "-o", out) == 0
    mine = paint(out / "a-cutout.png", 77).read_bytes()
    assert cut(picture, "-o", out) == 1
    assert (out / "a-cutout.png").read_bytes() == mine
    assert "has been changed since" in capsys.readouterr().err


def test_a_file_that_was_there_before_is_not_replaced(tmp_path: Path) -> None:
    mine = paint(tmp_path / "out" / "a-cutout.png", 77).read_bytes()
    assert cut(paint(tmp_path / "a.png"), paint(tmp_path / "b.png"), "-o", tmp_path / "out") == 1
    assert (tmp_path / "out" / "a-cutout.png").read_bytes() == mine
    assert visible(tmp_path / "out") == ["a-cutout.png", "b-cutout.png"]  # the other is done


@pytest.mark.parametrize(
    ("name", "kind"), [("result.png", "PNG"), ("result.webp", "WEBP"), ("x.jpeg", "JPEG"), ("Y.JPG", "JPEG")]
)
def test_a_file_may_be_named(tmp_path: Path, name: str, kind: str) -> None:
    assert cut(paint(tmp_path / "a.png"), "-o", tmp_path / "new" / name) == 0
    with Image.open(tmp_path / "new" / name) as image:
        assert image.format == kind
    assert visible(tmp_path / "new") == [name]


def test_one_file_for_two_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(paint(tmp_path / "a.png"), paint(tmp_path / "b.png"), "-o", tmp_path / "result.png") == 1
    assert "names one file, but there are 2 pictures" in capsys.readouterr().err
    assert not (tmp_path / "result.png").exists()
    assert cut(tmp_path / "a.png", "-o", tmp_path / "result.png", "--format", "jpeg") == 1


def test_a_folder_is_read_by_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "place"
    for name in ("phone.HEIC", "camera.jfif", "no-ending", "mine-cutout.jpg"):
        paint(place / name, kind="JPEG")
    for number in range(5):
        (place / f"note-{number}.jpg").write_text("no picture")
    (place / "raw.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(40))
    paint(place / "deeper" / "c.png")
    assert cut(place, "-o", tmp_path / "out") == 0
    assert visible(tmp_path / "out") == [
        "camera-cutout.png", "deeper", "mine-cutout-cutout.png", "no-ending-cutout.png", "phone-cutout.png",
    ]  # fmt: skip
    assert visible(tmp_path / "out" / "deeper") == ["c-cutout.png"]
    said = capsys.readouterr().err
    assert "6 files are not pictures: note-0.jpg, note-1.jpg, note-2.jpg and 3 more." in said


def test_a_folder_of_nothing_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "a.txt").write_text("text")
    assert cut(tmp_path / "place") == 1
    assert "There are no pictures. 1 file is not a picture: a.txt." in capsys.readouterr().err


def test_a_half_written_line_of_the_manifest_is_passed_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cut(paint(tmp_path / "a.png"), "-o", out) == 0
    with (out / MANIFEST).open("a") as file:
        file.write('{"file": "b-cut')
    assert Manifest(out).source(out / "a-cutout.png") == str(tmp_path / "a.png")
    entries = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()[:-1]]
    assert [entry.get("file") for entry in entries] == ["a-cutout.png", None]
    assert entries[1]["picture"] == str(tmp_path / "a.png")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_cannot_show_a_name_does_not_end_the_batch(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "models"
    names = ["\u732b.png", "z.png"]
    for name in names:
        paint(tmp_path / name)
    (tmp_path / "\u72ac.png").write_text("no picture")
    words = [sys.executable, "-m", "segmentation", "cut", "--model", BRIGHT, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*words, *(str(tmp_path / name) for name in [*names, "\u72ac.png"])],
        env=os.environ | {"PYTHONIOENCODING": encoding, "SEGMATTE_MODELS_DIR": str(folder), "SEGMATTE_DEVICE": "cpu"},
        capture_output=True, check=False, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"\\u72ac.png" in done.stderr
    assert visible(tmp_path / "out") == ["z-cutout.png", "\u732b-cutout.png"]


def test_every_line_about_a_picture_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graphs.not_a_number(tmp_path / "models" / "nan.onnx")
    assert (
        main(
            [
                "cut",
                "--model",
                "nan.onnx",
                str(paint(tmp_path / "a.png")),
                str(paint(tmp_path / "b.png")),
                "-o",
                str(tmp_path),
            ]
        )
        == 1
    )
    *lines, summary = capsys.readouterr().err.strip().splitlines()
    assert sorted(line[:6] for line in lines) == ["a.png:", "b.png:"]
    assert summary == "2 pictures: 0 cut out, 2 failed."


def test_a_batch_of_a_read_only_manifest_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cut(paint(tmp_path / "a.png"), "-o", out) == 0
    (out / MANIFEST).unlink()
    (out / MANIFEST).mkdir()  # cannot be written as a file
    shutil.rmtree(out / "a-cutout.png", ignore_errors=True)
    (out / "a-cutout.png").unlink()
    assert cut(tmp_path / "a.png", "-o", out) == 1
