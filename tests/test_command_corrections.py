"""What the command line says about pictures: which picture each option is about, and a sentence where that is open."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from segmentation import Correction, Point, SettingsError, Stroke
from segmentation.commands.corrections import Said, add_corrections, read_corrections

STROKES = (Stroke("keep", 2.0, ((3.0, 4.0), (5.0, 6.0))),)
JSON = [stroke.as_json() for stroke in STROKES]
KEPT = Correction(STROKES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("pictures", "more", "masks"):
        (tmp_path / kind).mkdir()
    for name in ("pictures/a.jpg", "pictures/b.jpg", "more/a.jpg", "masks/a.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    return tmp_path


def said(folder: Path, names: Sequence[str], *options: object, saved: dict[str, Correction] | None = None) -> Said:
    parser = argparse.ArgumentParser()
    add_corrections(parser)
    sources = [folder / name for name in names]
    return read_corrections(parser.parse_args([str(option) for option in options]), sources, saved or {})


ONE, TWO, ALIKE = ["pictures/a.jpg"], ["pictures/a.jpg", "pictures/b.jpg"], ["pictures/a.jpg", "more/a.jpg"]


def test_nothing_is_said_without_options(folder: Path) -> None:
    assert said(folder, TWO) == Said({}, ())


def test_strokes_are_those_of_the_pictures_name(folder: Path) -> None:
    file = folder / "strokes.json"
    file.write_text(json.dumps({"b.jpg": JSON, "z.jpg": JSON}), encoding="utf-8")
    other = Correction((Stroke("remove", 9.0, ((1.0, 1.0),)),), box=(0, 0, 1, 1), mask=folder / "mine.png")
    found = said(folder, TWO, "--strokes", file, saved={"a.jpg": KEPT, "b.jpg": other})
    assert found.corrections == {0: KEPT, 1: replace(other, strokes=KEPT.strokes)}  # all but its strokes stays
    assert found.notes == ("1 picture with strokes is not among these: z.jpg.",)
    file.write_text(json.dumps(JSON), encoding="utf-8")
    assert said(folder, ONE, "--strokes", file).corrections == {0: KEPT}


@pytest.mark.parametrize("points", ["3,4 5.5,6", '[{"x": 3, "y": 4}, {"x": 5.5, "y": 6, "keep": true}]'])
@pytest.mark.parametrize("box", ["1,2,3,4", "[1, 2, 3, 4]"])
def test_points_and_box_are_of_the_only_picture(folder: Path, points: str, box: str) -> None:
    found = said(folder, ONE, "--points", points, "--box", box, "--candidate", 2, saved={"a.jpg": KEPT})
    assert found.corrections == {0: Correction(STROKES, (Point(3, 4), Point(5.5, 6)), (1, 2, 3, 4), candidate=2)}


def test_masks_and_trimaps_have_the_pictures_stem(folder: Path) -> None:
    mask = folder / "masks" / "a.png"
    found = said(folder, TWO, "--mask-dir", folder / "masks", "--trimap-dir", folder / "masks", saved={"a.jpg": KEPT})
    assert found.corrections == {0: KEPT.with_files(mask, mask)}
    assert found.notes[0] == f"1 picture has no mask in {folder / 'masks'} and uses the model: b.jpg."
    (folder / "masks" / "notes.txt").write_text("a", encoding="utf-8")
    (folder / "masks" / "a.txt").write_text("a", encoding="utf-8")
    assert said(folder, ONE, "--mask-dir", folder / "masks").corrections == {0: Correction(mask=mask)}


def test_a_picture_is_not_its_own_mask(folder: Path) -> None:
    Image.new("L", (20, 10)).save(folder / "pictures" / "a.png")
    found = said(folder, ONE, "--mask-dir", folder / "pictures")
    assert found.corrections == {0: Correction(mask=folder / "pictures" / "a.png")}


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (TWO, ["--points", "3,4"], "--points is about one picture, but there are 2"),
        (TWO, ["--box", "1,2,3,4"], "--box is about one picture"),
        (TWO, ["--candidate", "2"], "--candidate is about one picture"),
        (TWO, ["--strokes", "bare.json"], "--strokes with a list is about one picture"),
        (TWO, ["--strokes", "other.json"], "has no strokes for any of the pictures"),
        (ALIKE, ["--strokes", "named.json"], "a.jpg has strokes, but several pictures have that name"),
        (ONE, ["--strokes", "none.json"], "cannot be read as settings"),
        (ONE, ["--points", "3;4"], "--points must be like '120,80 300,90', or JSON"),
        (ONE, ["--points", '[{"x": 1}]'], "points must be a list such as"),
        (ONE, ["--box", "1,2,3"], "box must be"),
        (ONE, ["--candidate", "0"], "candidate must be a whole number"),
        (ONE, ["--mask-dir", "nowhere"], "is not a folder"),
        (ONE, ["--mask-dir", "twice"], "a.jpg has several files in .* that may be its mask: a.jpg, a.png"),
    ],
)
def test_what_is_unclear_is_told(
    folder: Path, names: list[str], options: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name, value in (("bare", JSON), ("other", {"z.jpg": JSON}), ("named", {"a.jpg": JSON})):
        Path(f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    Path("twice").mkdir()
    for ending in ("jpg", "png"):
        Image.new("L", (20, 10)).save(f"twice/a.{ending}")
    with pytest.raises(SettingsError, match=sentence):
        said(folder, names, *options)
