"""What is kept of pictures that are being corrected: the same bytes, in little memory, with a bound."""

from dataclasses import fields, replace

import numpy as np
import pytest

from segmentation import Picture, Result, Settings, refine
from segmentation.arrays import FOREGROUND, UNKNOWN
from segmentation.bases import Bases, key_of
from segmentation.corrected import Known, Source, refine_source
from segmentation.corrections import Correction, Stroke
from segmentation.solving import Solved

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 60, (130, 200, 3), np.uint8)
PIXELS[30:100, 40:150] += 120
PICTURE = Picture(PIXELS, opacity=RANDOM.integers(100, 256, (130, 200), np.uint8))
SEEN = np.zeros((26, 40), np.float32)
SEEN[6:20, 8:20] = 1
STROKES = Stroke("keep", 6, ((110.0, 60.0), (140.0, 60.0))), Stroke("remove", 4, ((60.0, 40.0),))
PLAIN = Settings(alpha_matting=False)


def solved(*strokes: Stroke, settings: Settings | None = None) -> Solved:
    answer = refine(PICTURE, SEEN, settings, strokes=strokes).solved
    assert answer
    return answer


def assert_same(one: object, other: object) -> None:
    assert type(one) is type(other)
    for field in fields(one):  # type: ignore[arg-type]
        if field.name not in {"timings", "solved"}:
            a, b = getattr(one, field.name), getattr(other, field.name)
            assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


@pytest.mark.parametrize("settings", [Settings(), PLAIN])
@pytest.mark.parametrize("count", [0, 2])
def test_what_is_kept_comes_back_as_it_was(settings: Settings, count: int) -> None:
    bases, kept = Bases(), solved(*STROKES[:count], settings=settings)
    bases.keep("a", kept, PIXELS)
    found = bases.find("a", STROKES, PIXELS)
    assert found
    assert_same(found, kept)
    assert bases.find("b", STROKES, PIXELS) is None


def test_the_one_with_most_of_the_first_strokes_is_found() -> None:
    bases = Bases()
    for count in range(3):
        bases.keep("a", solved(*STROKES[:count]), PIXELS)
    for strokes, expected in ((STROKES, 2), (STROKES[:1], 0), (STROKES[::-1], 0), ((*STROKES, STROKES[0]), 2)):
        found = bases.find("a", strokes, PIXELS)
        assert found
        assert len(found.strokes) == expected


def test_the_least_recently_used_are_dropped() -> None:
    one = solved()
    bases = Bases()
    bases.keep("a", one, PIXELS)
    bases = Bases(int(2.5 * bases.nbytes))
    for key in ("a", "b", "c"):
        bases.keep(key, one, PIXELS)
        bases.find("a", (), PIXELS)
    assert [key for key in ("a", "b", "c") if bases.find(key, (), PIXELS)] == ["a", "c"]
    bases.clear()
    assert bases.nbytes == 0


def test_a_large_picture_takes_little_memory() -> None:
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    pixels[300:900, 500:1500] = 200
    seen = np.zeros((30, 40), np.float32)
    seen[6:18, 10:30] = 1
    kept = refine(Picture(pixels), seen).solved
    bases = Bases()
    bases.keep("a", kept, pixels)
    assert kept
    assert 0 < bases.nbytes < kept.nbytes / 5


def test_a_key_tells_pictures_settings_and_maps_apart() -> None:
    keys = {
        key_of("a", Settings(), SEEN, None, None),
        key_of("b", Settings(), SEEN, None, None),
        key_of("a", PLAIN, SEEN, None, None),
        key_of("a", Settings(), SEEN.T, None, None),
        key_of("a", Settings(), 1 - SEEN, None, None),
        key_of("a", Settings(), None, SEEN, None),
    }
    assert len(keys) == 6
    assert key_of("a", Settings(), SEEN.copy(), None, None) in keys


def test_a_refined_source_is_the_same_with_and_without_bases() -> None:
    known, source = Known(Bases(), "a"), Source(SEEN)

    def cut(strokes: tuple[Stroke, ...], known: Known | None) -> Result:
        return refine_source(PICTURE, source, Settings(), Correction(strokes=strokes), known=known)

    assert_same(cut((), known), cut((), None))
    assert known.bases.nbytes == 0  # pictures without strokes are not kept
    for strokes in (STROKES[:1], STROKES, STROKES[:1], STROKES[1:], STROKES):
        assert_same(cut(strokes, known), cut(strokes, None))
    assert "matting" not in cut(STROKES, known).timings
    trimap = np.full(PICTURE.size, UNKNOWN, np.uint8)
    trimap[50:60, 50:60] = FOREGROUND
    given = replace(source, trimap=trimap)
    for strokes in (STROKES[:1], STROKES):
        own = Correction(strokes=strokes)
        assert_same(
            refine_source(PICTURE, given, Settings(), own, known=known), refine_source(PICTURE, given, Settings(), own)
        )
