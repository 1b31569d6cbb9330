"""Strokes: what they bring back, what they leave alone, and the same bytes whatever the history."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from segmentation import Result, Settings, refine
from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from segmentation.corrections import Stroke
from segmentation.matting import brush
from segmentation.matting.alpha import estimate_alpha
from segmentation.matting.brush import distance_from
from segmentation.matting.strokes import SMALLER
from segmentation.picture.draw import drawn_lines
from segmentation.picture.picture import Picture
from segmentation.prediction import NO_SUBJECT
from segmentation.refinement import ALL_REMOVED
from segmentation.settings import Method

Array = npt.NDArray[Any]
SIZE, CELL = (120, 160), 4
BODY, ARM, STONE = np.s_[30:100, 20:70], np.s_[50:68, 70:130], np.s_[8:32, 110:150]
PLAIN = Settings(alpha_matting=False)
KEEP_ARM = Stroke("keep", 6, ((80.0, 59.0), (110.0, 59.0)))  # half of it
REMOVE_STONE = Stroke("remove", 5, ((130.0, 20.0),))


def picture() -> tuple[Picture, Array]:
    """An orange body with an arm and a grey stone on blue, and the alpha of body and arm."""
    random = np.random.default_rng(0)
    alpha = np.zeros(SIZE, np.float32)
    alpha[BODY] = alpha[ARM] = 1
    alpha = gaussian_filter(alpha, 0.8)
    pixels = np.empty((*SIZE, 3))
    pixels[:] = 40, 80, 160
    pixels[STONE] = 120, 120, 125
    pixels += alpha[..., None] * (np.array([210, 120, 60]) - pixels)
    pixels += gaussian_filter(random.normal(size=pixels.shape), (2, 2, 0)) * 30
    return Picture(np.clip(pixels, 0, 255).astype(np.uint8)), alpha


PICTURE, TRUTH = picture()


def seen(arm: bool = False, stone: bool = False) -> Array:
    """What a network sees, with or without arm and stone."""
    alpha = TRUTH.copy()
    if not arm:
        alpha[46:72, 72:135] = 0
    alpha[STONE] = stone
    seen: Array = alpha.reshape(SIZE[0] // CELL, CELL, SIZE[1] // CELL, CELL).mean((1, 3))
    return seen.astype(np.float32)


def cut(*strokes: Stroke, settings: Settings | None = None, **options: Any) -> Result:
    options.setdefault("probability", seen(stone=True))
    return refine(PICTURE, settings=settings or Settings(), strokes=strokes, **options)


def error(result: Result) -> float:
    """Sum of absolute differences to the truth, in pixels."""
    return float(np.abs(result.alpha / 255 - TRUTH).sum())


def assert_same(a: Result, b: Result) -> None:
    for name in ("alpha", "trimap", "foreground", "mask"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.warnings == b.warnings


@pytest.mark.parametrize("method", ["fast", "closed-form"])
@pytest.mark.parametrize("trust", [0.003, 0.0])
def test_a_stroke_along_half_of_an_arm_brings_all_of_it_back(method: Method, trust: float) -> None:
    settings = Settings(matting_method=method, trust_mask=trust)
    lost = cut(settings=settings, probability=seen())
    found = cut(KEEP_ARM, settings=settings, probability=seen())
    perfect = cut(settings=settings, probability=seen(arm=True))
    assert error(lost) > 900
    assert error(found) < error(perfect) + 60
    assert found.alpha[52:66, 75:126].min() > 200  # no holes
    assert found.alpha[54:64, 120:127].mean() > 240  # where no brush was


def test_a_dab_removes_an_island() -> None:
    kept, gone = cut(), cut(REMOVE_STONE)
    assert kept.alpha[STONE].mean() > 200
    assert gone.alpha[:40, 100:].max() <= 8
    assert np.array_equal(gone.alpha[40:], kept.alpha[40:])


def test_the_cut_follows_the_edges_of_the_picture_and_not_the_brush() -> None:
    wobbly = Stroke("keep", 8, ((76.0, 56.0), (95.0, 62.0), (110.0, 57.0), (124.0, 61.0)))
    result = cut(wobbly, probability=seen())
    outside = np.abs(np.arange(SIZE[0]) - 58.5) > 12
    assert result.alpha[outside][:, 74:132].max() < 30
    assert error(result) < error(cut(probability=seen(arm=True))) + 60


def test_a_stroke_where_hair_was_cut_off_solves_it() -> None:
    random = np.random.default_rng(1)
    alpha = np.zeros((100, 120), np.float32)
    alpha[60:] = 1
    for x in range(4, 116, 5):
        alpha[20 + random.integers(15) : 62, x : x + 2] = 0.8
    alpha = gaussian_filter(alpha, 0.6)
    pixels = np.clip(alpha[..., None] * (70, 40, 30) + (1 - alpha[..., None]) * (150, 190, 220), 0, 255)
    hair = Picture(pixels.astype(np.uint8))
    output = np.zeros((25, 30), np.float32)
    output[15:] = 1
    solve = Stroke("solve", 24, ((4.0, 44.0), (116.0, 44.0)))
    before, after = refine(hair, output), refine(hair, output, strokes=[solve])
    assert np.abs(after.alpha / 255 - alpha).sum() < 0.2 * np.abs(before.alpha / 255 - alpha).sum()
    assert after.trimap is not None
    assert (after.trimap[25:60, 10:110] == UNKNOWN).all()


@pytest.mark.parametrize("settings", [Settings(), PLAIN, Settings(alpha_matting=False, decontaminate=True)])
def test_the_bytes_do_not_depend_on_the_history(settings: Settings) -> None:
    strokes = (KEEP_ARM, REMOVE_STONE, Stroke("remove", 4, ((100.0, 60.0),)), Stroke("solve", 5, ((45.0, 30.0),)))
    whole = cut(*strokes, settings=settings)
    one = cut(settings=settings)
    for count in range(1, len(strokes) + 1):
        one = cut(*strokes[:count], settings=settings, base=one.solved)
    assert_same(one, whole)
    undone = cut(*strokes[:2], settings=settings, base=cut(strokes[0], settings=settings).solved)
    assert_same(undone, cut(*strokes[:2], settings=settings))
    assert not np.array_equal(undone.alpha, whole.alpha)
    assert_same(cut(*strokes, settings=settings, base=whole.solved), whole)


def test_a_base_must_begin_with_the_same_strokes() -> None:
    with pytest.raises(ValueError, match="begin with those of the base"):
        cut(REMOVE_STONE, base=cut(KEEP_ARM).solved)


def test_a_base_is_not_changed() -> None:
    base = cut().solved
    assert base
    alpha, colours = base.alpha.copy(), base.foreground.copy()
    cut(KEEP_ARM, base=base)
    assert np.array_equal(base.alpha, alpha)
    assert np.array_equal(base.foreground, colours)
    assert base.nbytes >= 6 * alpha.size


def test_each_stroke_is_announced_so_that_many_can_be_given_up() -> None:
    stages: list[str] = []

    def announced(stage: str) -> None:
        stages.append(stage)
        if stages.count("strokes") == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        cut(*[KEEP_ARM] * 20, on_stage=announced)
    assert stages == ["mask", "matting", "strokes", "strokes"]


def test_the_later_stroke_wins() -> None:
    keep, remove = Stroke("keep", 6, ((100.0, 59.0),)), Stroke("remove", 6, ((100.0, 59.0),))
    assert cut(keep, remove).alpha[59, 100] == 0
    assert cut(remove, keep).alpha[59, 100] == 255


def test_a_stroke_fences_off_what_it_says() -> None:
    fence = Stroke("remove", 2, ((110.0, 40.0), (110.0, 78.0)))
    result = cut(fence, Stroke("keep", 6, ((80.0, 59.0), (95.0, 59.0))), probability=seen())
    assert result.alpha[55:63, 80:98].min() > 240
    assert result.alpha[50:68, 109:111].max() == 0


def test_a_stroke_that_says_nothing_new_changes_nothing() -> None:
    inside = Stroke("keep", 5, ((45.0, 60.0),))
    said, unsaid = cut(inside), cut()
    assert np.array_equal(said.alpha, unsaid.alpha)
    assert said.trimap is not None
    assert said.trimap[60, 45] == FOREGROUND


def test_without_matting_strokes_cut_hard_with_an_antialiased_edge() -> None:
    result = cut(KEEP_ARM, REMOVE_STONE, settings=PLAIN)
    assert result.trimap is None
    assert result.alpha[:40, 100:].max() <= 8
    arm = result.alpha[44:76, 85:120]
    assert error(result) < 260
    soft = (arm > 8) & (arm < 247)
    assert 0 < soft.mean() < 0.15
    assert np.array_equal(result.foreground, PICTURE.rgb)


def test_strokes_alone_make_a_subject() -> None:
    nothing = np.full((30, 40), 0.1, np.float32)
    assert cut(probability=nothing).warnings == (NO_SUBJECT,)
    stroke = Stroke("keep", 10, ((45.0, 45.0), (45.0, 85.0)))
    result = cut(stroke, KEEP_ARM, probability=nothing)
    assert result.warnings == ()
    assert error(result) < 0.1 * TRUTH.sum()
    assert result.alpha[STONE].max() == 0
    assert cut(REMOVE_STONE, probability=nothing).warnings == (NO_SUBJECT,)
    assert cut(stroke, probability=nothing, settings=PLAIN).alpha[60, 45] == 255


def test_a_trimap_is_used_as_it_is_and_then_stroked_on() -> None:
    trimap = np.full(SIZE, UNKNOWN, np.uint8)
    trimap[TRUTH > 0.99], trimap[TRUTH < 0.01] = FOREGROUND, BACKGROUND
    for settings in (Settings(), Settings(alpha_matting_erode_size=30, alpha_matting_foreground_threshold=200)):
        result = cut(probability=seen(), trimap=trimap, settings=settings)
        assert result.trimap is not None
        assert np.array_equal(result.trimap, trimap)
        assert error(result) < 100
    removed = cut(Stroke("remove", 5, ((100.0, 59.0),)), trimap=trimap)
    assert removed.alpha[59, 100] == 0
    assert removed.alpha[60, 45] == 255


def test_scribbles_on_an_unknown_trimap_are_solved_together() -> None:
    trimap = np.full(SIZE, UNKNOWN, np.uint8)
    strokes = (
        Stroke("keep", 4, ((45.0, 40.0), (45.0, 59.0), (120.0, 59.0))),
        Stroke("remove", 4, ((6.0, 6.0), (150.0, 6.0), (150.0, 110.0), (6.0, 110.0))),
        REMOVE_STONE,
    )
    result = cut(*strokes, probability=None, trimap=trimap)
    assert error(result) < 0.15 * TRUTH.sum()
    stepwise = cut(
        *strokes, probability=None, trimap=trimap, base=cut(*strokes[:2], probability=None, trimap=trimap).solved
    )
    assert_same(stepwise, result)


def test_a_transparent_picture_stays_transparent() -> None:
    opacity = np.full(SIZE, 255, np.uint8)
    opacity[:, 100:] = 100
    result = refine(Picture(PICTURE.rgb, opacity=opacity), seen(), strokes=[KEEP_ARM])
    solid = cut(KEEP_ARM, probability=seen())
    assert result.alpha[59, 115] == 100
    assert np.array_equal(result.alpha[:, :100], solid.alpha[:, :100])
    again = refine(Picture(PICTURE.rgb, opacity=opacity), seen(), strokes=[KEEP_ARM], base=result.solved)
    assert np.array_equal(again.alpha, result.alpha)  # multiplied once


def test_strokes_may_leave_the_picture() -> None:
    away = Stroke("keep", 5, ((-500.0, -500.0), (-400.0, 90_000.0)))
    assert np.array_equal(cut(away).alpha, cut().alpha)
    across = Stroke("keep", 3, ((-90_000.0, 5.0), (90_000.0, 5.0)))
    assert (cut(across).alpha[4:6] == 255).all()
    assert (cut(Stroke("keep", 2000, ((80.0, 60.0),))).alpha == 255).all()
    assert cut(Stroke("remove", 2000, ((80.0, 60.0),))).warnings == (ALL_REMOVED,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (40, 2)])
@pytest.mark.parametrize("kind", ["keep", "remove", "solve"])
def test_tiny_pictures(shape: tuple[int, int], kind: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for settings in (Settings(), PLAIN):
        for level in (0.0, 0.7, 1.0):
            result = refine(
                Picture(pixels),
                np.full((2, 2), level, np.float32),
                settings,
                strokes=[Stroke(kind, 0.5, ((0.5, 0.5),)), Stroke(kind, 40.0, ((0.5, 0.5), (2.0, 1.0)))],
            )
            assert result.alpha.shape == shape


def test_distances_from_a_line() -> None:
    stroke = Stroke("keep", 10, ((12.5, 20.5), (40.5, 33.5), (40.5, 33.5), (70.5, 9.5)))
    y, x = np.mgrid[0:60, 0:90] + 0.5
    expected = np.full(y.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(stroke.points[:-1], stroke.points[1:], strict=True):
        length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
        expected = np.minimum(expected, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    box = np.s_[0:60, 0:90]
    assert np.abs(distance_from(stroke, box) - expected).max() < 0.75
    near = expected < 12
    cells = distance_from(stroke, box, (30, 45))
    assert np.abs(np.repeat(np.repeat(cells, 2, 0), 2, 1) - expected)[near].max() < 3
    part = np.s_[20:50, 30:60]
    assert np.abs(distance_from(stroke, part) - expected[part])[near[part]].max() < 0.75


@pytest.mark.parametrize(("size", "cells"), [((1, 1), None), ((1, 30_000), None), ((30_000, 1), (60, 2))])
def test_a_large_brush_on_a_thin_picture_is_measured_on_a_small_plane(
    size: tuple[int, int], cells: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes: list[int] = []

    def drawn(lines: Any, plane: tuple[int, int]) -> Any:
        planes.append(plane[0] * plane[1])
        return drawn_lines(lines, plane)

    monkeypatch.setattr(brush, "drawn_lines", drawn)
    height, width = size
    stroke = Stroke("keep", 2000, ((width / 2, height / 2),))
    distance = distance_from(stroke, np.s_[0:height, 0:width], cells)
    assert planes[0] < 1.5 * brush.MAX_PIXELS
    along = distance.ravel() if cells is None else distance[:, 0]
    expected = np.abs((np.arange(len(along)) + 0.5) * max(size) / len(along) - max(size) / 2)
    coarse = max(size) / len(along) if cells is None else 8 * max(size) / len(along)
    near = expected < 1500
    assert np.abs(along - expected)[near].max() < max(30, coarse)


def test_a_stroke_that_is_solved_smaller_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Settings(matting_method="closed-form")
    base = cut(settings=exact).solved
    wide, small = Stroke("solve", 25, ((60.0, 65.0),)), Stroke("solve", 3, ((70.0, 65.0),))
    assert cut(wide, settings=exact).warnings == ()
    defaults = estimate_alpha.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "max_bytes", 600_000)  # of memory
    assert cut(wide, small, settings=exact, base=base).warnings == (SMALLER,)
    assert cut(small, settings=exact, base=base).warnings == ()
