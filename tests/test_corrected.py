"""Pictures with masks and trimaps of one's own: joined with the network's, or in its place, and inverted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmentation import Correction, Session, Settings, Stroke, load_image, load_mask, refine, segment
from segmentation.batch import Outcome, run_batch
from segmentation.corrected import NO_MODEL, NOTHING_OF_ONES_OWN, needs_network
from segmentation.matting.alpha import estimate_alpha
from segmentation.predictor import Predictor, from_nothing, from_session

PLAIN = Settings(alpha_matting=False)
HERE = np.s_[10:50, 20:60]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures that are bright on their right half, and a mask of the middle."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    mask = np.zeros((60, 80), np.uint8)
    mask[HERE] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def cut(
    folder: Path, predictor: Predictor, corrections: Mapping[int, Correction], settings: Settings = PLAIN, **values: Any
) -> list[Outcome]:
    (folder / "out").mkdir(exist_ok=True)
    sources = [folder / "a.png", folder / "b.png"]
    events = run_batch(sources, predictor, settings, folder / "out", corrections=corrections, **values)
    return sorted((event for event in events if isinstance(event, Outcome)), key=lambda outcome: outcome.index)


def alpha_of(outcome: Outcome) -> Any:
    assert outcome.report.error is None
    with Image.open(outcome.files[0]) as image:
        return np.asarray(image)[..., 3]


def test_only_pictures_without_their_own_planes_need_the_network() -> None:
    mask, trimap = Correction(mask=Path("m")), Correction(trimap=Path("t"))
    strokes = Correction((Stroke("keep", 1.0, ((1.0, 1.0),)),))
    assert [needs_network(each, Settings()) for each in (Correction(), strokes, mask, trimap)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert needs_network(mask, Settings(mask_mode="add"))


def test_an_own_mask_takes_the_networks_place(folder: Path, tiny: Session) -> None:
    own = Correction(mask=folder / "mask.png")
    first, second = cut(folder, from_session(tiny, PLAIN), {0: own})
    expected = np.zeros((60, 80), np.uint8)
    expected[HERE] = 255
    assert np.array_equal(alpha_of(first), expected)
    assert (first.report.model, first.report.provider, first.correction) == (NO_MODEL, NO_MODEL, own)
    assert "network" not in first.report.seconds
    assert (second.report.model, second.correction) == ("tiny", Correction())
    assert (alpha_of(second)[:, 45:] == 255).all()


def test_no_network_is_there_if_none_is_needed(folder: Path) -> None:
    own = Correction(mask=folder / "mask.png")
    outcomes = cut(folder, from_nothing("tiny"), {0: own, 1: own})
    assert np.array_equal(*map(alpha_of, outcomes))


@pytest.mark.parametrize(
    ("mode", "joined"),
    [
        ("add", lambda bright, own: bright | own),
        ("subtract", lambda bright, own: bright & ~own),
        ("intersect", lambda bright, own: bright & own),
    ],
)
def test_an_own_mask_joins_the_networks(folder: Path, tiny: Session, mode: Any, joined: Any) -> None:
    settings = Settings(alpha_matting=False, mask_mode=mode)
    (first, _) = cut(folder, from_session(tiny, settings), {0: Correction(mask=folder / "mask.png")}, settings)
    bright, own = np.zeros((2, 60, 80), bool)
    bright[:, 40:], own[HERE] = True, True
    clear = np.ones((60, 80), bool)
    clear[:, 36:44] = False  # where the network's mask is soft
    assert np.array_equal((alpha_of(first) > 127)[clear], joined(bright, own)[clear])
    assert first.report.model == "tiny"


def test_inverting_cuts_out_the_background(folder: Path, tiny: Session) -> None:
    picture = load_image(folder / "a.png")
    plain, inverted = segment(picture, tiny, PLAIN), segment(picture, tiny, Settings(alpha_matting=False, invert=True))
    assert np.array_equal(inverted.mask, plain.mask) is False
    assert np.abs(inverted.alpha.astype(int) - (255 - plain.alpha.astype(int))).max() <= 1
    kept = refine(picture, plain.probability, Settings(invert=True), strokes=[Stroke("keep", 6.0, ((70.0, 30.0),))])
    assert kept.alpha[30, 70] == 255  # keep is what stays in the cutout
    assert np.array_equal(plain.probability, kept.probability)


def test_a_trimap_alone_is_classic_matting(folder: Path) -> None:
    picture = load_image(folder / "a.png")
    trimap = np.full((60, 80), 128, np.uint8)
    trimap[:, :30], trimap[:, 50:] = 0, 255
    settings = Settings(matting_method="closed-form")
    result = refine(picture, None, settings, trimap=trimap)
    classic = estimate_alpha(picture.rgb, trimap, trust=0, method="closed-form")
    assert np.array_equal(result.alpha, np.rint(classic.alpha * 255).astype(np.uint8))
    inverted = refine(picture, None, Settings(invert=True), trimap=trimap)
    assert (inverted.alpha[:, :30] == 255).all()
    assert (inverted.alpha[:, 50:] == 0).all()


def test_a_mask_that_does_not_fit_fails_its_picture_alone(folder: Path, tiny: Session) -> None:
    Image.new("L", (10, 60)).save(folder / "narrow.png")
    wrong = {0: Correction(mask=folder / "narrow.png"), 1: Correction(trimap=folder / "none.png")}
    first, second = cut(folder, from_session(tiny, PLAIN), wrong)
    assert "narrow.png is 10 x 60, but its picture is 80 x 60" in (first.report.error or "")
    assert "none.png cannot be read" in (second.report.error or "")


def test_a_mask_belongs_to_the_upright_picture(folder: Path) -> None:
    turned = Image.open(folder / "a.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(folder / "b.png", exif=exif)
    first, second = cut(folder, from_nothing("m"), dict.fromkeys((0, 1), Correction(mask=folder / "mask.png")))
    assert np.array_equal(alpha_of(first), alpha_of(second))


def test_each_subject_has_its_file(folder: Path, tiny: Session) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[10:50, 5:35] = pixels[20:40, 50:75] = 255
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "b.png")
    settings = Settings(alpha_matting=False, subjects="each")
    first, second = cut(folder, from_session(tiny, settings), {}, settings)
    assert first.report.files == ("a-cutout-1.png", "a-cutout-2.png")
    assert second.report.files == ("b-cutout-1.png", "b-cutout-2.png")
    assert [cutout.label for cutout in first.cutouts] == ["1", "2"]
    large, small = (np.asarray(Image.open(file))[..., 3] for file in first.files)
    assert large[30, 20] == 255
    assert small[30, 60] == 255
    assert not (large.astype(bool) & small.astype(bool)).any()
    assert first.report.seconds.keys() == second.report.seconds.keys()


def test_the_largest_subject_of_pictures_without_any_is_none(folder: Path) -> None:
    Image.new("L", (80, 60), 0).save(folder / "mask.png")
    settings = Settings(alpha_matting=False, subjects="largest")
    corrections = dict.fromkeys((0, 1), Correction(mask=folder / "mask.png"))
    for outcome in cut(folder, from_nothing("m"), corrections, settings):
        assert (outcome.report.error, outcome.report.warnings) == (None, (NOTHING_OF_ONES_OWN,))


def test_the_library_cuts_out_an_own_mask_as_documented(folder: Path) -> None:
    grey = np.zeros((60, 80), np.uint8)
    grey[10:50, 10:40], grey[10:50, 40:70] = 255, 150  # which would be doubt, if a network had said it
    Image.fromarray(grey).save(folder / "mask.png")
    picture = load_image(folder / "a.png")
    mask, _ = load_mask(folder / "mask.png", picture.size)
    probability = (mask / np.float32(255)).astype(np.float32)
    own = refine(picture, probability, mask=mask, true_alpha=True)
    first, _ = cut(folder, from_nothing("m"), dict.fromkeys((0, 1), Correction(mask=folder / "mask.png")), Settings())
    assert np.array_equal(own.alpha, alpha_of(first))
    assert not np.array_equal(own.alpha, refine(picture, probability, mask=mask).alpha)
