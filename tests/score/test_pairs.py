"""Which picture belongs to which truth, in folders and in ZIPs of strangers."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.errors import ImageError
from segmentation.picture.picture import Limits
from segmentation.score import source
from segmentation.score.pairs import Pairs, find_pairs
from segmentation.score.truth import to_truth


def paint(path: Path, level: int = 200, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def named(pairs: Pairs) -> list[tuple[str, str]]:
    return [(str(pair.picture.place), str(pair.truth.place)) for pair in pairs.pairs]


def zipped(path: Path, folder: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["cat.jpg", "cat.png"], [("cat.jpg", "cat.png")]),
        (["cat.png", "cat-mask.png"], [("cat.png", "cat-mask.png")]),
        (["cat.jpg", "cat_GT.jpg"], [("cat.jpg", "cat_GT.jpg")]),
        (["CAT.JPG", "cat.png"], [("CAT.JPG", "cat.png")]),
        (["image/cat.png", "alpha/cat.png"], [("image/cat.png", "alpha/cat.png")]),
        (["im/a.jpg", "im/b.jpg", "gt/a.png", "gt/b.png"], [("im/a.jpg", "gt/a.png"), ("im/b.jpg", "gt/b.png")]),
        (["DUTS-TE-Image/a.jpg", "DUTS-TE-Mask/a.png"], [("DUTS-TE-Image/a.jpg", "DUTS-TE-Mask/a.png")]),
        (["cat.jpg", "masks/cat.png"], [("cat.jpg", "masks/cat.png")]),
        (["photos/cat.jpg", "masks/cat_mask.png"], [("photos/cat.jpg", "masks/cat_mask.png")]),
        (
            ["image/cat.png", "alpha/cat.png", "trimap1/cat.png", "trimap2/cat.png"],
            [("image/cat.png", "alpha/cat.png")],
        ),
        (["mask.jpg", "mask.png"], [("mask.jpg", "mask.png")]),
    ],
)
def test_a_truth_is_known_by_its_name_or_folder(tmp_path: Path, files: list[str], pairs: list[tuple[str, str]]) -> None:
    for file in files:
        paint(tmp_path / "set" / file)
    assert named(find_pairs(tmp_path / "set")) == pairs
    assert sorted(named(find_pairs(zipped(tmp_path / "set.zip", tmp_path / "set")))) == pairs
    inner = [(f"top/{one}", f"top/{other}") for one, other in pairs]
    assert sorted(named(find_pairs(zipped(tmp_path / "top.zip", tmp_path / "set", "top/")))) == inner


def test_truths_may_lie_anywhere_else(tmp_path: Path) -> None:
    paint(tmp_path / "here" / "cat.png")
    paint(tmp_path / "there" / "cat.png")
    paint(tmp_path / "there" / "dog_alpha.png")
    paint(tmp_path / "here" / "dog.png")
    found = find_pairs(tmp_path / "there", tmp_path / "here")
    assert named(found) == [("cat.png", "cat.png"), ("dog.png", "dog_alpha.png")]
    with Image.open(tmp_path / "here" / "cat.png") as picture:
        assert found.pairs[0].picture.load(Limits()).size == picture.size[::-1]


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    for file in (
        "images/a.jpg",
        "images/b.jpg",
        "masks/a.png",
        "masks/c.png",
        "images/d.jpg",
        "images/d.png",
        "masks/d.png",
    ):
        paint(tmp_path / file)
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    paint(tmp_path / "images" / ".hidden.jpg")
    found = find_pairs(tmp_path)
    assert named(found) == [("images/a.jpg", "masks/a.png")]
    assert found.notes == (
        "1 file is not a picture, or cannot be read: notes.txt.",
        "1 picture has no truth: b.jpg.",
        "1 truth has no picture: c.png.",
        "1 name stands for several files and was left out: d.",
    )


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere", "nowhere does not exist"),
        ("empty", "There is no picture with a truth in .*empty.$"),
        ("alone", "There is no picture with a truth in .*alone. 2 pictures have no truth: a.jpg, b.jpg."),
        ("text.zip", "text.zip cannot be read"),
    ],
)
def test_what_has_no_pairs_is_an_error(tmp_path: Path, path: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    paint(tmp_path / "alone" / "a.jpg")
    paint(tmp_path / "alone" / "b.jpg")
    (tmp_path / "text.zip").write_text("no ZIP")
    with pytest.raises(ImageError, match=sentence):
        find_pairs(tmp_path / path)


# -------------------------------------------------------------------------------------------------------- hostile ZIPs


def png(level: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 6), level).save(file, "PNG")
    return file.getvalue()


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as written:
        for name, data in entries.items():
            written.writestr(name, data)
    return path


def test_names_that_lead_out_of_a_zip_lead_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    names = ["../../etc/cat.png", "../../etc/cat-mask.png", "/elsewhere/dog.png", "/elsewhere/dog-mask.png"]
    names += ["C:\\windows\\bird.png", "C:\\windows\\bird-mask.png"]
    before = sorted(tmp_path.rglob("*"))
    found = find_pairs(archive(inside / "a.zip", {name: png() for name in names}))
    assert [pair.name for pair in found.pairs] == ["cat.png", "dog.png", "bird.png"]
    assert all(pair.picture.load(Limits()).size == (6, 8) for pair in found.pairs)
    assert sorted(tmp_path.rglob("*")) == [*before, inside / "a.zip"]


def test_names_in_a_zip_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    found = find_pairs(archive(tmp_path / "a.zip", {"\x1b[31mcat.jpg": png(), "\x1b[31mcat.png": b"\x89PNG\r\n\x1a\n"}))
    assert found.pairs[0].name == "?[31mcat.jpg"
    with pytest.raises(ImageError, match=r"^\?\[31mcat.png is damaged"):
        found.pairs[0].truth.load(Limits())


def test_an_entry_that_is_larger_than_it_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", {"cat.jpg": png(), "cat.png": png() + bytes(1 << 20)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", len(png()) + (1 << 20)), struct.pack("<I", len(png()))))
    with pytest.raises(ImageError, match=r"1 file is not a picture, or cannot be read: cat.png"):
        find_pairs(path)
    monkeypatch.setattr(source, "MAX_ENTRY_BYTES", 100_000)
    pair = find_pairs(archive(tmp_path / "b.zip", {"cat.jpg": png(), "cat.png": png() + bytes(1 << 20)})).pairs[0]
    with pytest.raises(ImageError, match=r"cat.png is 1 MB, too large for one picture"):
        pair.truth.load(Limits())


def test_a_zip_of_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_ENTRIES", 3)
    path = archive(tmp_path / "a.zip", {f"{number}.png": b"" for number in range(4)})
    with pytest.raises(ImageError, match=r"a.zip has 4 entries; the limit is 3"):
        find_pairs(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_left_out(tmp_path: Path, method: int) -> None:
    with pytest.raises(ImageError, match="no picture with a truth"):
        find_pairs(archive(tmp_path / "a.zip", {"cat.jpg": png(), "cat.png": png()}, method))


def test_a_damaged_entry_fails_alone(tmp_path: Path) -> None:
    entries = {name: png(level) for level, name in enumerate(("a.jpg", "a.png", "b.jpg", "b.png"), 50)}
    path = archive(tmp_path / "a.zip", entries, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(entries["b.png"])
    data[at + len(entries["b.png"]) - 20] ^= 255
    path.write_bytes(bytes(data))
    # stored pictures are read whole to see what they are, so that one is no picture at all
    found = find_pairs(path)
    assert [pair.name for pair in found.pairs] == ["a.jpg"]
    assert found.notes == (
        "1 file is not a picture, or cannot be read: b.png.",
        "1 picture has no truth: b.jpg.",
    )


# ---------------------------------------------------------------------------------------------------------- the truth


def load(
    image: Image.Image, path: Path, size: tuple[int, int] = (6, 8)
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image.save(path)
    return to_truth(source.FileSource(path, Path(path.name)).load(Limits()), size)  # type: ignore[arg-type]


def test_a_truth_is_grey_or_the_transparency_of_a_cutout(tmp_path: Path) -> None:
    levels = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    grey = Image.fromarray(levels)
    assert np.array_equal(load(grey, tmp_path / "grey.png"), levels)
    assert np.array_equal(load(grey.convert("RGB"), tmp_path / "rgb.png"), levels)
    cutout = Image.new("RGBA", (8, 6), (200, 20, 30, 0))
    cutout.putalpha(grey)
    assert np.array_equal(load(cutout, tmp_path / "cutout.png"), levels)
    assert np.array_equal(load(Image.fromarray(levels.astype(np.uint16) * 257), tmp_path / "16.png"), levels)
    palette = Image.fromarray((levels > 100).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert np.array_equal(load(palette, tmp_path / "palette.png"), np.where(levels > 100, 255, 0))
    bits = grey.point(lambda level: 255 if level > 100 else 0).convert("1")
    assert np.array_equal(load(bits, tmp_path / "bits.png"), np.where(levels > 100, 255, 0))
    assert not load(Image.new("L", (8, 6)), tmp_path / "nothing.png").any()


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (Image.new("RGB", (8, 6), (200, 20, 30)), "t.png is a coloured picture without transparency"),
        (Image.new("L", (8, 7), 255), "t.png is 8 x 7, but its picture is 8 x 6: they must agree"),
        (Image.new("L", (8, 6), 1), "t.png holds only the levels 0 and 1, which are both black"),
    ],
    ids=["coloured", "size", "levels"],
)
def test_what_cannot_be_a_truth_is_told(tmp_path: Path, image: Image.Image, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        load(image, tmp_path / "t.png")
