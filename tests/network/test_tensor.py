"""Picture -> tensor against straight-line references; output -> probability map; and the way there and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from segmentation import SessionError, Settings, SettingsError
from segmentation.matting.mask import to_mask
from segmentation.models.spec import InputSpec, OutputSpec
from segmentation.network.override import overridden
from segmentation.network.reading import to_probability
from segmentation.network.tensor import Placement, place, to_tensor

Array = npt.NDArray[Any]

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RNG = np.random.default_rng(1)
PICTURE = RNG.integers(0, 200, (48, 64, 3), np.uint8)  # no pixel reaches 255, so image_max differs from 255
SAME: dict[str, Any] = {"size": (48, 64)}  # no resizing


def maps_of(*arguments: Any) -> dict[str, Any]:
    """The maps alone of what an output says."""
    return to_probability(*arguments).maps


def normalised(pixels: Array, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """(h, w, 3) of what the network is to read, pixel by pixel as its authors write it."""
    return np.asarray((pixels.astype(np.float64) / scale - np.array(mean)) / np.array(std))


def shrunk(pixels: Array, width: int, height: int, how: Image.Resampling) -> Array:
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


# ------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("scale", [255.0, 1.0, 127.5])
def test_pixels_are_divided_by_the_scale(scale: float) -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(scale=scale, **SAME))
    assert tensor.shape == (1, 3, 48, 64)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), PICTURE / scale, rtol=1e-6)


def test_pixels_are_divided_by_the_largest_of_the_picture() -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(scale="image_max", **SAME, **IMAGENET))
    expected = normalised(PICTURE, PICTURE.max(), **IMAGENET)
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, atol=1e-6)


def test_the_largest_is_taken_after_resizing() -> None:
    one_bright = np.zeros((64, 64, 3), np.uint8)
    one_bright[7, 9] = 255
    spec = InputSpec(scale="image_max", size=(32, 32))
    small = shrunk(one_bright, 32, 32, Image.Resampling.BILINEAR)
    tensor, _ = to_tensor(one_bright, spec)
    assert small.max() < 255
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), small / small.max(), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_black_picture_has_no_largest_and_stays_black(dtype: Any) -> None:
    tensor, _ = to_tensor(np.zeros((32, 32, 3), np.uint8), InputSpec(scale="image_max", size=32, dtype=dtype))
    assert (tensor == 0).all()


def test_mean_and_std_are_those_of_each_colour() -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(**SAME, **IMAGENET))
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), normalised(PICTURE, 255, **IMAGENET), atol=1e-6)


def test_blue_comes_first_where_the_network_wants_it_and_keeps_its_own_mean() -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(channels="BGR", **SAME, **IMAGENET))
    expected = normalised(PICTURE, 255, **IMAGENET)[..., ::-1]
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, atol=1e-6)


def test_channels_come_last_where_the_network_wants_it() -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(layout="NHWC", **SAME, **IMAGENET))
    assert tensor.shape == (1, 48, 64, 3)
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[0], normalised(PICTURE, 255, **IMAGENET), atol=1e-6)


def test_half_precision_is_rounded_once() -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(dtype="float16", **SAME, **IMAGENET))
    assert tensor.dtype == np.float16
    expected = normalised(PICTURE, 255, **IMAGENET).astype(np.float16)
    assert np.array_equal(tensor[0].transpose(1, 2, 0), expected)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_raw_bytes_stay_as_they_are(layout: Any, channels: Any) -> None:
    tensor, _ = to_tensor(PICTURE, InputSpec(dtype="uint8", scale=1, layout=layout, channels=channels, **SAME))
    assert tensor.dtype == np.uint8
    seen = tensor[0] if layout == "NHWC" else tensor[0].transpose(1, 2, 0)
    assert np.array_equal(seen if channels == "RGB" else seen[..., ::-1], PICTURE)


def test_the_picture_itself_is_not_changed() -> None:
    before = PICTURE.copy()
    to_tensor(PICTURE, InputSpec(**SAME, **IMAGENET))
    to_tensor(PICTURE, InputSpec(size=(96, 96), resize="letterbox_center"))
    assert np.array_equal(PICTURE, before)


# ------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
def test_a_stretched_picture_fills_the_input(interpolation: Any) -> None:
    tensor, at = to_tensor(PICTURE, InputSpec(size=(40, 32), interpolation=interpolation))
    expected = shrunk(PICTURE, 32, 40, Image.Resampling[interpolation.upper()]) / 255
    assert at == Placement((40, 32), 0, 0, 40, 32)
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, atol=1e-6)


def test_one_number_is_a_square() -> None:
    tensor, at = to_tensor(PICTURE, InputSpec(size=40))
    assert tensor.shape == (1, 3, 40, 40)
    assert at.canvas == (40, 40)


@pytest.mark.parametrize(
    ("resize", "size", "multiple_of", "max_size", "picture", "canvas"),
    [
        ("fit_short", 512, 32, 2048, (600, 800), (512, 672)),  # 682.7 -> 21.3 x 32
        ("fit_short", 512, 32, 2048, (800, 600), (672, 512)),
        ("fit_short", 512, 32, 2048, (100, 100), (512, 512)),  # small pictures grow
        ("fit_short", 512, 32, 1024, (500, 2000), (256, 1024)),  # the long edge holds
        ("fit_short", 512, 32, 2048, (10, 4000), (32, 2048)),  # at least one block
        ("fit_short", 64, 1, 2048, (100, 333), (64, 213)),
        ("fit_long", 512, 32, 2048, (600, 800), (384, 512)),
        ("fit_long", 512, 32, 2048, (800, 600), (512, 384)),
        ("fit_long", 512, 64, 2048, (100, 1000), (64, 512)),
        ("fit_long", 512, 32, 2048, (1, 4000), (32, 512)),
    ],
)
def test_a_fitted_picture_keeps_its_shape_to_the_nearest_multiple(
    resize: Any, size: int, multiple_of: int, max_size: int, picture: tuple[int, int], canvas: tuple[int, int]
) -> None:
    spec = InputSpec(resize=resize, size=size, dynamic=True, multiple_of=multiple_of, max_size=max_size)
    assert place(spec, picture) == Placement(canvas, 0, 0, *canvas)


@settings(deadline=None)
@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    resize=st.sampled_from(["fit_short", "fit_long"]),
    multiple_of=st.sampled_from([1, 8, 32, 64]),
)
def test_a_fitted_picture_never_exceeds_the_largest_input(
    height: int, width: int, resize: Any, multiple_of: int
) -> None:
    spec = InputSpec(resize=resize, size=512, dynamic=True, multiple_of=multiple_of, max_size=2048)
    canvas = place(spec, (height, width)).canvas
    assert all(edge % multiple_of == 0 and multiple_of <= edge <= 2048 for edge in canvas)


def test_a_largest_input_that_is_no_multiple_holds_as_well() -> None:
    spec = InputSpec(resize="fit_short", size=512, dynamic=True, multiple_of=32, max_size=1010)
    assert max(place(spec, (100, 5000)).canvas) <= 1010


def test_a_fitted_picture_is_resized_to_its_canvas() -> None:
    tensor, at = to_tensor(PICTURE, InputSpec(resize="fit_short", size=32, dynamic=True, multiple_of=8))
    assert at.canvas == (32, 40)  # 42.7 -> 5.3 x 8
    expected = shrunk(PICTURE, 40, 32, Image.Resampling.BILINEAR) / 255
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, atol=1e-6)


@pytest.mark.parametrize(("resize", "top"), [("letterbox_center", 8), ("letterbox_topleft", 0)])
def test_a_letterboxed_picture_lies_on_its_padding(resize: Any, top: int) -> None:
    spec = InputSpec(resize=resize, size=(64, 64), pad_value=114, **IMAGENET)
    tensor, at = to_tensor(PICTURE, spec)  # 48 x 64: fits without resizing
    canvas = np.full((64, 64, 3), 114, np.uint8)
    canvas[top : top + 48] = PICTURE
    assert at == Placement((64, 64), top, 0, 48, 64)
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), normalised(canvas, 255, **IMAGENET), atol=1e-6)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_padding_of_mean_is_nought_after_normalisation(layout: Any) -> None:
    spec = InputSpec(resize="letterbox_topleft", size=(64, 64), pad_value="mean", layout=layout, **IMAGENET)
    tensor, _ = to_tensor(PICTURE, spec)
    planes = tensor[0] if layout == "NHWC" else tensor[0].transpose(1, 2, 0)
    np.testing.assert_allclose(planes[:48], normalised(PICTURE, 255, **IMAGENET), atol=1e-6)
    assert (planes[48:] == 0).all()


def test_raw_bytes_have_no_mean_to_pad_with() -> None:
    with pytest.raises(ValidationError, match="pad_value mean is for normalised pixels"):
        InputSpec(dtype="uint8", scale=1, pad_value="mean")


@settings(deadline=None)
@given(
    picture=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    canvas=st.tuples(st.integers(32, 600), st.integers(32, 600)),
    resize=st.sampled_from(["letterbox_center", "letterbox_topleft"]),
)
def test_a_letterboxed_picture_touches_two_edges_and_leaves_none(
    picture: tuple[int, int], canvas: tuple[int, int], resize: Any
) -> None:
    at = place(InputSpec(resize=resize, size=canvas), picture)
    assert 1 <= at.height <= canvas[0] - at.top
    assert 1 <= at.width <= canvas[1] - at.left
    assert at.height == canvas[0] or at.width == canvas[1]
    scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
    assert abs(at.height - picture[0] * scale) < 1
    assert abs(at.width - picture[1] * scale) < 1


# ------------------------------------------------------------------------------------------------- there and back


def brightness(tensor: Array, layout: str, scale: float = 1.0) -> Array:
    """What the tiny networks compute, without one."""
    mean = np.mean(tensor.astype(np.float32), axis=1 if layout == "NCHW" else 3, keepdims=True)
    return np.asarray(mean / np.float32(scale))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("options", "picture"),
    [
        ({"size": (64, 64)}, (128, 128)),
        ({"size": (64, 32)}, (128, 128)),
        ({"size": (64, 64), "resize": "letterbox_center"}, (64, 128)),
        ({"size": (64, 64), "resize": "letterbox_center"}, (128, 64)),
        ({"size": (64, 64), "resize": "letterbox_topleft"}, (128, 64)),
        ({"size": (64, 64), "resize": "letterbox_center", "pad_value": 255}, (128, 64)),
        ({"size": (128, 96), "resize": "letterbox_center", "pad_value": 255}, (64, 32)),
        ({"size": 64, "resize": "fit_short", "dynamic": True, "multiple_of": 16}, (128, 256)),
        ({"size": 64, "resize": "fit_long", "dynamic": True, "multiple_of": 16}, (128, 64)),
    ],
)
def test_a_rectangle_comes_back_where_it_was(options: dict[str, Any], picture: tuple[int, int], layout: Any) -> None:
    truth = np.zeros(picture, np.uint8)
    truth[picture[0] // 4 : picture[0] // 2, picture[1] // 8 : picture[1] // 2] = 255  # whole pixels at each scale
    spec = InputSpec(interpolation="box", layout=layout, **options)
    tensor, at = to_tensor(np.repeat(truth[..., None], 3, axis=2), spec)
    maps = maps_of(brightness(tensor, layout), OutputSpec(), layout, at)
    mask = to_mask(maps[""], picture)
    assert np.array_equal(mask > 127, truth > 127)


@pytest.mark.parametrize("resize", ["letterbox_center", "letterbox_topleft"])
@pytest.mark.parametrize("picture", [(333, 517), (517, 333), (90, 700), (61, 67)])
def test_a_rectangle_comes_back_from_odd_sizes_too(resize: Any, picture: tuple[int, int]) -> None:
    truth = np.zeros(picture, np.uint8)
    truth[picture[0] // 5 : picture[0] * 3 // 4, picture[1] // 3 : picture[1] * 5 // 6] = 255
    spec = InputSpec(size=(256, 256), resize=resize, pad_value=128)
    tensor, at = to_tensor(np.repeat(truth[..., None], 3, axis=2), spec)
    mask = to_mask(maps_of(brightness(tensor, "NCHW"), OutputSpec(), "NCHW", at)[""], picture) > 127
    both, either = (mask & (truth > 0)).sum(), (mask | (truth > 0)).sum()
    assert both / either > 0.96


def test_padding_is_cut_off_an_output_of_another_resolution() -> None:
    at = Placement((64, 64), 16, 0, 32, 64)
    output = np.zeros((1, 1, 16, 16), np.float32)  # a quarter of the input
    output[0, 0, 4:12] = 0.75
    maps = maps_of(output, OutputSpec(), "NCHW", at)
    assert maps[""].shape == (8, 16)
    assert (maps[""] == 0.75).all()


# ------------------------------------------------------------------------------------------------- output

FULL = Placement((4, 6), 0, 0, 4, 6)
PLANE = np.linspace(0.1, 0.9, 24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize(
    ("output", "layout"),
    [
        (PLANE, "NCHW"),
        (PLANE, "NHWC"),
        (PLANE[None], "NCHW"),
        (PLANE[None], "NHWC"),
        (PLANE[..., None], "NHWC"),
        (PLANE[..., None], "NCHW"),
        (PLANE[None, None], "NCHW"),
        (PLANE[None, ..., None], "NHWC"),
        (PLANE[None, ..., None], "NCHW"),
    ],
)
def test_the_plane_is_found_whatever_axes_surround_it(output: Array, layout: str) -> None:
    maps = maps_of(output, OutputSpec(), layout, FULL)
    assert list(maps) == [""]
    assert maps[""].dtype == np.float32
    np.testing.assert_array_equal(maps[""], PLANE)


@pytest.mark.parametrize("shape", [(4,), (2, 1, 4, 6), (1, 1, 1, 4, 6), (1, 0, 4, 6), ()])
def test_an_output_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SessionError, match=r"output has shape .*planes were expected"):
        maps_of(np.zeros(shape, np.float32), OutputSpec(), "NCHW", FULL)


def test_values_beyond_0_to_1_are_cut() -> None:
    maps = maps_of(np.array([[-3.0, 0.25, 7.0]], np.float32), OutputSpec(), "NCHW", FULL)
    np.testing.assert_array_equal(maps[""], [[0.0, 0.25, 1.0]])


def test_half_precision_becomes_single() -> None:
    maps = maps_of(PLANE.astype(np.float16), OutputSpec(), "NCHW", FULL)
    assert maps[""].dtype == np.float32


def test_sigmoid() -> None:
    logits = np.array([[-800, -5, 0, 2, 800]], np.float32)
    maps = maps_of(logits, OutputSpec(kind="logits", activation="sigmoid"), "NCHW", FULL)
    expected = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -700, 700)))
    np.testing.assert_allclose(maps[""], expected, atol=1e-6)


def test_sigmoid_of_half_precision_does_not_overflow() -> None:
    logits = np.array([[-60_000, 0, 60_000]], np.float16)
    maps = maps_of(logits, OutputSpec(kind="logits", activation="sigmoid"), "NCHW", FULL)
    np.testing.assert_array_equal(maps[""], [[0, 0.5, 1]])


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_softmax_over_the_channels(channel: int) -> None:
    logits = RNG.normal(0, 30, (1, 3, 4, 6)).astype(np.float32)
    maps = maps_of(logits, OutputSpec(kind="logits", activation="softmax", channel=channel), "NCHW", FULL)
    e = np.exp(logits[0].astype(np.float64) - logits.max())
    np.testing.assert_allclose(maps[""], (e / e.sum(axis=0))[channel], atol=1e-6)


def test_softmax_of_channels_that_come_last() -> None:
    logits = RNG.normal(0, 3, (1, 4, 6, 2)).astype(np.float32)
    spec = OutputSpec(kind="logits", activation="softmax", channel=1)
    maps = maps_of(logits, spec, "NHWC", FULL)
    np.testing.assert_allclose(maps[""], 1 / (1 + np.exp(logits[0, ..., 0] - logits[0, ..., 1])), atol=1e-6)


def test_minmax_stretches_to_0_and_1() -> None:
    maps = maps_of(PLANE, OutputSpec(normalise="minmax"), "NCHW", FULL)
    np.testing.assert_allclose(maps[""], (PLANE - 0.1) / 0.8, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_minmax_of_a_flat_answer_leaves_it(level: float) -> None:
    maps = maps_of(np.full((4, 6), level, np.float32), OutputSpec(normalise="minmax"), "NCHW", FULL)
    np.testing.assert_allclose(maps[""], level)


def test_minmax_looks_at_the_picture_and_not_at_its_padding() -> None:
    at = Placement((6, 6), 1, 0, 4, 6)
    output = np.pad(PLANE, ((1, 1), (0, 0)), constant_values=-5)
    maps = maps_of(output, OutputSpec(normalise="minmax"), "NCHW", at)
    assert (maps[""].min(), maps[""].max()) == (0.0, 1.0)


def test_the_channel_named_is_the_foreground() -> None:
    planes = np.stack([PLANE, PLANE / 2, PLANE / 4])[None]
    maps = maps_of(planes, OutputSpec(channel=2), "NCHW", FULL)
    np.testing.assert_array_equal(maps[""], PLANE / 4)


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(SessionError, match="has 2 channels, so there is no channel 2"):
        maps_of(np.zeros((1, 2, 4, 6), np.float32), OutputSpec(channel=2), "NCHW", FULL)


LABELS = OutputSpec(kind="labels", classes={0: "background", 1: "upper", 2: "lower"})
NUMBERS = RNG.integers(0, 3, (4, 6))


def one_hot(numbers: Array) -> Array:
    return np.stack([(numbers == n).astype(np.float32) for n in range(3)])[None] * 5 - 2


@pytest.mark.parametrize("make", [one_hot, lambda n: n[None, None], lambda n: n[None].astype(np.float32), lambda n: n])
def test_labels_come_from_scores_or_from_class_numbers(make: Callable[[Array], Array]) -> None:
    maps = maps_of(make(NUMBERS), LABELS, "NCHW", FULL)
    assert list(maps) == ["upper", "lower"]
    np.testing.assert_array_equal(maps["upper"], NUMBERS == 1)
    np.testing.assert_array_equal(maps["lower"], NUMBERS == 2)
    assert maps["lower"].dtype == np.float32


def test_labels_with_softmax_are_soft() -> None:
    scores = RNG.normal(0, 2, (1, 3, 4, 6)).astype(np.float32)
    spec = OutputSpec(kind="labels", activation="softmax", classes=LABELS.classes)
    maps = maps_of(scores, spec, "NCHW", FULL)
    e = np.exp(scores[0])
    np.testing.assert_allclose(maps["lower"], (e / e.sum(axis=0))[2], atol=1e-6)


def test_a_single_class_beside_the_background_needs_no_name() -> None:
    spec = OutputSpec(kind="labels", classes={0: "background", 1: "person"})
    maps = maps_of(one_hot(NUMBERS)[:, :2], spec, "NCHW", FULL)
    assert list(maps) == [""]
    np.testing.assert_array_equal(maps[""], NUMBERS == 1)


def test_fewer_classes_than_promised_are_refused() -> None:
    with pytest.raises(SessionError, match="has 2 classes; the registry names class 2"):
        maps_of(np.zeros((1, 2, 4, 6), np.float32), LABELS, "NCHW", FULL)


@pytest.mark.parametrize(
    "spec",
    [
        OutputSpec(),
        OutputSpec(normalise="minmax"),
        OutputSpec(kind="logits", activation="sigmoid"),
        OutputSpec(kind="logits", activation="softmax", channel=1),
        LABELS,
        OutputSpec(kind="labels", activation="softmax", classes=LABELS.classes),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_a_number_is_refused(value: float, spec: OutputSpec) -> None:
    output = np.zeros((1, 4, 4, 6), np.float32)
    output[0, :, 1, 1] = value
    with pytest.raises(SessionError, match=r"not numbers\. Try another mean, std or size"):
        maps_of(output, spec, "NCHW", FULL)


# ------------------------------------------------------------------------------------------------- the visitor's values

FIXED = InputSpec(size=(320, 320), **IMAGENET)
FREE = InputSpec(size=512, dynamic=True, multiple_of=32, resize="fit_short", **IMAGENET)


def test_without_values_of_ones_own_the_models_stand() -> None:
    assert overridden(FIXED, Settings()) == FIXED


def test_one_number_is_taken_for_each_colour_and_three_as_they_are() -> None:
    assert overridden(FIXED, Settings(mean=0.5, std=0.25)).mean == (0.5,) * 3
    assert overridden(FIXED, Settings(mean=0.5, std=0.25)).std == (0.25,) * 3
    assert overridden(FIXED, Settings(mean=(0.1, 0.2, 0.3))).mean == (0.1, 0.2, 0.3)
    assert overridden(FIXED, Settings(mean=0.5)).std == FIXED.std


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_model_of_raw_bytes_takes_no_mean_or_std(name: str) -> None:
    spec = InputSpec(dtype="uint8", scale=1, size=64)
    with pytest.raises(SettingsError, match=f"takes raw pixels: leave {name} empty"):
        overridden(spec, Settings(**{name: 0.5}))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [512, (320, 352), 32])
def test_a_fixed_model_takes_its_own_size_only(size: Any) -> None:
    with pytest.raises(SettingsError, match="works at 320 x 320 only; leave size empty"):
        overridden(FIXED, Settings(size=size))


@pytest.mark.parametrize("size", [320, (320, 320)])
def test_a_fixed_model_takes_its_own_size(size: Any) -> None:
    assert place(overridden(FIXED, Settings(size=size)), (100, 200)).canvas == (320, 320)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (500, "multiple of 32 for this model, not 500; nearest: 480 or 512"),
        ((512, 500), "multiple of 32 for this model, not 500"),
        (33, "nearest: 32 or 64"),
        (4096, "between 32 and 2048 for this model, not 4096"),
        ((4096, 512), "between 32 and 2048"),
    ],
)
def test_a_dynamic_model_takes_multiples_within_its_limits(size: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        overridden(FREE, Settings(size=size))


def test_one_number_is_the_edge_to_fit_and_two_are_the_input_itself() -> None:
    assert place(overridden(FREE, Settings(size=256)), (300, 600)).canvas == (256, 512)
    assert place(overridden(FREE, Settings(size=(256, 320))), (300, 600)).canvas == (256, 320)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_tiny_std_overflows_without_noise(dtype: Any) -> None:
    spec = overridden(InputSpec(size=64, dtype=dtype), Settings(std=1e-30))
    tensor, _ = to_tensor(PICTURE, spec)
    assert tensor.shape == (1, 3, 64, 64)
