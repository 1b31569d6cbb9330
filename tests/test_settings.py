"""Settings: defaults of the node, every value out of its range refused with a sentence that names it."""

import re
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import ValidationError

from segmentation import Settings, SettingsError
from segmentation.settings import (
    BACKGROUNDS,
    CHOICES,
    FIELDS,
    MAX_ERODE_SIZE,
    MAX_SIZE,
    MIN_SIZE,
    OUTPUT_ENDINGS,
    RANGES,
    Export,
    Range,
    help_text,
    parse_numbers,
    parse_size,
    with_values,
)

FOREGROUND = "alpha_matting_foreground_threshold"
BACKGROUND = "alpha_matting_background_threshold"
ERODE = "alpha_matting_erode_size"


def test_the_defaults_are_those_of_the_node() -> None:
    assert Settings().model_dump() == {
        "alpha_matting": True,
        FOREGROUND: 240,
        BACKGROUND: 20,
        ERODE: 10,
        "matting_method": "fast",  # not the node's, but its answer is no worse
        "trust_mask": 0.003,
        "post_process_mask": False,
        "decontaminate": False,
        "invert": False,
        "mask_mode": "replace",
        "subjects": "all",
        "prompt_model": "",
        "classes": "each",
        "mean": None,
        "std": None,
        "size": None,
        "contract": "",
    }


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="size"):
        Settings().size = 512  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({ERODE: 100_000}, rf"{ERODE} must lie between 0 and {MAX_ERODE_SIZE}, not 100000"),
        ({ERODE: -1}, f"{ERODE} must lie between"),
        ({ERODE: 2.5}, f"{ERODE} must be a whole number"),
        ({ERODE: "10"}, f"{ERODE} must be a whole number"),
        ({ERODE: True}, f"{ERODE} must be a whole number"),
        ({ERODE: None}, f"{ERODE} must be a whole number"),
        ({ERODE: float("nan")}, f"{ERODE} must be a whole number"),
        ({ERODE: float("inf")}, f"{ERODE} must be a whole number"),
        ({FOREGROUND: 300}, f"{FOREGROUND} must lie between 0 and 255, not 300"),
        ({FOREGROUND: -1}, f"{FOREGROUND} must lie between"),
        ({BACKGROUND: 300}, f"{BACKGROUND} must lie between 0 and 255, not 300"),
        ({BACKGROUND: [20]}, f"{BACKGROUND} must be a whole number"),
        ({FOREGROUND: 20, BACKGROUND: 240}, rf"{BACKGROUND} \(240\) must be below.*{FOREGROUND} \(20\)"),
        ({FOREGROUND: 100, BACKGROUND: 100}, f"{BACKGROUND}.*must be below"),
        ({"alpha_matting": 1}, "alpha_matting must be true or false"),
        ({"alpha_matting": "yes"}, "alpha_matting must be true or false"),
        ({"post_process_mask": None}, "post_process_mask must be true or false"),
        ({"decontaminate": 0}, "decontaminate must be true or false, not 0"),
        ({"decontaminate": "true"}, "decontaminate must be true or false, not 'true'"),
        ({"classes": None}, "classes must be each, all, or names of classes such as hair,hat, not None"),
        ({"classes": 3}, "classes must be each, all, or names"),
        ({"classes": ["hair", 3]}, "classes must be each, all, or names"),
        ({"classes": ["each", "hair"]}, "classes must be each, all, or names"),
        ({"classes": "hair,../hat"}, "classes must be each, all, or names"),
        ({"classes": "-hair"}, "classes must be each, all, or names"),
        ({"classes": "髪"}, "classes must be each, all, or names"),
        ({"classes": "x" * 65}, "classes must be each, all, or names"),
        ({"classes": [f"c{n}" for n in range(501)]}, "classes must be each, all, or names"),
        ({"classes": {"hair": 1}}, "classes must be each, all, or names"),
        ({"mean": float("nan")}, "mean must be ordinary numbers"),
        ({"mean": (0.5, float("inf"), 0.5)}, "mean must be ordinary numbers"),
        ({"mean": (0.5, 0.5)}, "mean must be one number or three"),
        ({"mean": ()}, "mean must be one number or three"),
        ({"mean": "0.5"}, "mean must be one number or three"),
        ({"mean": True}, "mean must be one number or three"),
        ({"mean": (0.5, 0.5, None)}, "mean must be one number or three"),
        ({"mean": {"r": 1}}, "mean must be one number or three"),
        ({"mean": 1e9}, "mean must be ordinary numbers"),
        ({"std": 0}, "std must not be 0"),
        ({"std": -0.0}, "std must not be 0"),
        ({"std": (0.2, 0.2, 0.0)}, "std must not be 0"),
        ({"std": float("nan")}, "std must be ordinary numbers"),
        ({"size": 0}, rf"size must lie between {MIN_SIZE} and {MAX_SIZE}, not 0"),
        ({"size": 7}, "size must lie between .*not 7"),
        ({"size": 1_000_000}, "size must lie between .*not 1000000"),
        ({"size": -320}, "size must lie between"),
        ({"size": 320.5}, "size must be a whole number"),
        ({"size": "320"}, "size must be a whole number"),
        ({"size": (320,)}, "size must be one number or height and width"),
        ({"size": (320, 320, 3)}, "size must be one number or height and width"),
        ({"size": (320, 7)}, "size must lie between"),
        ({"size": [320, None]}, "size must be a whole number"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_number_of_four_hundred_digits_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be"):
        Settings(**{name: 10**400})  # type: ignore[arg-type]


def test_a_long_wrong_value_makes_no_long_sentence() -> None:
    with pytest.raises(SettingsError, match="alpha_matting must be true or false") as caught:
        Settings(alpha_matting="x" * 100_000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({ERODE: 0}, {ERODE: 0}),
        ({ERODE: MAX_ERODE_SIZE}, {ERODE: MAX_ERODE_SIZE}),
        ({ERODE: 12.0}, {ERODE: 12}),  # JSON and sliders give floats
        ({FOREGROUND: 255, BACKGROUND: 0}, {FOREGROUND: 255, BACKGROUND: 0}),
        ({"classes": "hair"}, {"classes": ("hair",)}),
        ({"classes": "hat, Hair,,hat"}, {"classes": ("hair", "hat")}),  # what means the same is the same
        ({"classes": ["hat", "Upper clothes"]}, {"classes": ("hat", "upper-clothes")}),
        ({"classes": "ALL"}, {"classes": "all"}),
        ({"classes": ["hair", "all"]}, {"classes": "all"}),
        ({"classes": []}, {"classes": "each"}),
        ({"classes": " "}, {"classes": "each"}),
        ({"classes": ("each",)}, {"classes": "each"}),
        ({"classes": "7"}, {"classes": ("7",)}),
        ({"mean": 0.5}, {"mean": 0.5}),
        ({"mean": [0.5]}, {"mean": 0.5}),
        ({"mean": [0, 0.5, 1]}, {"mean": (0.0, 0.5, 1.0)}),
        ({"std": -1}, {"std": -1.0}),
        ({"size": 512.0}, {"size": 512}),
        ({"size": [512, 768]}, {"size": (512, 768)}),
    ],
)
def test_values_within_their_ranges_are_kept(given: dict[str, Any], kept: dict[str, Any]) -> None:
    settings = Settings(**given)
    for name, value in kept.items():
        assert getattr(settings, name) == value
        assert type(getattr(settings, name)) is type(value)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", None),
        (None, None),
        ("  ", None),
        ("0.5", 0.5),
        ("0.485, 0.456, 0.406", (0.485, 0.456, 0.406)),
        ("0.485 0.456 0.406", (0.485, 0.456, 0.406)),
        ("0.485;0.456;0.406", (0.485, 0.456, 0.406)),
        ("[0.485, 0.456, 0.406]", (0.485, 0.456, 0.406)),
        ("(1, 2, 3)", (1.0, 2.0, 3.0)),
        ("-1e-2", -0.01),
    ],
)
def test_typed_numbers_are_read(text: str | None, numbers: object) -> None:
    assert parse_numbers("mean", text) == numbers


@pytest.mark.parametrize("text", ["half", "0.5, x, 0.5", "0.5.5", "1/2", "__import__('os')"])
def test_typed_words_are_no_numbers(text: str) -> None:
    with pytest.raises(SettingsError, match=f"std must be one number or three.*{re.escape(text[:4])}"):
        parse_numbers("std", text)


@pytest.mark.parametrize("text", ["nan", "inf", "0.5, nan, 0.5", "1e999"])
def test_typed_numbers_that_are_none_are_refused_by_the_settings(text: str) -> None:
    with pytest.raises(SettingsError, match="mean must be ordinary numbers"):
        Settings(mean=parse_numbers("mean", text))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", None),
        (None, None),
        ("512", 512),
        (" 512 ", 512),
        ("512x768", (512, 768)),
        ("512 X 768", (512, 768)),
        ("512 × 768", (512, 768)),
        ("512, 768", (512, 768)),
        ("[512, 768]", (512, 768)),
    ],
)
def test_a_typed_size_is_read_as_height_and_width(text: str | None, size: object) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["big", "512.5", "512x", "5" * 10_000, "0x200"])
def test_a_typed_size_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"size must "):
        Settings(size=parse_size(text))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- export


def test_an_export_is_a_whole_transparent_png_by_default() -> None:
    assert Export().model_dump() == {
        "background": "transparent",
        "background_fit": "fill",
        "background_blur": 2.0,
        "crop": False,
        "crop_margin": 5.0,
        "canvas": "none",
        "canvas_fill": 85.0,
        "canvas_align": "box",
        "canvas_margin": 0.0,
        "outline_width": 0.0,
        "outline_colour": "#ffffff",
        "shadow": "none",
        "shadow_angle": 60.0,
        "shadow_distance": 3.0,
        "shadow_blur": 2.5,
        "shadow_opacity": 50.0,
        "format": "png",
        "max_edge": 0,
        "max_kb": 0,
    }
    assert Export().colour is None


@pytest.mark.parametrize(("kind", "ending"), [("png", ".png"), ("webp", ".webp"), ("jpeg", ".jpg")])
def test_each_format_has_its_ending(kind: Any, ending: str) -> None:
    assert Export(format=kind).ending == ending


def test_every_format_is_known_by_its_ending() -> None:
    for kind in get_args(get_type_hints(Export)["format"]):
        assert OUTPUT_ENDINGS[Export(format=kind).ending] == kind


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_background_that_is_no_colour_has_none(background: str) -> None:
    export = Export(background=background)
    assert export.background == background
    assert export.colour is None


@pytest.mark.parametrize(
    ("text", "kept", "colour"),
    [
        ("#ff8000", "#ff8000", (255, 128, 0)),
        ("#FF8000", "#ff8000", (255, 128, 0)),
        (" #ff8000 ", "#ff8000", (255, 128, 0)),
        ("#f80", "#ff8800", (255, 136, 0)),
        ("#000", "#000000", (0, 0, 0)),
        ("rgb(255, 128, 0)", "#ff8000", (255, 128, 0)),
        ("rgb(255,128,0)", "#ff8000", (255, 128, 0)),
        ("RGB(255, 128, 0)", "#ff8000", (255, 128, 0)),
        ("rgba(255, 128, 0, 1)", "#ff8000", (255, 128, 0)),
        ("rgba(255,128,0,1.00)", "#ff8000", (255, 128, 0)),
        ("rgba(254.6, 127.6, 0.2, 1)", "#ff8000", (255, 128, 0)),  # as Gradio's picker has it
        ("rgba(0, 5., .4, 1.)", "#000500", (0, 5, 0)),
    ],
)
def test_a_colour_is_taken_as_people_and_pickers_write_it(text: str, kept: str, colour: tuple[int, int, int]) -> None:
    export = Export(background=text)
    assert export.background == kept
    assert export.colour == colour


@pytest.mark.parametrize(
    "value",
    [
        "", "red", "Transparent", "#", "#ff", "#fffff", "#fffffff", "#ffffffffff", "ffffff", "#gggggg", "#ff\n",
        "rgb(256, 0, 0)", "rgb(-1, 0, 0)", "rgb(1, 2)", "rgb(1, 2, 3, 4)", "rgba(1, 2, 3, 0.5)", "rgba(1, 2, 3, 0)",
        "rgb(1..2, 2, 3)", "rgb(., 2, 3)", "rgb(1%, 2%, 3%)", "hsl(0, 0%, 0%)", "#ffffff; x", None, 0, True,
        (255, 255, 255), ["transparent"], {"r": 1}, b"#ffffff", "rgb(" + "1" * 1000 + ", 0, 0)",
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_what_is_no_colour_is_refused(value: Any) -> None:
    sentence = "background must be transparent, picture, blur, mask or a colour such as #ffffff, not "
    with pytest.raises(SettingsError, match=sentence + re.escape(repr(value)[:60])) as caught:
        Export(background=value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"background_fit": "stretch"}, "background_fit must be fill or fit, not 'stretch'"),
        ({"background_fit": None}, "background_fit must be fill or fit"),
        ({"background_blur": 0.09}, "background_blur must be a number from 0.1 to 20, not 0.09"),
        ({"background_blur": 20.1}, "background_blur must be a number from 0.1 to 20"),
        ({"background_blur": float("nan")}, "background_blur must be a number"),
        ({"background_blur": "2"}, "background_blur must be a number"),
        ({"background_blur": True}, "background_blur must be a number"),
        ({"format": "bmp"}, "format must be png, webp or jpeg, not 'bmp'"),
        ({"format": "PNG"}, "format must be png, webp or jpeg, not 'PNG'"),
        ({"format": ["png"]}, "format must be png, webp or jpeg"),
        ({"crop": 1}, "crop must be true or false, not 1"),
        ({"crop": None}, "crop must be true or false"),
        ({"crop_margin": -0.1}, "crop_margin must be a number from 0 to 100, not -0.1"),
        ({"crop_margin": 100.5}, "crop_margin must be a number from 0 to 100"),
        ({"crop_margin": float("inf")}, "crop_margin must be a number"),
        ({"crop_margin": 10**400}, "crop_margin must be a number"),
        ({"crop_margin": None}, "crop_margin must be a number"),
        (
            {"canvas": "square"},
            "canvas must be none, a shape such as 4:5 .at most 10:1., or width x .* 'square'",
        ),
        ({"canvas": "11:1"}, "canvas must be none, a shape"),
        ({"canvas": "0:1"}, "canvas must be none, a shape"),
        ({"canvas": "1000x15"}, "canvas must be none, a shape .* .16 to 7000 pixels each."),
        ({"canvas": "7001"}, "canvas must be none, a shape"),
        ({"canvas": None}, "canvas must be none, a shape"),
        ({"canvas": True}, "canvas must be none, a shape"),
        ({"canvas": ["1:1"]}, "canvas must be none, a shape"),
        ({"canvas_fill": 0}, "canvas_fill must be a number from 1 to 200, not 0"),
        ({"canvas_align": "top"}, "canvas_align must be box, mass or bottom, not 'top'"),
        ({"canvas_margin": -1}, "canvas_margin must be one number from 0 to 45, or four"),
        ({"canvas_margin": (1, 2)}, "canvas_margin must be one number from 0 to 45, or four"),
        ({"canvas_margin": (1, 2, 3, 46)}, r"canvas_margin must be .* .top, right, bottom, left., not \(1, 2, 3, 46\)"),
        ({"canvas_margin": "5"}, "canvas_margin must be one number"),
        ({"outline_width": 20.5}, "outline_width must be a number from 0 to 20"),
        ({"outline_colour": "white"}, "outline_colour must be a colour such as #ffffff, not 'white'"),
        ({"outline_colour": "blur"}, "outline_colour must be a colour"),
        ({"shadow": True}, "shadow must be none, drop, contact or both, not True"),
        ({"shadow_angle": 361}, "shadow_angle must be a number from 0 to 360"),
        ({"shadow_opacity": 101}, "shadow_opacity must be a number from 0 to 100"),
        ({"max_edge": 30_001}, "max_edge must lie between 0 and 30000"),
        ({"max_edge": 10.5}, "max_edge must be a whole number from 0 to 30000, not 10.5"),
        ({"max_kb": None}, "max_kb must be a whole number from 0 to 100000, not None"),
    ],
)
def test_an_export_out_of_its_range_is_refused_by_name(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Export(**changes)


@pytest.mark.parametrize(
    "kept",
    [{"background_blur": 0.1}, {"background_blur": 20}, {"crop_margin": 0}, {"crop_margin": 100}, {"crop": True}],
)
def test_an_export_at_the_ends_of_its_ranges_is_kept(kept: dict[str, Any]) -> None:
    ((name, value),) = kept.items()
    assert getattr(Export(**kept), name) == value
    assert isinstance(getattr(Export(**kept), name), bool | float)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("none", "none"),
        ("None", "none"),
        ("", "none"),
        ("1:1", "1:1"),
        (" 16 : 9 ", "16:9"),
        ("1.91:1", "1.91:1"),
        ("1:10", "1:10"),
        ("1000x1500", "1000x1500"),
        ("1000 × 1500", "1000x1500"),
        ("01000X1500", "1000x1500"),
        (1000, "1000x1000"),
        ("7000", "7000x7000"),
    ],
)
def test_a_canvas_is_a_shape_or_a_size(given: Any, kept: str) -> None:
    assert Export(canvas=given).canvas == kept


def test_margins_are_one_number_or_four() -> None:
    assert Export(canvas_margin=5).margins == (5, 5, 5, 5)
    assert Export(canvas_margin=[1, 2, 3, 4.5]).margins == (1, 2, 3, 4.5)  # type: ignore[arg-type]
    assert Export(canvas_margin=[7]).canvas_margin == 7  # type: ignore[arg-type]
    assert Export(outline_colour="rgb(255, 0, 0)").outline_colour == "#ff0000"


def test_every_setting_has_a_help_of_one_sentence() -> None:
    for name in FIELDS:
        assert re.fullmatch(r"[A-Z'].{10,}[^.]\.", help_text(name)), name


# ------------------------------------------------------------------------------------------------- as a whole


def test_the_defaults_are_settings_too() -> None:
    assert Settings(**Settings().model_dump()) == Settings()
    assert Export(**Export().model_dump()) == Export()


def test_settings_with_the_same_values_are_equal_and_hash_alike() -> None:
    assert Settings(size=[512, 768], mean=[0.5]) == Settings(mean=0.5, size=(512, 768))  # type: ignore[arg-type]
    assert len({Settings(std=1), Settings(std=1.0), Settings(), Export(), Export(background="transparent")}) == 3
    assert Settings(std=1) != Settings()


def test_other_values_are_checked_and_normalised_as_all_are() -> None:
    settings = Settings(mean=0.5)
    assert with_values(settings, alpha_matting_erode_size=12.0) == Settings(mean=0.5, alpha_matting_erode_size=12)
    assert with_values(Export(crop=True), background="#F00") == Export(crop=True, background="#ff0000")
    assert settings == Settings(mean=0.5)
    with pytest.raises(SettingsError, match="size must lie between"):
        with_values(settings, size=7)
    with pytest.raises(SettingsError, match="must be below"):
        with_values(settings, alpha_matting_background_threshold=250)


def test_a_setting_that_does_not_exist_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValidationError, match="alpha_mating"):
        Settings(alpha_mating=True)  # type: ignore[call-arg]


def test_what_reads_the_settings_finds_their_ranges_and_choices() -> None:
    assert RANGES[ERODE] == Range(0, MAX_ERODE_SIZE, useful=100)
    assert RANGES["size"] == Range(MIN_SIZE, MAX_SIZE)
    assert CHOICES["background"] == BACKGROUNDS
    assert CHOICES[ERODE] == ("auto",)
    assert set(CHOICES["format"]) == set(OUTPUT_ENDINGS.values())


def test_a_background_may_be_a_translucent_colour() -> None:
    export = Export(background="#8D4F")
    assert (export.background, export.colour, export.colour_opacity) == ("#88dd44ff", (0x88, 0xDD, 0x44), 255)
    assert Export(background="#88dd44").colour_opacity is None
    on_white = Export(background="#00000080", format="jpeg")
    assert (on_white.colour, on_white.colour_opacity) == ((127, 127, 127), None)
    with pytest.raises(SettingsError, match="outline_colour must be a colour"):
        Export(outline_colour="#88dd44ff")
