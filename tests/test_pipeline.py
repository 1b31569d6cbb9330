"""Picture and settings in, every stage of a cutout out: on tiny networks with a known truth, and on real ones."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segmentation import Picture, Result, Session, SessionError, Settings, SettingsError, load_image, refine, segment
from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from segmentation.prediction import predict
from segmentation.settings import with_values
from tests import graphs

PLAIN = Settings(alpha_matting=False)


def bright_disk(height: int = 120, width: int = 160) -> npt.NDArray[np.uint8]:
    """A white disk on black, its outline some pixels soft."""
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot(y - height / 2, x - width / 2)
    level = np.clip((height / 3 - radius) / 8 + 0.5, 0, 1) * 255
    return np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)


DISK = Picture(bright_disk())


def assert_equal_results(a: Result, b: Result) -> None:
    for field in dataclasses.fields(Result):
        if field.name in {"timings", "label", "solved"}:
            continue
        one, other = getattr(a, field.name), getattr(b, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    assert np.array_equal(a.cutout, b.cutout)


# ------------------------------------------------------------------------------------------------- plain cutouts


def test_a_plain_cutout_has_the_mask_for_alpha_and_the_pictures_colours(tiny: Session) -> None:
    result = segment(DISK, tiny, PLAIN)
    assert result.probability.shape == (64, 64)
    assert result.mask.shape == result.alpha.shape == DISK.size
    assert result.cutout.shape == (*DISK.size, 4)
    assert result.trimap is None
    assert np.array_equal(result.alpha, result.mask + (result.mask == 254))  # as sure as a cut-off level can be
    assert np.array_equal(result.foreground, DISK.rgb)
    assert np.array_equal(result.cutout[..., 3], result.alpha)
    assert result.warnings == ()
    assert result.label == ""


def test_the_subject_is_kept_where_it_is(tiny: Session) -> None:
    cutout = segment(DISK, tiny, PLAIN).cutout
    truth = DISK.rgb[..., 0]
    assert np.abs(cutout[..., 3].astype(int) - truth).mean() < 3
    both, either = (cutout[..., 3] > 127) & (truth > 127), (cutout[..., 3] > 127) | (truth > 127)
    assert both.sum() / either.sum() > 0.97


def test_what_is_transparent_holds_no_colour(tiny: Session) -> None:
    cutout = segment(Picture(np.maximum(bright_disk(), 3)), tiny, PLAIN).cutout
    cut = segment(Picture(bright_disk() // 2 + np.uint8(100)), tiny, PLAIN).cutout
    for picture in (cutout, cut):
        assert not picture[picture[..., 3] == 0].any()


def test_each_stage_is_timed(tiny: Session) -> None:
    timings = segment(DISK, tiny, PLAIN).timings
    assert {"network", "mask"} <= set(timings)
    assert all(seconds >= 0 for seconds in timings.values())


def test_stages_are_told_as_they_begin(tiny: Session) -> None:
    stages: list[str] = []
    prediction = predict(DISK, tiny, PLAIN, stages.append)
    refine(DISK, prediction.maps[""], PLAIN, stages.append)
    assert stages[:2] == ["network", "mask"]
    assert "matting" not in stages


def test_the_network_is_named(tiny: Session) -> None:
    prediction = predict(DISK, tiny)
    assert (prediction.model, prediction.provider) == ("tiny", "CPUExecutionProvider")
    assert prediction.network_size == (64, 64)


def test_a_prediction_tells_what_it_and_its_network_take(coloured: Session, flag: Picture) -> None:
    prediction = predict(flag, coloured)
    assert prediction.nbytes == 2 * 64 * 64 * prediction.maps["green"].itemsize
    assert prediction.network_memory == coloured.memory
    assert prediction.provider_note == coloured.provider_note


def test_post_processing_makes_the_mask_yes_or_no(tiny: Session) -> None:
    result = segment(DISK, tiny, with_values(PLAIN, post_process_mask=True))
    assert set(np.unique(result.mask)) == {0, 255}


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
@pytest.mark.parametrize("post_process", [False, True])
def test_pictures_of_any_shape_are_cut_out(tiny: Session, size: tuple[int, int], post_process: bool) -> None:
    picture = Picture(np.full((*size, 3), 255, np.uint8))
    result = segment(picture, tiny, with_values(PLAIN, post_process_mask=post_process))
    assert result.cutout.shape == (*size, 4)
    assert (result.cutout == 255).all()


# ------------------------------------------------------------------------------------------------- transparency


def test_the_pictures_own_transparency_multiplies(tiny: Session) -> None:
    own = np.tile(np.linspace(0, 255, DISK.size[1]).astype(np.uint8), (DISK.size[0], 1))
    opaque = segment(DISK, tiny, PLAIN)
    result = segment(dataclasses.replace(DISK, opacity=own), tiny, PLAIN)
    assert np.array_equal(result.alpha, np.rint(opaque.alpha * (own / 255.0)).astype(np.uint8))
    assert np.array_equal(result.mask, opaque.mask)
    assert not result.cutout[result.alpha == 0].any()


def test_the_pictures_own_transparency_multiplies_after_matting(tiny: Session) -> None:
    own = np.full(DISK.size, 255, np.uint8)
    own[:, :80] = 0
    result = segment(dataclasses.replace(DISK, opacity=own), tiny)
    assert not result.cutout[:, :80].any()
    assert result.alpha[60, 90] == 255


# ------------------------------------------------------------------------------------------------- refining


@pytest.mark.parametrize("settings", [PLAIN, Settings(), Settings(post_process_mask=True, alpha_matting_erode_size=4)])
def test_refining_gives_what_segmenting_gives(tiny: Session, settings: Settings) -> None:
    whole = segment(DISK, tiny, settings)
    assert_equal_results(refine(DISK, whole.probability, settings), whole)


def test_refining_leaves_the_probability_map_as_it_was(tiny: Session) -> None:
    probability = predict(DISK, tiny).maps[""]
    before = probability.copy()
    refine(DISK, probability, Settings(alpha_matting_erode_size=3))
    assert np.array_equal(probability, before)


def test_a_preview_is_solved_smaller_and_has_the_pictures_size(tiny: Session) -> None:
    probability = predict(DISK, tiny).maps[""]
    noise = np.random.default_rng(0).normal(0, 12, DISK.rgb.shape)
    grainy = Picture(np.clip(DISK.rgb * 0.8 + 25 + noise, 0, 255).astype(np.uint8))
    full = refine(grainy, probability)
    assert full.trimap is not None
    unknown = int(np.count_nonzero(full.trimap == UNKNOWN))
    preview = refine(grainy, probability, max_unknown=unknown // 10)
    assert preview.alpha.shape == preview.mask.shape == DISK.size
    assert preview.foreground.shape == DISK.rgb.shape
    assert preview.trimap is not None
    assert np.array_equal(preview.trimap, full.trimap)
    assert not np.array_equal(preview.alpha, full.alpha)
    assert np.abs(preview.alpha.astype(int) - full.alpha).mean() < 2
    assert_equal_results(refine(grainy, probability, max_unknown=unknown), full)  # so many are all of them


# ------------------------------------------------------------------------------------------------- clean colours


def test_the_old_background_is_cleaned_off_the_edges_alone() -> None:
    truth = bright_disk()[..., 0]
    share = truth[..., None] / 255
    subject, behind = np.array([250.0, 120, 30]), np.array([10.0, 60, 240])
    picture = Picture(np.rint(share * subject + (1 - share) * behind).astype(np.uint8))
    probability = (truth / np.float32(255)).astype(np.float32)
    plain = refine(picture, probability, PLAIN)
    clean = refine(picture, probability, with_values(PLAIN, decontaminate=True))
    assert np.array_equal(clean.alpha, plain.alpha)
    assert np.array_equal(clean.mask, plain.mask)
    assert clean.trimap is None
    assert np.array_equal(clean.cutout[clean.alpha == 255], plain.cutout[plain.alpha == 255])
    assert not clean.cutout[clean.alpha == 0].any()
    edge = (plain.alpha > 0) & (plain.alpha < 255)
    assert edge.sum() > 500
    before, after = (np.abs(result.cutout[edge][:, :3] - subject).mean(axis=1) for result in (plain, clean))
    assert after.mean() < before.mean() / 5
    assert (after <= before + 1).mean() > 0.99
    assert "colours" in clean.timings
    assert "colours" not in plain.timings


def test_clean_colours_are_no_other_with_matting_which_cleans_them_anyway(tiny: Session) -> None:
    probability = predict(DISK, tiny).maps[""]
    assert_equal_results(refine(DISK, probability, Settings(decontaminate=True)), refine(DISK, probability, Settings()))


# ------------------------------------------------------------------------------------------------- matting


def test_matting_keeps_what_is_certain_and_solves_the_rest(tiny: Session) -> None:
    result = segment(DISK, tiny, Settings(alpha_matting_erode_size=6))
    assert result.trimap is not None
    assert set(np.unique(result.trimap)) == {BACKGROUND, UNKNOWN, FOREGROUND}
    # the solver weighs what is certain by 100 against the picture, so a level may be lost
    assert result.alpha[result.trimap == FOREGROUND].min() >= 250
    assert result.alpha[result.trimap == BACKGROUND].max() <= 5
    assert result.foreground.shape == DISK.rgb.shape
    assert np.abs(result.alpha.astype(int) - DISK.rgb[..., 0]).mean() < 6  # the disk's own softness is its alpha
    assert result.warnings == ()
    assert "matting" in result.timings


@pytest.mark.parametrize(
    ("level", "settings"),
    [
        (255, Settings(alpha_matting_erode_size=0)),  # no certain background anywhere
        (255, Settings()),
        (128, Settings()),  # nothing certain at all
    ],
)
def test_a_picture_without_anything_certain_is_cut_out_plainly_with_a_warning(
    tiny: Session, level: int, settings: Settings
) -> None:
    result = segment(Picture(np.full((40, 60, 3), level, np.uint8)), tiny, settings)
    assert np.array_equal(result.alpha, result.mask + (result.mask == 254))  # as sure as a cut-off level can be
    kept = [warning for warning in result.warnings if "the mask was kept without matting" in warning]
    assert len(kept) == (level == 128)  # where all is certain there is nothing to matte, and nothing to say


def test_an_erosion_that_leaves_nothing_of_the_subject_is_said(tiny: Session) -> None:
    result = segment(DISK, tiny, Settings(alpha_matting_erode_size=200))
    assert any("alpha_matting_erode_size 200 left nothing certain" in warning for warning in result.warnings)
    assert np.abs(result.alpha.astype(int) - DISK.rgb[..., 0]).mean() < 3


@pytest.mark.parametrize(("half_width", "wide"), [(10, False), (30, False), (40, True), (60, True)])
def test_a_band_of_most_of_the_picture_is_said(half_width: int, wide: bool) -> None:
    ramp = np.clip((np.arange(160) - 80) / (2 * half_width) + 0.5, 0, 1)
    level = np.tile(np.rint(ramp * 255).astype(np.uint8), (120, 1))
    probability = (level / np.float32(255)).astype(np.float32)
    result = refine(Picture(np.dstack([level] * 3)), probability, Settings(alpha_matting_erode_size=0))
    assert result.trimap is not None
    share = np.count_nonzero(result.trimap == UNKNOWN) / result.trimap.size
    assert wide == (share > 0.4)
    said = [warning for warning in result.warnings if "uncertain band" in warning]
    assert len(said) == wide
    if wide:
        assert said[0].startswith(f"The uncertain band covers {share:.0%} of the picture: lower alpha_matting_erode")


# ------------------------------------------------------------------------------------------------- what goes wrong


def test_a_picture_in_which_nothing_is_found_is_said(tiny: Session) -> None:
    result = segment(Picture(np.zeros((40, 60, 3), np.uint8)), tiny)
    assert any("No subject found" in warning for warning in result.warnings)
    assert not result.cutout.any()


def test_notes_of_the_picture_come_first_among_the_warnings(tiny: Session) -> None:
    picture = Picture(np.zeros((40, 60, 3), np.uint8), notes=("It is an animation.",))
    warnings = segment(picture, tiny, PLAIN).warnings
    assert warnings[0] == "It is an animation."
    assert "No subject found" in warnings[1]


@pytest.mark.parametrize("settings", [Settings(size=96), Settings(size=(64, 96))])
def test_a_size_the_model_cannot_take_is_refused(tiny: Session, settings: Settings) -> None:
    with pytest.raises(SettingsError, match="works at 64 x 64 only"):
        segment(DISK, tiny, settings)


def test_a_mean_of_ones_own_reaches_the_network(tiny: Session) -> None:
    # (brightness - 0.9) / 1 is at most 0.1
    result = segment(DISK, tiny, with_values(PLAIN, mean=0.9))
    assert result.probability.max() == pytest.approx(0.1, abs=1e-3)
    assert any("No subject found" in warning for warning in result.warnings)


# ------------------------------------------------------------------------------------------------- classes


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Tells green and blue things apart on a red background."""
    path = graphs.brightest_channel(tmp_path_factory.mktemp("labels") / "labels.onnx")
    output = {"kind": "labels", "classes": {0: "background", 1: "green", 2: "blue"}}
    return Session(graphs.make_spec(path, output=output), path, "cpu")


@pytest.fixture(scope="module")
def flag() -> Picture:
    rgb = np.zeros((60, 90, 3), np.uint8)
    for column, channel in enumerate((1, 0, 2)):  # green, red, blue
        rgb[:, column * 30 : column * 30 + 30, channel] = 250
    return Picture(rgb)


@pytest.mark.parametrize(("label", "left", "right"), [("green", 255, 0), ("blue", 0, 255), (None, 255, 0)])
def test_each_class_has_a_cutout_of_its_own(
    coloured: Session, flag: Picture, label: str | None, left: int, right: int
) -> None:
    result = segment(flag, coloured, PLAIN, label)
    assert result.label == (label or "green")
    assert (result.alpha[30, 10], result.alpha[30, 45], result.alpha[30, 80]) == (left, 0, right)


@pytest.mark.parametrize("label", ["red", "background", "", "../green"])
def test_a_class_that_is_not_there_is_named_with_the_known_ones(coloured: Session, flag: Picture, label: str) -> None:
    with pytest.raises(SessionError, match=r"Labels has no class .*it has green, blue"):
        segment(flag, coloured, PLAIN, label)


# ------------------------------------------------------------------------------------------------- real ones

INSIDE = {"cheetah": (0.47, 0.5), "chelsea": (0.4, 0.45), "astronaut": (0.75, 0.45)}  # (down, across)


def at(plane: npt.NDArray[Any], down: float, across: float) -> int:
    height, width = plane.shape
    return int(plane[int(down * (height - 1)), int(across * (width - 1))])


@pytest.mark.parametrize("name", INSIDE)
def test_u2netp_keeps_the_subject_of_a_photo(u2netp: Session, photos: dict[str, Path], name: str) -> None:
    picture = load_image(photos[name])
    result = segment(picture, u2netp, PLAIN)
    assert result.cutout.shape == (*picture.size, 4)
    assert at(result.alpha, *INSIDE[name]) >= 245
    assert at(result.alpha, 0, 1) <= 5  # the upper right corner is background in all three
    assert result.warnings == ()
    kept = result.alpha > 0
    assert np.array_equal(result.cutout[kept][:, :3], picture.rgb[kept])


def test_u2netp_and_matting_keep_the_subject_of_a_photo(u2netp: Session, photos: dict[str, Path]) -> None:
    picture = load_image(photos["cheetah"])
    result = segment(picture, u2netp)
    assert result.trimap is not None
    assert result.cutout.shape == (*picture.size, 4)
    assert at(result.alpha, *INSIDE["cheetah"]) >= 250
    assert all(at(result.alpha, *corner) <= 5 for corner in ((0, 0), (0, 1), (1, 0), (1, 1)))
    assert not result.cutout[result.alpha == 0].any()
    assert result.warnings == ()
    unknown = result.trimap == UNKNOWN
    assert len(np.unique(result.alpha[unknown])) > 50  # neither all nor nothing


def test_modnet_keeps_the_person_of_a_photo(modnet: Session, photos: dict[str, Path]) -> None:
    picture = load_image(photos["astronaut"])
    result = segment(picture, modnet, PLAIN)
    assert result.cutout.shape == (*picture.size, 4)
    assert at(result.alpha, *INSIDE["astronaut"]) >= 250
    assert at(result.alpha, 0.2, 0.45) >= 250  # her face
    assert at(result.alpha, 0, 1) <= 5
