"""Recipes: what is written is read back, whatever the settings; what is no recipe gets its sentence."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation import Correction, Point, Settings, SettingsError, Stroke
from segmentation.recipe import (
    DEFAULTS,
    Recipe,
    load_corrections,
    load_recipe,
    parse_value,
    save_recipe,
    write_value,
)
from segmentation.settings import (
    BACKGROUNDS,
    CHOICES,
    EACH_OR_ALL,
    MAX_ERODE_SIZE,
    MAX_MARGIN,
    MAX_SIZE,
    MIN_SIZE,
    Export,
)

FOREGROUND = "alpha_matting_foreground_threshold"
BACKGROUND = "alpha_matting_background_threshold"
ERODE = "alpha_matting_erode_size"

number = st.floats(-1000, 1000)
divisor = number.filter(lambda n: n != 0)
size = st.integers(MIN_SIZE, MAX_SIZE)
margin = st.floats(0, MAX_MARGIN)
colour = st.integers(0, 0xFFFFFF).map(lambda n: f"#{n:06x}")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "alpha_matting": st.booleans(),
    FOREGROUND: st.integers(128, 255),
    BACKGROUND: st.integers(0, 127),
    ERODE: st.just("auto") | st.integers(0, MAX_ERODE_SIZE),
    "matting_method": st.sampled_from(CHOICES["matting_method"]),
    "trust_mask": st.floats(0, 1),
    "post_process_mask": st.booleans(),
    "decontaminate": st.booleans(),
    "invert": st.booleans(),
    "mask_mode": st.sampled_from(CHOICES["mask_mode"]),
    "subjects": st.sampled_from(CHOICES["subjects"]),
    "prompt_model": st.sampled_from(["", "slimsam-77"]),
    "classes": st.sampled_from(EACH_OR_ALL)
    | st.lists(st.sampled_from(["hair", "hat", "7", "1e3", "a.b-c_d"]), max_size=4),
    "mean": st.none() | number | st.tuples(number, number, number),
    "std": st.none() | divisor | st.tuples(divisor, divisor, divisor),
    "size": st.none() | size | st.tuples(size, size),
    "contract": st.just("") | st.sampled_from(["scale=255 activation=sigmoid", "mean=0.5,0.4,0.3", "channel=1"]),
    "background": st.sampled_from(BACKGROUNDS) | colour,
    "background_fit": st.sampled_from(CHOICES["background_fit"]),
    "background_blur": st.floats(0.1, 20),
    "crop": st.booleans(),
    "crop_margin": st.floats(0, 100),
    "canvas": st.sampled_from(["none", "1:1", "16:9", "1.91:1", "1000x1500"]) | st.integers(16, 7000),
    "canvas_fill": st.floats(1, 200),
    "canvas_align": st.sampled_from(CHOICES["canvas_align"]),
    "canvas_margin": margin | st.tuples(margin, margin, margin, margin),
    "outline_width": st.floats(0, 20),
    "outline_colour": colour,
    "shadow": st.sampled_from(CHOICES["shadow"]),
    "shadow_angle": st.floats(0, 360),
    "shadow_distance": st.floats(0, 50),
    "shadow_blur": st.floats(0, 20),
    "shadow_opacity": st.floats(0, 100),
    "format": st.sampled_from(CHOICES["format"]),
    "max_edge": st.integers(0, 30_000),
    "max_kb": st.integers(0, 100_000),
}
recipes = st.builds(
    Recipe.of,
    st.sampled_from(["u2netp", "my model.onnx", "123", "null", "no", "übung: #1"]),
    st.fixed_dictionaries({}, optional=VALUES),
)


def test_every_setting_is_tried_here() -> None:
    assert list(VALUES) == list(DEFAULTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@settings(max_examples=100, deadline=None)
@given(recipe=recipes)
def test_a_written_recipe_is_read_back(folder: Path, recipe: Recipe) -> None:
    save_recipe(recipe, folder / "settings.yaml")
    assert load_recipe(folder / "settings.yaml") == (recipe, None, {})


@settings(max_examples=100, deadline=None)
@given(recipe=recipes)
def test_a_typed_value_is_read_as_the_value_it_was(recipe: Recipe) -> None:
    typed = {name: parse_value(name, write_value(value)) for name, value in recipe.values.items()}
    assert Recipe.of(recipe.model, typed) == recipe


@settings(max_examples=50, deadline=None)
@given(recipe=recipes)
def test_what_was_changed_is_enough_to_make_a_recipe_again(recipe: Recipe) -> None:
    assert list(recipe.values) == list(DEFAULTS)
    assert Recipe.of(recipe.model, recipe.changed) == recipe
    assert all(recipe.changed[name] != DEFAULTS[name] for name in recipe.changed)


def test_a_recipe_without_values_is_the_defaults() -> None:
    recipe = Recipe.of("u2netp", {})
    assert recipe == Recipe("u2netp", Settings(), Export())
    assert recipe.changed == {}
    assert recipe.values == DEFAULTS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (2.0, "2"),
        (0.003, "0.003"),
        (0.48145466, "0.48145466"),
        (("hair", "upper-clothes"), "hair,upper-clothes"),
        ((0.485, 0.456, 1.0), "0.485,0.456,1"),
        ((512, 768), "512,768"),
        ("auto", "auto"),
        ("#ffffff", "#ffffff"),
    ],
)
def test_values_are_written_as_people_type_them(value: Any, text: str) -> None:
    assert write_value(value) == text


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("alpha_matting", "True", True),
        ("alpha_matting", "0", False),
        ("crop", "1", True),
        ("canvas", "1000", 1000),
        ("canvas", "16:9", "16:9"),
        ("canvas_margin", "5,5,12,5", (5, 5, 12, 5)),
        ("canvas_margin", "0,5", 0.5),
        ("canvas_margin", "", 0.0),
        ("canvas_margin", "wide", "wide"),
        ("size", "512x768", (512, 768)),
        ("mean", "0.5, 0.5, 0.5", (0.5, 0.5, 0.5)),
        ("std", "", None),
        (ERODE, "auto", "auto"),
        (ERODE, "12", 12),
        ("trust_mask", "1e-3", 0.001),
        ("background", "#123456", "#123456"),
    ],
)
def test_typed_values_are_read(name: str, text: str, value: Any) -> None:
    read = parse_value(name, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("crop", "perhaps", "crop must be true or false, not 'perhaps'"),
        ("alpha_matting", "", "alpha_matting must be true or false, not ''"),
        (ERODE, "many", f"{ERODE} must be a whole number from 0 to 500 or auto, not 'many'"),
        (ERODE, "1.5", f"{ERODE} must be a whole number"),
        (FOREGROUND, "nan", f"{FOREGROUND} must be a whole number"),
        ("trust_mask", "nan", "trust_mask must be a number from 0 to 1"),
        ("crop_margin", "9" * 5000, "crop_margin must be a number from 0 to 100, not inf"),
        ("size", "1x2x3", "size must be one number or height and width"),
        ("mean", "a", "mean must be one number or three"),
        ("background", "000000", "background must be .* or a colour such as #ffffff, not 0"),
        ("format", "bmp", "format must be png, webp or jpeg, not 'bmp'"),
        ("colour", "red", "There is no setting 'colour'. Choose one of: alpha_matting, "),
    ],
)
def test_typed_values_of_another_kind_are_refused_by_name(name: str, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Recipe.of("u2netp", {name: parse_value(name, text)})


# ------------------------------------------------------------------------------------------------- files


def load(folder: Path, text: str) -> tuple[Recipe, Path | None]:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path)[:2]


def test_a_file_tells_how_to_use_it_and_names_every_setting(tmp_path: Path) -> None:
    save_recipe(Recipe("u2netp"), tmp_path / "mine.yaml")
    text = (tmp_path / "mine.yaml").read_text()
    assert "# " in text
    assert "python -m segmentation cut PICTURES --settings mine.yaml" in text
    assert list(yaml.safe_load(text)) == ["model", *DEFAULTS]


def test_a_file_may_leave_settings_out(tmp_path: Path) -> None:
    recipe, backdrop = load(tmp_path, "model: modnet\nsize: [256, 512]\nmean: [0.5, 0, 1]\ncrop: yes\n")
    assert recipe == Recipe("modnet", Settings(size=(256, 512), mean=(0.5, 0.0, 1.0)), Export(crop=True))
    assert backdrop is None


def test_the_shape_of_a_canvas_is_no_number_of_base_60(tmp_path: Path) -> None:
    recipe, _ = load(tmp_path, "model: modnet\ncanvas: 16:9\ncanvas_margin: [5, 0x2, 1_0, 1.5]\n")
    assert recipe.export == Export(canvas="16:9", canvas_margin=(5, 2, 10, 1.5))


def test_a_backdrop_lies_beside_its_recipe(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.yaml"
    path.parent.mkdir()
    save_recipe(Recipe("u2netp", export=Export(background="picture")), path, "beach: 1.jpg")
    assert load_recipe(path)[1] == tmp_path / "deep" / "beach: 1.jpg"
    assert load(tmp_path, "model: u2netp\nbackdrop: /elsewhere/a.jpg")[1] == Path("/elsewhere/a.jpg")


@pytest.mark.parametrize("background", ["transparent", "blur", "#ffffff"])
def test_a_backdrop_that_is_not_used_is_not_written(tmp_path: Path, background: str) -> None:
    save_recipe(Recipe("u2netp", export=Export(background=background)), tmp_path / "a.yaml", "beach.jpg")
    assert load_recipe(tmp_path / "a.yaml")[1] is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a settings file: it must name a model"),
        ("- model: u2netp", "is not a settings file"),
        ("u2netp", "is not a settings file"),
        ("size: 320", "is not a settings file: it must name a model"),
        ("model: 12", "is not a settings file"),
        ("model: [u2netp]", "is not a settings file"),
        ("model: u2netp\ncolour: red", "There is no setting 'colour'. Choose one of: alpha_matting, .*, crop_margin"),
        ("model: u2netp\n12: red", "There is no setting '12'"),
        (f"model: u2netp\n{'x' * 100}: 1", f"There is no setting '{'x' * 40}'"),
        ("model: u2netp\nsize: big", "size must be a whole number"),
        ("model: u2netp\ncrop: 1", "crop must be true or false, not 1"),
        ("model: u2netp\nformat:", "format must be png, webp or jpeg, not None"),
        ("model: u2netp\nbackground: #ffffff", "background must be .*, not None"),  # a comment to YAML
        ("model: u2netp\nmean: {r: 1}", "mean must be one number or three"),
        ("model: u2netp\ntrust_mask: .nan", "trust_mask must be a number from 0 to 1, not nan"),
        (f"model: u2netp\n{FOREGROUND}: 10", f"{BACKGROUND} .* must be below"),
        ("model: u2netp\nsize: 2020-02-02", "size must be a whole number"),
        ("model: u2netp\nsize: 2020-99-99", r"settings\.yaml cannot be read as settings \(month must be"),
        ("model: u2netp: 1", r"settings\.yaml cannot be read as settings \(mapping values are not allowed"),
        ("model: [u2netp", "cannot be read as settings"),
        ("model: *nowhere", "cannot be read as settings"),
        ("? [model]\n: u2netp", "cannot be read as settings"),
        ("\0", "cannot be read as settings"),
        ("[" * 5000, r"cannot be read as settings \(maximum recursion depth"),
    ],
    ids=lambda text: text[:30].replace("\n", " ").replace("\0", "0"),
)
def test_what_is_no_recipe_gets_its_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 650 + len(str(tmp_path))


def test_a_picture_in_place_of_a_recipe_gets_its_sentence(tmp_path: Path, photos: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match=r"chelsea\.png cannot be read as settings \('utf-8' codec can't decode"):
        load_recipe(photos["chelsea"])


@pytest.mark.parametrize(("name", "reason"), [("nowhere.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_gets_its_sentence(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"cannot be read as settings \({reason}"):
        load_recipe(tmp_path / name)


def test_python_in_a_recipe_is_not_run(tmp_path: Path) -> None:
    for tag in ("object/apply:os.mkdir", "object/new:os.mkdir"):
        with pytest.raises(SettingsError, match="could not determine a constructor for the tag"):
            load(tmp_path, f"model: u2netp\nsize: !!python/{tag} ['{tmp_path / 'made'}']")
    assert not (tmp_path / "made").exists()


def test_a_recipe_that_holds_itself_ends(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mean must be one number or three"):
        load(tmp_path, "model: u2netp\nmean: &own [*own]")


def test_numbers_keep_every_digit(tmp_path: Path) -> None:
    mean = (0.48145466, 0.1 + 0.2, math.pi)
    save_recipe(Recipe("u2netp", Settings(mean=mean)), tmp_path / "a.yaml")
    assert load_recipe(tmp_path / "a.yaml")[0].settings.mean == mean
    assert parse_value("mean", write_value(mean)) == mean


STROKES = (Stroke("keep", 3.25, ((0.1, 1 / 3), (5.0, 6.0))), Stroke("solve", 2.0, ((1.0, 2.0),)))
LONG = (Stroke("remove", 4.0, tuple((n * 0.1, n / 3) for n in range(2_000))),)


def test_corrections_are_kept_by_the_pictures_name(tmp_path: Path) -> None:
    said = {
        "a: b.jpg": Correction(STROKES, (Point(1.0, 2.0, keep=False),), (1.0, 2.0, 3.0, 4.5)),
        "no": Correction(LONG),
        "c.jpg": Correction(mask=tmp_path / "c-mask.png", trimap=tmp_path / "c-trimap.png"),
    }
    save_recipe(Recipe("u2netp"), tmp_path / "settings.yaml", corrections=said)
    assert load_recipe(tmp_path / "settings.yaml") == (Recipe("u2netp"), None, said)
    assert load_corrections(tmp_path / "settings.yaml") == said
    assert "points: [[0.1, 0.333" in (tmp_path / "settings.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_strokes_are_read_from_json_and_yaml(tmp_path: Path, name: str) -> None:
    strokes = [stroke.as_json() for stroke in STROKES]
    write = json.dumps if name.endswith("json") else yaml.safe_dump
    for value, expected in (
        (strokes, {"": Correction(STROKES)}),
        ({"a.jpg": strokes}, {"a.jpg": Correction(STROKES)}),
        ({"a.jpg": {"strokes": strokes, "box": [1, 2, 3, 4]}}, {"a.jpg": Correction(STROKES, box=(1, 2, 3, 4))}),
    ):
        (tmp_path / name).write_text(write(value), encoding="utf-8")
        assert load_corrections(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("7", "has no strokes: it must be a list of them, or one for each picture"),
        ("a.jpg: 7", "a.jpg: A correction may have strokes, points, a box"),
        ("a.jpg: [{kind: keep}]", "a.jpg: Stroke 1 must have a radius"),
        ("a.jpg: {mask: b.png, colour: 3}", "a.jpg: A correction may have"),
        ("{", "cannot be read as settings"),
    ],
)
def test_wrong_strokes_are_told_with_their_picture(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "strokes.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence):
        load_corrections(tmp_path / "strokes.yaml")
