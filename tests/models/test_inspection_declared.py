"""The two configuration files of a repository, key by key; and nonsense in them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.models.inspection.declared import parse_declared, read_declared
from segmentation.models.spec import InputSpec

MODNET = {
    "do_normalize": True, "do_pad": False, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
    "feature_extractor_type": "ImageFeatureExtractor", "image_std": [0.5, 0.5, 0.5], "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 512}, "size_divisibility": 32,
}  # fmt: skip
"""Xenova/modnet's."""


def test_modnets_own_file() -> None:
    declared = read_declared(MODNET, {"model_type": "modnet"})
    assert dict(declared.input) == {
        "multiple_of": 32, "size": 512, "resize": "fit_short", "interpolation": "bilinear",
        "scale": 255.0, "mean": (0.5,) * 3, "std": (0.5,) * 3,
    }  # fmt: skip
    assert (declared.model_type, declared.doubts, declared.problem, dict(declared.classes)) == ("modnet", (), "", {})


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"size": {"height": 480, "width": 640}}, {"size": (480, 640), "resize": "stretch"}),
        ({"size": 384}, {"size": (384, 384), "resize": "stretch"}),
        ({"size": [480, 640]}, {"size": (480, 640), "resize": "stretch"}),
        ({"size": {"shortest_edge": 256}}, {"size": 256, "resize": "fit_short"}),
        ({"size": {"shortest_edge": 256, "longest_edge": 900}}, {"size": 256, "resize": "fit_short", "max_size": 900}),
        ({"size": {"longest_edge": 640}}, {"size": 640, "resize": "fit_long"}),
        (
            {"size": {"longest_edge": 1024}, "do_pad": True, "pad_size": {"height": 1024, "width": 1024}},
            {"size": (1024, 1024), "resize": "letterbox_topleft", "pad_value": "mean"},
        ),
        (
            {"size": {"longest_edge": 640}, "do_pad": True},
            {"size": (640, 640), "resize": "letterbox_topleft", "pad_value": "mean"},
        ),
        ({"size": {"height": 480, "width": 640}, "do_resize": False}, {}),
        ({"ensure_multiple_of": 14}, {"multiple_of": 14}),
        ({"size_divisor": 32}, {"multiple_of": 32}),
        ({"resample": 0}, {"interpolation": "nearest"}),
        ({"resample": 1}, {"interpolation": "lanczos"}),
        ({"resample": 3}, {"interpolation": "bicubic"}),
        ({"resample": 4}, {"interpolation": "box"}),
        ({"do_flip_channel_order": True}, {"channels": "BGR"}),
        ({"do_rescale": True}, {"scale": 255.0}),
        ({"do_rescale": False, "do_normalize": False}, {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ({"do_normalize": False}, {"scale": 255.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ({"rescale_factor": 1 / 128, "do_normalize": False}, {"scale": 128.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}),
        (
            {"do_normalize": True, "image_mean": 0.5, "image_std": 0.25},
            {"scale": 255.0, "mean": (0.5,) * 3, "std": (0.25,) * 3},
        ),
        ({"image_processor": {"size": 320}}, {"size": (320, 320), "resize": "stretch"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_each_key_has_its_meaning(keys: dict[str, Any], values: dict[str, Any]) -> None:
    declared = read_declared(keys, None)
    assert dict(declared.input) == values
    assert declared.doubts == ()
    assert declared.problem == ""


@pytest.mark.parametrize(
    ("keys", "doubt"),
    [
        ({"size": "large"}, r"declared size makes no sense \('large'\)"),
        ({"size": {"height": -3, "width": 5}}, "declared size makes no sense"),
        ({"size": {"height": 10**30, "width": 5}}, "declared size makes no sense"),
        ({"size_divisibility": "32"}, "declared size_divisibility makes no sense"),
        ({"resample": 5}, "declared resample makes no sense"),
        ({"resample": True}, "declared resample makes no sense"),
        ({"rescale_factor": 0}, "declared rescale_factor makes no sense"),
        ({"image_mean": [1, 2], "image_std": [1, 2]}, "declared image_mean makes no sense"),
        ({"image_mean": ["a", "b", "c"]}, "declared image_mean makes no sense"),
        ({"image_mean": [1e300, 0, 0]}, "declared image_mean makes no sense"),
        ({"do_normalize": "yes"}, "declared do_normalize makes no sense"),
        ({"do_normalize": True}, "but not with which mean and std"),
        ({"do_normalize": True, "image_mean": [0, 0, 0], "image_std": [0, 1, 1]}, "but not with which mean and std"),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, "not whether to normalise"),
    ],
)
def test_nonsense_is_ignored_with_a_doubt(keys: dict[str, Any], doubt: str) -> None:
    declared = read_declared(keys, None)
    assert any(re.search(doubt, each) for each in declared.doubts)


@pytest.mark.parametrize(
    ("preprocessor", "config", "problem"),
    [
        ({"do_center_crop": True, "crop_size": {"height": 224, "width": 224}}, {}, "declared as a classifier"),
        ({"crop_size": 224}, {}, "declared as a classifier"),
        ({"image_processor_type": "Mask2FormerImageProcessor"}, {}, "finds separate objects"),
        ({}, {"model_type": "detr"}, "finds separate objects"),
        ({}, {"architectures": ["OneFormerForUniversalSegmentation"]}, "finds separate objects"),
        ({}, {"model_type": "sam"}, "promptable"),
        ({"feature_extractor_type": "SamFeatureExtractor"}, {}, "promptable"),
        ({}, {"model_type": "sam2_hiera_det_model"}, "promptable"),
    ],
)
def test_other_kinds_of_models_are_named(preprocessor: dict[str, Any], config: dict[str, Any], problem: str) -> None:
    assert problem in read_declared(preprocessor, config).problem


def test_a_segmentation_model_may_declare_a_crop() -> None:
    declared = read_declared(
        {"do_center_crop": True, "crop_size": 512}, {"architectures": ["MobileViTForSemanticSegmentation"]}
    )
    assert declared.problem == ""
    assert "crop to the picture's centre" in declared.doubts[0]
    assert read_declared({"do_center_crop": False, "crop_size": 512}, None).problem == ""
    assert read_declared({}, {"model_type": "same_thing"}).problem == ""


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ({"0": "Background", "1": "Hat", "4": "Upper-clothes"}, {0: "background", 1: "hat", 4: "upper-clothes"}),
        ({"0": "__background__", "1": "hair"}, {0: "background", 1: "hair"}),
        ({"1": "Left shoe", "2": "left-shoe"}, {1: "left-shoe", 2: "left-shoe-2"}),
        ({"0": "日本", "1": "x"}, {0: "class-0", 1: "x"}),
        ({"0": "LABEL_0", "1": "LABEL_1"}, {}),
        ({"0": "background"}, {}),
        ({"zero": "a"}, {}),
        ({"0": 5}, {}),
        ({str(number): f"c{number}" for number in range(1001)}, {}),
        (["a", "b"], {}),
    ],
)
def test_classes_are_named_as_the_registry_names_them(labels: Any, classes: dict[int, str]) -> None:
    assert dict(read_declared(None, {"id2label": labels}).classes) == classes


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"nu", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}",
     b"{" + b" " * (1 << 20) + b"}"],
)  # fmt: skip
def test_what_is_no_sensible_json_is_ignored(data: bytes) -> None:
    declared = parse_declared(data, data)
    assert dict(declared.input) == {}
    assert declared.doubts == (
        "preprocessor_config.json is not sensible JSON, so it was ignored.",
        "config.json is not sensible JSON, so it was ignored.",
    )


def test_no_files_declare_nothing_and_leave_no_doubt() -> None:
    assert parse_declared(None, None) == read_declared(None, None)
    assert parse_declared(None, None).doubts == ()


_KEYS = st.sampled_from([*MODNET, "do_center_crop", "crop_size", "pad_size", "id2label", "architectures", "model_type"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["height", "width", "shortest_edge", "longest_edge", "0", "1"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_KEYS, _JSON, max_size=8), st.dictionaries(_KEYS, _JSON, max_size=4))
def test_any_json_at_all_gives_values_that_are_valid(preprocessor: dict[str, Any], config: dict[str, Any]) -> None:
    values = {key: value for key, value in read_declared(preprocessor, config).input.items() if key != "max_size"}
    if "multiple_of" in values or str(values.get("resize")).startswith("fit"):
        values.pop("size", None), values.pop("resize", None)  # depend on the graph
    InputSpec(**values | {"max_size": 4096})
    parsed = parse_declared(json.dumps(preprocessor).encode(), json.dumps(config).encode())
    assert set(parsed.input) <= set(InputSpec.model_fields)
