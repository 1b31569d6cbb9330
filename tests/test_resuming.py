"""Folders, patterns, lists and pipes; what is done is done once, even after kill -9; what failed is listed."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmentation.errors import ImageError
from segmentation.inputs import find_pictures
from segmentation.manifest import MANIFEST, Done, Made, Manifest
from segmentation.outputs import Outputs, safe_stems, tree_names
from tests import graphs
from tests.test_command_line import main, models  # noqa: F401  (a fixture)
from tests.test_outputs import paint, visible

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def registry(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A tiny network with a registry entry, which runs in this process."""
    use(graphs.brightness(models / "tiny.onnx"), tmp_path / "registry.yaml", monkeypatch)


def use(network: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs.write_registry(registry, graphs.make_spec(network, "tiny"))
    monkeypatch.setenv("SEGMATTE_REGISTRY", str(registry))


def cut(*arguments: str | Path) -> int:
    return main(["cut", "--model", "tiny", "--no-alpha-matting", *map(str, arguments)])


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "2024/a.png", "2024/may/a.png"):
        paint(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# ------------------------------------------------------------------------------------------------- what is named


def test_a_folder_keeps_its_tree(tree: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(tree, "-o", out) == 0
    assert files(out) == ["2024/a-cutout.png", "2024/may/a-cutout.png", "a-cutout.png", "b-cutout.png"]
    assert capsys.readouterr().err.splitlines()[-1] == "4 pictures: 4 cut out."


def test_flat_names_tell_pictures_of_one_name_apart(tree: Path, out: Path) -> None:
    assert cut(tree, "-o", out, "--flat") == 0
    assert files(out) == ["2024-a-cutout.png", "2024-may-a-cutout.png", "a-cutout.png", "b-cutout.png"]


def test_cutouts_among_the_pictures_are_left_out(tree: Path) -> None:
    for out in (tree / "made", tree):  # below the pictures, and beside them
        for _ in range(2):
            assert cut(tree, "-o", out) == 0
    made = ["2024/a-cutout.png", "2024/may/a-cutout.png", "a-cutout.png", "b-cutout.png"]
    assert files(tree / "made") == made
    assert sorted(set(files(tree)) - {f"made/{name}" for name in made}) == sorted(
        [*made, "a.png", "b.png", "2024/a.png", "2024/may/a.png"]
    )


def test_patterns_in_quotes_keep_the_folders_below_their_fixed_part(tree: Path) -> None:
    found = find_pictures([f"{tree}/**/a.png"])
    assert [place.as_posix() for place in found.places] == ["2024", "2024/may", "."]
    assert {picture.name for picture in found.pictures} == {"a.png"}
    found = find_pictures([f"{tree}/20*"])
    assert [place.as_posix() for place in found.places] == ["2024", "2024/may"]
    with pytest.raises(ImageError, match="Nothing matches"):
        find_pictures([f"{tree}/*.jpg"])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_lists_keep_the_folders_of_their_relative_paths(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.chdir(tree)
    listed = ["2024/a.png", str(tree / "b.png"), "../photos/a.png"]
    (tmp_path / "list.txt").write_bytes("".join(name + end for name in listed).encode())
    found = find_pictures([f"@{tmp_path}/list.txt"])
    assert [place.as_posix() for place in found.places] == ["2024", ".", "."]
    piped = SimpleNamespace(buffer=io.BytesIO((tmp_path / "list.txt").read_bytes()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert find_pictures(["@-"]) == found
    with pytest.raises(ImageError, match=r"The list nowhere\.txt cannot be read \(No such file or directory\)"):
        find_pictures(["@nowhere.txt"])


def test_what_is_named_twice_is_there_once(tree: Path) -> None:
    found = find_pictures([tree / "a.png", tree, f"{tree}/*.png"])
    assert len(found.pictures) == 4


def test_hidden_files_and_links_to_folders_are_told(tree: Path) -> None:
    paint(tree / ".thumbnail.png")
    paint(tree / ".trash" / "z.png")
    shutil.copy(tree / "a.png", tree / ".a-cutout.png.part")  # what a killed command leaves
    (tree / "2024" / "round").symlink_to(tree)
    found = find_pictures([tree])
    assert len(found.pictures) == 4
    assert found.notes == (
        "1 hidden file was left out: .thumbnail.png.",
        "1 link to a folder was not followed: round.",
    )


def test_a_picture_goes_through_a_pipe(tmp_path: Path, out: Path) -> None:
    picture = paint(tmp_path / "a.png")
    assert cut(picture, "-o", out) == 0
    words = [sys.executable, "-m", "segmentation", "cut", "-", "--model", "tiny", "--no-alpha-matting"]
    done = subprocess.run(words, input=picture.read_bytes(), capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0
    assert done.stdout == (out / "a-cutout.png").read_bytes()
    assert done.stderr == b""


def test_one_pipe_is_for_one_cutout(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(tree, "-o", "-") == 1
    assert "-o - is for one cutout, but there are 4 pictures" in capsys.readouterr().err


def test_a_million_pictures_of_one_name_are_named_in_no_time() -> None:
    assert safe_stems(["a.png"] * 20_000)[-1] == "a-20000"


# ------------------------------------------------------------------------------------------------- what is done


def test_all_that_makes_a_cutout_counts(
    tree: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def skipped(*flags: str) -> list[bool]:
        capsys.readouterr()
        assert cut(tree / "a.png", tree / "b.png", "-o", out, "--json", *flags) == 0
        return [line["skipped"] for line in sorted(lines(capsys), key=lambda line: line["name"])]

    assert skipped() == [False, False]
    assert skipped() == [True, True]
    assert skipped("--flat") == [True, True]
    assert skipped("--redo") == [False, False]
    assert skipped("--invert") == [False, False]
    assert skipped("--invert") == [True, True]
    os.utime(tree / "a.png")  # another time, the same content
    assert skipped("--invert") == [True, True]
    paint(tree / "a.png", 200)
    assert skipped("--invert") == [False, True]
    (out / "b-cutout.png").unlink()
    assert skipped("--invert") == [True, False]
    other = graphs.brightness_without(  # another model of that name
        tree.parent / "models" / "other.onnx", (slice(0, 4), slice(0, 4))
    )
    use(other, tree.parent / "other.yaml", monkeypatch)
    assert skipped("--invert") == [False, False]


def test_a_strokes_file_counts_for_its_picture(tree: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strokes = tree.parent / "strokes.json"
    for name, expected in (("a.png", {"a.png": False, "b.png": False}), ("b.png", {"a.png": False, "b.png": False})):
        strokes.write_text(json.dumps({name: [{"kind": "keep", "radius": 3, "points": [[5, 5]]}]}))
        for again in (expected, dict.fromkeys(expected, True)):
            assert cut(tree / "a.png", tree / "b.png", "-o", out, "--json", "--strokes", strokes) == 0
            assert {line["name"]: line["skipped"] for line in lines(capsys)} == again


def test_what_failed_is_listed_again_and_tried_when_asked(
    tree: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (tree / "b.png").read_bytes()
    (tree / "b.png").write_bytes(whole[:60])
    assert cut(tree, "-o", out) == 1
    first = capsys.readouterr().err
    assert "4 pictures: 3 cut out, 1 failed." in first
    assert cut(tree, "-o", out) == 1
    second = capsys.readouterr().err.splitlines()
    assert len(second) == 2
    assert second[0].startswith("b.png ")
    assert second[0].endswith("(It failed before. --retry-failed tries it again.)")
    assert second[1] == "4 pictures: 0 cut out, 3 done before, 1 failed."
    assert cut(tree, "-o", out, "--retry-failed") == 1
    assert "It failed before" not in capsys.readouterr().err
    (tree / "b.png").write_bytes(whole)  # another content is tried by itself
    assert cut(tree, "-o", out) == 0


def test_a_tree_with_damaged_files_gives_the_rest_and_reasons(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "photos"
    for number in range(12):
        file = paint(place / f"{number % 3}" / f"{number}.png")
        if number % 4 == 0:
            file.write_bytes(file.read_bytes()[:60])
    assert cut(place, "-o", out, "--json") == 1
    told = lines(capsys)
    assert len(told) == 12
    assert sorted(Path(line["source"]).stem for line in told if line["error"]) == ["0", "4", "8"]
    assert files(out) == sorted(f"{n % 3}/{n}-cutout.png" for n in range(12) if n % 4)
    assert cut(place, "-o", out) == 1
    reasons = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("0/0.png: ", "1/4.png: "))]
    assert len(reasons) == 2  # by their folders, which the reasons themselves do not name


def test_a_file_in_the_way_is_no_failure_of_the_picture(tree: Path, out: Path) -> None:
    paint(out / "a-cutout.png", 77)
    assert cut(tree / "a.png", "-o", out) == 1
    (out / "a-cutout.png").unlink()
    assert cut(tree / "a.png", "-o", out) == 0


def test_after_kill_nothing_is_lost_or_done_twice_and_no_file_is_half(tmp_path: Path, out: Path) -> None:
    place = tmp_path / "photos"
    place.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    for number in range(12):
        Image.fromarray(np.roll(noise, number, 0)).save(place / f"{number:02}.bmp")
    words = [
        sys.executable, "-m", "segmentation", "cut", str(place), "-o", str(out), "--json", "--model", "tiny",
        "--no-alpha-matting",
    ]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as killed:
        assert killed.stdout
        told = [json.loads(killed.stdout.readline()) for _ in range(2)]
        killed.kill()
    assert all(line["error"] is None and not line["skipped"] for line in told)
    recorded = {Path(line.picture).name for line in Manifest(out)._done.values()}
    assert {line["name"] for line in told} <= recorded
    assert len(recorded) < 12, "it was killed too late to tell anything"
    before = {file: (out / file).stat().st_mtime_ns for file in visible(out)}
    for file in before:
        with Image.open(out / file) as image:
            image.load()

    done = subprocess.run(words, capture_output=True, cwd=ROOT, check=True)
    again = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert sorted(again) == sorted(file.name for file in place.iterdir())
    assert {name for name, line in again.items() if line["skipped"]} == recorded
    assert [line["error"] for line in again.values()] == [None] * 12
    assert visible(out) == [f"{number:02}-cutout.png" for number in range(12)]
    assert all(
        (out / f"{name[:2]}-cutout.png").stat().st_mtime_ns == before[f"{name[:2]}-cutout.png"] for name in recorded
    )
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == [MANIFEST]


# ------------------------------------------------------------------------------------------------- the manifest


DONE = Done("/photos/é\udcff.png", 10, 20, "00", "key", (Made("a-cutout.png", 3, 4.5),))


def test_a_torn_line_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    Manifest(tmp_path).finish(DONE)
    with (tmp_path / MANIFEST).open("ab") as file:
        file.write(b'{"file": "\xc3')
    Manifest(tmp_path).finish(Done("/photos/b.png", 1, 2, "00", "key", ()))
    read = Manifest(tmp_path)
    assert read.done(Path(DONE.picture)) == DONE
    assert read.done(Path("/photos/b.png")) is not None


def test_a_file_recorded_before_it_got_its_name_is_known_on_both_sides_of_a_kill(tmp_path: Path) -> None:
    source, file = paint(tmp_path / "a.png"), tmp_path / "a-cutout.png"
    killed = paint(tmp_path / "killed.png")
    for level in (10, 20):  # the second time, the first one's file is still there until it is replaced
        Manifest(tmp_path).add(file, source, killed)  # and then it was killed
        outputs = Outputs(tmp_path, [source])
        outputs.check(0, [file])
        with outputs.writing(0, file) as partial:
            paint(partial, level, "PNG")
        assert Manifest(tmp_path).source(file) == str(source)
    killed.replace(file)  # killed after that
    assert Manifest(tmp_path).source(file) == str(source)


def test_a_cutout_that_other_settings_replaced_before_a_kill_is_not_that_of_the_first(tmp_path: Path) -> None:
    source, file = paint(tmp_path / "a.png"), tmp_path / "out" / "a-cutout.png"
    file.parent.mkdir()
    first = Outputs(file.parent, [source], key=lambda _: "first")
    first.begin(0)
    with first.writing(0, file) as partial:
        paint(partial, 10, "PNG")
    assert first.finish(0, [file], None) == ()
    assert first.earlier(0)
    other = Outputs(file.parent, [source], key=lambda _: "other")
    with other.writing(0, file) as partial:
        paint(partial, 20, "BMP")
    assert Outputs(file.parent, [source], key=lambda _: "first").earlier(0) is None  # other was killed here


def test_names_in_a_tree_are_apart_folder_by_folder() -> None:
    places = [Path(), Path("x"), Path("x")]
    namer = tree_names(places, ["a.png", "a.png", "a.jpg"], ".webp")
    assert [namer(index, "") for index in range(3)] == ["a-cutout.webp", "x/a.png-cutout.webp", "x/a.jpg-cutout.webp"]
