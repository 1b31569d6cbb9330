"""Canvas, shadow, outline and the file's limits, against straight-line references."""

import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from segmentation.picture.compose import resize_cutout
from segmentation.picture.composition import composition
from segmentation.picture.export import save_export, save_small
from segmentation.picture.layout import layout_of
from segmentation.picture.picture import Picture
from segmentation.settings import Export, with_values
from tests.picture.profiles import WIDE, in_wide

Array = npt.NDArray[Any]
WHITE = np.array((255, 255, 255))


def vase(height: int, width: int, box: tuple[int, int, int, int], soft: float = 1.0) -> Array:
    """Alpha of something with a neck, a belly and a base that touches the ground off its middle."""
    left, top, right, bottom = box
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = (x - left) / (right - left), (y - top) / (bottom - top)  # 0..1 inside the box
    belly = 0.5 - np.hypot((u - 0.5) / 1, (v - 0.62) / 0.76)
    neck = np.minimum(0.12 - np.abs(u - 0.35), np.minimum(v, 0.6 - v))
    base = np.minimum(0.2 - np.abs(u - 0.6), np.minimum(1 - v, v - 0.8))
    inside = np.maximum(np.maximum(belly, neck), base) * min(right - left, bottom - top)
    return np.asarray(np.rint(np.clip(inside / soft + 0.5, 0, 1) * 255), np.uint8)


RNG = np.random.default_rng(14)
SIZE = (90, 120)
ALPHA = vase(*SIZE, (30, 12, 84, 78), soft=3)
COLOURS = RNG.integers(0, 256, (*SIZE, 3), np.uint8)
PICTURE = Picture(RNG.integers(0, 256, (*SIZE, 3), np.uint8))
BACKDROP = Picture(RNG.integers(0, 256, (40, 50, 3), np.uint8))


def pixels(export: Export, alpha: Array = ALPHA, colours: Array = COLOURS) -> Array:
    return composition(Picture(colours), colours, alpha, export, BACKDROP).pixels


def over(above: Any, alpha: Array, below: Array) -> Array:
    """Porter and Duff, without rounding; alpha 0..1."""
    share = alpha[..., None]
    return np.asarray(share * above + (1 - share) * below)


def unit(alpha: Array) -> float:
    """A percent of the subject's longer side."""
    rows, columns = np.nonzero(alpha >= 8)
    return max(int(np.ptp(rows)), int(np.ptp(columns))) / 100 + 0.01


def drop_reference(alpha: Array, export: Export) -> Array:
    """The shadow's opacity, 0..1: shift, blur, scale."""
    angle = np.radians(export.shadow_angle)
    x, y = (round(float(turn(angle) * export.shadow_distance * unit(alpha))) for turn in (np.cos, np.sin))
    pad = 400  # so that nothing is lost at the edges
    wide = np.pad(alpha / 255, pad)
    wide = gaussian_filter(np.roll(wide, (y, x), (0, 1)), export.shadow_blur * unit(alpha), mode="constant")
    return wide[pad:-pad, pad:-pad] * export.shadow_opacity / 100


def contact_reference(alpha: Array, export: Export) -> Array:
    """The shadow's opacity, pixel by pixel from its definition."""
    ground = np.nonzero(alpha >= 8)[0].max() + 1
    reach, sigma = 8 * unit(alpha), export.shadow_blur * unit(alpha)
    near = np.zeros(alpha.shape[1])
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            height = ground - (row + 0.5)
            if alpha[row, column] >= 8 and 0 < height < round(reach):
                near[column] = max(near[column], alpha[row, column] / 255 * max(0, 1 - height / reach))
    places = np.arange(alpha.shape[1])
    bell = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    across = (near * bell / (sigma * np.sqrt(2 * np.pi))).sum(1)
    down = np.exp(-0.5 * ((np.arange(alpha.shape[0]) + 0.5 - ground) / (sigma / 2)) ** 2)
    return np.asarray(down[:, None] * across * export.shadow_opacity / 100)


def outline_reference(alpha: Array, width: float) -> Array:
    """Opacity of an outline, 0..1: how much of a pixel lies within the width of the subject's edge."""
    subject = np.argwhere(alpha >= 64)
    opacity = np.empty(alpha.shape)
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            distances = np.hypot(*(subject - (row, column)).T)
            nearest = int(distances.argmin())
            edge = distances[nearest] + 0.5 - alpha[tuple(subject[nearest])] / 255
            opacity[row, column] = np.clip(width + 0.5 - edge, 0, 1)
    return opacity


# ------------------------------------------------------------------------------------------------- shadow, outline


@pytest.mark.parametrize("angle", [0, 60, 90, 225, 300])
@pytest.mark.parametrize("blur", [0.0, 2.5, 15.0])  # the last is computed at a smaller size
def test_a_drop_shadow_is_the_alpha_shifted_and_blurred(angle: float, blur: float) -> None:
    export = Export(background="#ffffff", shadow="drop", shadow_angle=angle, shadow_blur=blur, shadow_distance=12)
    truth = over(COLOURS, ALPHA / 255, over(0, drop_reference(ALPHA, export), WHITE))
    assert np.abs(pixels(export) - truth).max() <= 2


def test_a_wide_blur_of_a_large_picture_is_that_of_all_its_pixels() -> None:
    alpha = vase(600, 800, (200, 80, 560, 520))
    export = Export(background="#ffffff", shadow="drop", shadow_blur=6, shadow_opacity=100)
    truth = over(0, drop_reference(alpha, export), WHITE)
    shadow = pixels(export, alpha, np.zeros((600, 800, 3), np.uint8))
    assert np.abs(shadow - truth)[alpha == 0].max() <= 2


@pytest.mark.parametrize("blur", [3.0, 8.0])
def test_a_contact_shadow_is_darkest_where_the_subject_is_near_to_the_ground(blur: float) -> None:
    export = Export(background="#ffffff", shadow="contact", shadow_blur=blur, shadow_opacity=80)
    opacity = contact_reference(ALPHA, export)
    truth = over(COLOURS, ALPHA / 255, over(0, opacity, WHITE))
    # the reference's bell goes on where the blur of a row of pixels ends
    assert np.abs(pixels(export) - truth).max() <= 3
    below = pixels(export)[79].astype(int).sum(1)
    assert 58 <= below.argmin() <= 66  # under the base, which is not under the middle of the box


def test_both_shadows_dim_the_light_one_after_the_other() -> None:
    export = Export(background="#ffffff", shadow="both", shadow_opacity=60)
    light = (1 - drop_reference(ALPHA, export)) * (1 - contact_reference(ALPHA, export))
    truth = over(COLOURS, ALPHA / 255, light[..., None] * WHITE)
    assert np.abs(pixels(export) - truth).max() <= 3


@pytest.mark.parametrize(("width", "soft"), [(0.5, 3), (4, 0.01), (10, 3)])
def test_an_outline_is_all_within_its_width(width: float, soft: float) -> None:
    alpha = vase(*SIZE, (30, 12, 84, 78), soft=soft)
    export = Export(background="#ffffff", outline_width=width, outline_colour="#c03020")
    opacity = outline_reference(alpha, width * unit(alpha))
    truth = over(COLOURS, alpha / 255, over((0xC0, 0x30, 0x20), opacity, WHITE))
    difference = np.abs(pixels(export, alpha) - truth)
    assert np.quantile(difference, 0.995) <= 2  # of two equally near pixels, either may count
    assert difference.mean() < 0.1


def test_a_wide_outline_of_a_large_picture_has_a_sharp_edge_in_its_place() -> None:
    alpha = np.zeros((700, 900), np.uint8)
    y, x = np.mgrid[:700, :900] + 0.5
    alpha[np.hypot(y - 350, x - 450) < 200] = 255
    export = Export(background="#ffffff", outline_width=10, outline_colour="#000000")  # 40 pixels, shrunk five times
    shown = pixels(export, alpha, np.zeros((700, 900, 3), np.uint8))[..., 0] / 255
    distance = np.hypot(y - 350, x - 450)
    assert (shown[distance < 238.5] == 0).all()
    assert (shown[distance > 241.5] == 1).all()
    assert abs((1 - shown).sum() / np.pi - 240**2) < 240  # the radius, to half a pixel


def test_a_shadow_is_also_that_of_the_outline() -> None:
    export = Export(background="#ffffff", shadow="drop", outline_width=6, shadow_opacity=100)
    opacity = outline_reference(ALPHA, 6 * unit(ALPHA))
    silhouette = np.rint((1 - (1 - ALPHA / 255) * (1 - opacity)) * 255)
    # its measures stay those of the subject
    plain = drop_reference(ALPHA, export)
    assert unit(silhouette) > unit(ALPHA)
    angle, blur = np.radians(60), 2.5 * unit(ALPHA)
    shift = round(float(np.sin(angle) * 3 * unit(ALPHA))), round(float(np.cos(angle) * 3 * unit(ALPHA)))
    shadow = gaussian_filter(np.roll(np.pad(silhouette / 255, 50), shift, (0, 1)), blur)[50:-50, 50:-50]
    truth = over(COLOURS, ALPHA / 255, over(WHITE, opacity, over(0, shadow, WHITE)))
    assert np.quantile(np.abs(pixels(export) - truth), 0.995) <= 2
    assert shadow.sum() > plain.sum()


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (30, 200, 90)])
@pytest.mark.parametrize(
    "effects",
    [
        {"shadow": "drop"},
        {"shadow": "both", "shadow_opacity": 100.0, "shadow_blur": 10.0},
        {"outline_width": 3.0, "outline_colour": "#2060ff"},
        {"shadow": "drop", "outline_width": 2.0, "canvas": "1:1"},
    ],
)
def test_a_transparent_file_over_a_colour_is_shadow_then_outline_then_subject_over_it(
    effects: dict[str, Any], background: tuple[int, int, int]
) -> None:
    cutout = pixels(Export(**effects)).astype(float)
    colour = "#" + bytes(background).hex()
    assert cutout.shape[2] == 4
    shown = over(cutout[..., :3], cutout[..., 3] / 255, np.array(background))
    assert np.abs(shown - pixels(Export(background=colour, **effects))).max() <= 2
    assert not cutout[cutout[..., 3] == 0].any()  # nothing is hidden in what is invisible
    own = layout_of(ALPHA, Export(**effects))
    left, top, right, bottom = own.place
    opaque = ALPHA[own.part[1] : own.part[3], own.part[0] : own.part[2]] == 255
    subject = COLOURS[own.part[1] : own.part[3], own.part[0] : own.part[2]]
    assert np.array_equal(cutout[top:bottom, left:right, :3][opaque], subject[opaque])


@pytest.mark.parametrize("effects", [{}, {"shadow": "both", "outline_width": 2.0}])
@pytest.mark.parametrize("frame", [{}, {"crop": True}, {"canvas": "3:2"}, {"canvas": "70x50"}, {"max_edge": 40}])
def test_a_mask_is_the_alpha_of_the_transparent_file(effects: dict[str, Any], frame: dict[str, Any]) -> None:
    cutout = pixels(Export(**effects, **frame))
    assert np.array_equal(pixels(Export(background="mask", **effects, **frame)), cutout[..., 3])


def test_a_crop_has_room_for_the_outline_and_the_shadow() -> None:
    alpha = vase(300, 400, (150, 100, 250, 200), soft=0.01)
    plain = layout_of(alpha, Export(crop=True, crop_margin=0)).part
    assert plain == (150, 100, 250, 200)
    outlined = layout_of(alpha, Export(crop=True, crop_margin=0, outline_width=5)).part
    assert outlined == (145, 95, 255, 205)
    export = Export(crop=True, crop_margin=0, shadow="drop", shadow_angle=0, shadow_distance=20, shadow_blur=5)
    assert layout_of(alpha, export).part == (150, 90, 280, 210)
    contact = layout_of(alpha, with_values(export, shadow="contact")).part
    assert contact == (140, 100, 260, 210)


def test_an_outlines_colour_is_converted_into_the_pictures_space() -> None:
    picture = Picture(PICTURE.rgb, icc_profile=WIDE)
    cutout = composition(picture, COLOURS, ALPHA, Export(outline_width=10, outline_colour="#3060c0")).pixels
    ink = cutout[(cutout[..., 3] == 255) & (ALPHA == 0), :3]
    assert len(ink) > 100
    assert np.abs(ink - in_wide(np.array((0x30, 0x60, 0xC0), np.uint8))).max() <= 1


# ------------------------------------------------------------------------------------------------- canvas


def block(height: int, width: int, box: tuple[int, int, int, int]) -> Array:
    alpha = np.zeros((height, width), np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    return alpha


@pytest.mark.parametrize(
    ("export", "size", "place"),
    [  # of a subject of 40 x 80 pixels, right at the picture's corner
        (Export(canvas="1:1", canvas_fill=80), (100, 100), (30, 10, 70, 90)),
        (Export(canvas="1:1", canvas_fill=100), (80, 80), (20, 0, 60, 80)),
        (Export(canvas="3:2", canvas_fill=50), (160, 240), (100, 40, 140, 120)),
        (Export(canvas="1:4", canvas_fill=100), (160, 40), (0, 40, 40, 120)),
        (Export(canvas="1:1", canvas_fill=100, canvas_margin=10), (100, 100), (30, 10, 70, 90)),
        (Export(canvas="1:1", canvas_fill=100, canvas_margin=(0, 0, 20, 0)), (100, 100), (30, 0, 70, 80)),
        (Export(canvas="1:1", canvas_fill=80, canvas_margin=(0, 40, 0, 0)), (100, 100), (10, 10, 50, 90)),
        (Export(canvas="2:1", canvas_fill=80, canvas_align="bottom"), (100, 200), (80, 10, 120, 90)),
        (Export(canvas="1:4", canvas_fill=50, canvas_align="bottom"), (320, 80), (20, 160, 60, 240)),
        (Export(canvas="100x100", canvas_fill=80), (100, 100), (30, 10, 70, 90)),
        (Export(canvas="200x100", canvas_fill=80), (100, 200), (80, 10, 120, 90)),
        (Export(canvas="50x50", canvas_fill=80), (50, 50), (15, 5, 35, 45)),
        (Export(canvas="200x200", canvas_fill=80), (200, 200), (60, 20, 140, 180)),
        (Export(canvas="1:1", canvas_fill=80, max_edge=50), (50, 50), (15, 5, 35, 45)),
        (Export(canvas="1:1", canvas_fill=100, outline_width=12.5), (100, 100), (30, 10, 70, 90)),
        (Export(canvas="1:1", canvas_fill=160), (50, 50), (5, -15, 45, 65)),  # cropped, as was asked for
    ],
)
def test_the_subject_takes_its_share_of_the_canvas(
    export: Export, size: tuple[int, int], place: tuple[int, int, int, int]
) -> None:
    alpha = block(90, 120, (80, 10, 120, 90))
    layout = layout_of(alpha, export)
    assert layout.size == size
    assert layout.subject == pytest.approx(place)
    mask = pixels(with_values(export, background="mask"), alpha)
    assert mask.shape == size
    if not export.outline_width:
        shown = block(size[0], size[1], (max(0, place[0]), max(0, place[1]), place[2], place[3]))
        assert np.array_equal(mask, shown)
    # the file's edges in pixels of the picture: what lies on the subject's edge in one does in the other
    left, top, right, bottom = layout.box
    across, down = (right - left) / size[1], (bottom - top) / size[0]
    assert left + across * place[0] == pytest.approx(80)
    assert top + down * place[1] == pytest.approx(10)
    assert left + across * place[2] == pytest.approx(120)
    assert top + down * place[3] == pytest.approx(90)


@pytest.mark.parametrize("canvas", ["1:1", "4:5", "16:9", "3:2"])
@pytest.mark.parametrize("align", ["box", "mass", "bottom"])
@pytest.mark.parametrize("margins", [0.0, (0.0, 12.0, 30.0, 3.0)])
def test_a_subject_is_never_cropped_unless_asked_and_keeps_its_pixels(canvas: str, align: Any, margins: Any) -> None:
    export = Export(canvas=canvas, canvas_align=align, canvas_margin=margins, canvas_fill=97)
    alpha = vase(*SIZE, (1, 0, 100, 90))  # touches the picture's edges
    cutout = pixels(export, alpha)
    across, down = map(float, canvas.split(":"))
    assert cutout.shape[1] / cutout.shape[0] == pytest.approx(across / down, rel=0.02)
    layout = layout_of(alpha, export)
    (left, top, right, bottom), place = layout.part, layout.place
    expected = np.zeros_like(cutout)
    colours = COLOURS * (alpha > 0)[..., None]
    expected[place[1] : place[3], place[0] : place[2]] = np.dstack([colours, alpha])[top:bottom, left:right]
    assert np.array_equal(cutout, expected)
    assert np.count_nonzero(cutout[..., 3]) == np.count_nonzero(alpha)
    before = layout.subject[0] >= layout.size[1] * export.margins[3] / 100 - 1
    after = layout.subject[2] <= layout.size[1] * (1 - export.margins[1] / 100) + 1
    assert before
    assert after


def test_the_centre_of_mass_is_centred_as_far_as_the_margins_allow() -> None:
    alpha = block(90, 120, (20, 10, 100, 80))
    alpha[10:60, 40:100] = 0  # an L: its mass lies low and to the left
    y, x = (alpha.sum(axis) @ (np.arange(side) + 0.5) / alpha.sum() for axis, side in ((1, 90), (0, 120)))
    layout = layout_of(alpha, Export(canvas="1:1", canvas_fill=60, canvas_align="mass"))
    assert layout.place[0] - layout.part[0] + x == pytest.approx(layout.size[1] / 2, abs=0.6)
    assert layout.place[1] - layout.part[1] + y == pytest.approx(layout.size[0] / 2, abs=0.6)
    tight = layout_of(alpha, Export(canvas="8:7", canvas_fill=100, canvas_align="mass"))
    assert tight.size == (70, 80)
    assert tight.place == (0, 0, 80, 70)


@pytest.mark.parametrize("canvas", ["60x80", "300x200"])
def test_a_subject_is_scaled_with_its_colours_weighted_by_alpha(canvas: str) -> None:
    smooth = np.clip(gaussian_filter(RNG.uniform(-900, 1155, (*SIZE, 3)), (5, 5, 0)), 0, 255).astype(np.uint8)
    export = Export(canvas=canvas, canvas_fill=90)
    shown, layout = pixels(export, ALPHA, smooth), layout_of(ALPHA, export)
    left, top, right, bottom = layout.part
    place = layout.place
    part = np.dstack([smooth * (ALPHA / 255)[..., None], ALPHA])[top:bottom, left:right].astype(np.float32)
    size = place[2] - place[0], place[3] - place[1]
    scaled = np.dstack(
        [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in np.moveaxis(part, 2, 0)]
    ).clip(0, 255)
    truth = np.zeros((*layout.size, 4))
    truth[place[1] : place[3], place[0] : place[2]] = scaled
    # whole numbers between rows and columns
    assert np.abs(shown[..., 3] - truth[..., 3]).max() <= 5
    assert np.abs(shown[..., :3] * (shown[..., 3:] / 255) - truth[..., :3]).max() <= 5
    assert np.abs(shown[..., :3] * (shown[..., 3:] / 255) - truth[..., :3]).mean() < 0.5


@pytest.mark.parametrize("background", ["#204060", "picture", "blur"])
def test_a_background_fills_the_canvas(background: str) -> None:
    plain = Picture(np.full((*SIZE, 3), (10, 120, 200), np.uint8))
    backdrop = Picture(np.full((30, 30, 3), (10, 120, 200), np.uint8))
    export = Export(canvas="2:1", canvas_fill=40, background=background)
    shown = composition(plain, COLOURS, ALPHA, export, backdrop).pixels
    opacity = pixels(Export(canvas="2:1", canvas_fill=40))[..., 3]
    assert shown.shape == (*opacity.shape, 3)
    colour = export.colour or (10, 120, 200)
    assert np.abs(shown[opacity == 0].astype(int) - colour).max() <= 1


def test_a_backdrop_fits_the_canvas_and_not_the_picture() -> None:
    corners = np.zeros((100, 200, 3), np.uint8)
    corners[:50, :100, 0] = corners[50:, 100:, 1] = 255
    export = Export(canvas="200x100", canvas_fill=20, background="picture")
    shown = composition(PICTURE, COLOURS, ALPHA, export, Picture(corners)).pixels
    assert shown.shape == (100, 200, 3)
    assert shown[5, 5].tolist() == [255, 0, 0]
    assert shown[95, 195].tolist() == [0, 255, 0]
    assert shown[5, 195].tolist() == [0, 0, 0]


def test_a_subject_that_is_enlarged_says_so_and_not_without_end() -> None:
    small = block(90, 120, (50, 40, 60, 50))
    (note,) = layout_of(small, Export(canvas="40x40", canvas_fill=75)).notes
    assert note == "The subject was enlarged 3.0 times to fill the canvas."
    tiny = layout_of(small, Export(canvas="2000x2000"))
    assert "was enlarged 4 times, and not to its full share" in tiny.notes[0]
    assert tiny.subject[2] - tiny.subject[0] == 40
    assert layout_of(small, Export(canvas="16x16")).notes == ()
    # in a preview that is four times smaller, the subject looks the same
    preview = layout_of(small, Export(canvas="1000x1000", max_edge=500), reduced=20)
    assert preview.subject[2] - preview.subject[0] == pytest.approx(400, abs=30)
    assert layout_of(small, Export(canvas="100x100"), reduced=8).notes == ()


@pytest.mark.parametrize("frame", [{}, {"crop": True}, {"canvas": "1:1"}, {"canvas": "300x300"}, {"max_edge": 50}])
def test_a_picture_without_a_subject_has_a_file_all_the_same(frame: dict[str, Any]) -> None:
    nothing = np.zeros(SIZE, np.uint8)
    all_effects: list[dict[str, Any]] = [{}, {"shadow": "both", "outline_width": 3.0}]
    for effects in all_effects:
        assert not pixels(Export(**frame, **effects), nothing).any()


def test_a_canvas_around_a_large_subject_has_at_most_50_megapixels() -> None:
    alpha = np.full((10, 20_000), 255, np.uint8)
    layout = layout_of(alpha, Export(canvas="1:1", canvas_fill=100))
    assert layout.notes == ("The canvas was scaled down to 50 megapixels.",)
    assert layout.size == (7072, 7072)
    assert layout.subject[2] - layout.subject[0] == pytest.approx(7071, abs=1)


def test_haze_around_a_tiny_subject_makes_no_huge_picture() -> None:
    haze = np.full((900, 1200), 3, np.uint8)
    haze[400:403, 500:503] = 255
    layout = layout_of(haze, Export(canvas="7000x7000"))
    assert layout.place[2] - layout.place[0] <= 7010
    assert layout.part[2] - layout.part[0] <= 1200
    cropped = layout_of(haze, Export(canvas="100x100", canvas_fill=10))
    assert cropped.part[2] - cropped.part[0] <= 35


# ------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("frame", [{}, {"crop": True, "crop_margin": 20.0}, {"canvas": "3:2"}])
@pytest.mark.parametrize("background", ["transparent", "blur", "picture", "mask", "#102030"])
def test_the_longest_side_is_limited(frame: dict[str, Any], background: str) -> None:
    whole = pixels(Export(background=background, **frame))
    shown = pixels(Export(background=background, max_edge=48, **frame))
    assert max(shown.shape[:2]) == 48
    assert shown.shape[0] / shown.shape[1] == pytest.approx(whole.shape[0] / whole.shape[1], rel=0.03)
    assert np.array_equal(pixels(Export(background=background, max_edge=30_000, **frame)), whole)
    assert abs(shown.mean() - whole.mean()) < 6


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_file_has_the_best_quality_that_fits(tmp_path: Path, kind: Any) -> None:
    rough = np.clip(gaussian_filter(RNG.uniform(-400, 655, (200, 200, 3)), (1, 1, 0)), 0, 255).astype(np.uint8)
    alpha = vase(200, 200, (10, 10, 190, 190))
    sizes = []
    for most in (0, 18, 14):
        export = Export(format=kind, background="#ffffff", max_kb=most)
        path = tmp_path / f"{most}{export.ending}"
        assert save_export(Picture(rough), rough, alpha, path, export) == ()
        sizes.append(path.stat().st_size)
    assert 12_000 < sizes[2] <= 14_000  # with a quality more it would not fit
    assert 16_000 < sizes[1] <= 18_000 < sizes[0]
    if kind == "webp":
        with Image.open(tmp_path / "0.webp") as lossless:
            assert np.array_equal(np.asarray(lossless), pixels(Export(background="#ffffff"), alpha, rough))
        path = tmp_path / "fits.webp"
        save_export(Picture(rough), rough, alpha, path, Export(format="webp", background="#ffffff", max_kb=1000))
        assert path.read_bytes() == (tmp_path / "0.webp").read_bytes()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("jpeg", r"The file has \d+ kB, not 1, though its quality is the lowest. Limit its longer side, or allow more"),
        ("webp", r"The file has \d+ kB, not 1, though its quality is the lowest"),
        ("png", r"The file has \d+ kB, not 1: PNG cannot be made smaller. Choose JPEG or WebP"),
    ],
)
def test_a_size_that_cannot_be_reached_gets_a_sentence(tmp_path: Path, kind: Any, sentence: str) -> None:
    noise = RNG.integers(0, 256, (150, 150, 3), np.uint8)
    alpha = vase(150, 150, (5, 5, 145, 145))
    export = Export(format=kind, background="#ffffff", max_kb=1)
    (note,) = save_export(Picture(noise), noise, alpha, tmp_path / f"a{export.ending}", export)
    assert re.match(sentence, note)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{export.ending}"]


@pytest.mark.parametrize("canvas", ["none", "1:1"])
@pytest.mark.parametrize("background", ["transparent", "#ffffff"])
def test_a_shadow_takes_no_planes_of_the_whole_picture(tmp_path: Path, canvas: str, background: str) -> None:
    alpha = vase(1500, 2000, (500, 150, 1500, 1350))  # 3 megapixels
    colours = np.zeros((1500, 2000, 3), np.uint8)
    export = Export(shadow="both", outline_width=3, canvas=canvas, background=background)
    tracemalloc.start()
    save_export(Picture(colours), colours, alpha, tmp_path / "a.png", export)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000  # one plane of numbers for all its pixels


def test_a_small_version_looks_like_the_file(tmp_path: Path) -> None:
    alpha = vase(600, 800, (200, 80, 560, 520))
    colours = np.clip(gaussian_filter(RNG.uniform(-3000, 3255, (600, 800, 3)), (12, 12, 0)), 0, 255).astype(np.uint8)
    frames: list[dict[str, Any]] = [
        {},
        {"canvas": "3:2"},
        {"canvas": "900x900", "canvas_fill": 60.0},
        {"crop": True},
    ]
    for frame in frames:
        export = Export(background="#e0e0e0", shadow="both", outline_width=3, outline_colour="#a00000", **frame)
        save_small(Picture(colours), colours, alpha, tmp_path / "small.png", export, None, 200)
        with Image.open(tmp_path / "small.png") as file:
            small = np.asarray(file).astype(int)
        assert max(small.shape) == 200
        whole = Image.fromarray(pixels(export, alpha, colours))
        assert np.abs(np.asarray(whole.resize(small.shape[1::-1], Image.Resampling.BOX)) - small).mean() < 3


@pytest.mark.parametrize(
    "frame", [{}, {"crop": True}, {"canvas": "4:5"}, {"canvas": "500x400"}, {"canvas": "100x80", "max_edge": 80}]
)
def test_a_preview_of_a_smaller_picture_looks_like_the_file(frame: dict[str, Any]) -> None:
    alpha = vase(600, 800, (200, 80, 560, 520))
    colours = np.full((600, 800, 3), (40, 90, 160), np.uint8)
    export = Export(background="#e0e0e0", shadow="both", outline_width=3, outline_colour="#a00000", **frame)
    small_colours, small_alpha = resize_cutout(colours, alpha, (150, 200))
    small = with_values(export, max_edge=min(export.max_edge or 200, 200))
    preview = composition(Picture(small_colours), small_colours, small_alpha, small, reduced=4)
    whole = composition(Picture(colours), colours, alpha, export)
    assert preview.notes == whole.notes == ()
    height, width = preview.layout.size
    assert width / height == pytest.approx(whole.layout.size[1] / whole.layout.size[0], abs=0.03)
    shown = np.asarray(Image.fromarray(whole.pixels).resize((width, height), Image.Resampling.BOX)).astype(int)
    assert np.abs(shown - preview.pixels).mean() < 10  # edges are beside their place by a pixel or two
    assert preview.layout.box == pytest.approx(np.array(whole.layout.box) / 4, abs=2.5)


# ------------------------------------------------------------------------------------------------- in a studio


def studio(number: int) -> tuple[Array, Array, tuple[int, ...]]:
    """A product photograph: its colours, its alpha as a network gives it, and the box that a person would crop to.

    Every other one has an even background; the rest a gradient, a vignette or dirty corners, as most studios have.
    """
    rng = np.random.default_rng(number)
    height, width = 240, 320
    left, top = int(rng.integers(40, 110)), int(rng.integers(30, 70))
    box = left, top, left + int(rng.integers(90, 160)), top + int(rng.integers(90, 140))
    alpha = vase(height, width, box, soft=2)
    y, x = np.mgrid[:height, :width] / (height, width)[0]
    level = np.full((height, width), float(rng.integers(170, 225)))
    if number % 2:
        kind = number // 2 % 3
        level -= [110 * y, 130 * np.hypot(x - 0.66, y - 0.5), 0 * y][kind]
        if kind == 2:
            level[:8, :8] -= 90
    subject = rng.integers(20, 110, 3)
    picture = over(subject, alpha / 255, np.repeat(level[..., None], 3, 2)) + rng.normal(0, 3, (height, width, 3))
    haze = rng.integers(0, 7, (height, width))
    seen = np.maximum(gaussian_filter(alpha.astype(float), 0.7), haze).astype(np.uint8)
    rows, columns = np.nonzero(alpha >= 128)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    margin = 0.03 * max(edges[2] - edges[0], edges[3] - edges[1])
    by_hand = edges[0] - margin, edges[1] - margin, edges[2] + margin, edges[3] + margin
    return picture.clip(0, 255).astype(np.uint8), seen, tuple(round(float(edge)) for edge in by_hand)


def trimmed(picture: Array) -> tuple[float, ...]:
    """What trimming by the corner's colour leaves, with a tolerance of a tenth, and the same margin."""
    differs = np.abs(picture.astype(int) - picture[0, 0]).max(2) > 25
    rows, columns = np.nonzero(differs)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    margin = 0.03 * max(edges[2] - edges[0], edges[3] - edges[1])
    return edges[0] - margin, edges[1] - margin, edges[2] + margin, edges[3] + margin


def test_the_masks_box_with_a_margin_is_the_crop_made_by_hand() -> None:
    export, by_mask, by_corner = Export(crop=True, crop_margin=3), 0, 0
    for number in range(21):
        picture, alpha, by_hand = studio(number)
        near = 0.01 * max(picture.shape)
        by_mask += max(abs(a - b) for a, b in zip(layout_of(alpha, export).box, by_hand, strict=True)) <= near
        by_corner += max(abs(a - b) for a, b in zip(trimmed(picture), by_hand, strict=True)) <= near
    assert by_mask == 21
    assert 8 <= by_corner <= 13
