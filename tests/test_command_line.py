"""The command line in this process: flags, recipes, backdrops, and a sentence with exit code 1 for what is wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper
from PIL import Image

from segmentation import Session, Settings, load_image
from segmentation.matting import estimators
from segmentation.models.finder import ModelFinder
from segmentation.models.patch import NODE
from segmentation.models.spec import ModelSpec
from segmentation.network.session import load_configured
from segmentation.recipe import DEFAULTS, EXPORT, SETTINGS, Recipe, save_recipe
from segmentation.settings import Export
from tests import colours, graphs

with pytest.MonkeyPatch.context() as patch:  # it chooses for its own process what numba compiles for
    patch.setenv("NUMBA_CPU_NAME", "generic")
    from segmentation.__main__ import COMMANDS
    from segmentation.__main__ import main as main  # for test_outputs too

BRIGHT = "bright.onnx"  # an own file in the models folder: brightness is foreground


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with one tiny network in it; nothing else of the environment counts."""
    folder = tmp_path / "models"
    folder.mkdir()
    graphs.brightness(folder / BRIGHT)
    for name in [name for name in os.environ if name.startswith("SEGMATTE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(folder))
    monkeypatch.setenv("SEGMATTE_DEVICE", "cpu")
    return folder


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A disc on black, 90 x 120, white in its middle and softer to its edge."""
    y, x = np.mgrid[:90, :120]
    level = np.clip((30 - np.hypot(y - 45, x - 60)) / 10 + 0.5, 0, 1) * 255
    Image.fromarray(level.astype(np.uint8)).save(tmp_path / "disc.png")
    return tmp_path / "disc.png"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def cut(*arguments: str | Path, model: str | None = BRIGHT) -> int:
    return main(["cut", *(["--model", model] if model else []), *map(str, arguments)])


def read(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_a_picture_becomes_a_transparent_png_and_its_path_is_printed(
    disc: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(disc, "-o", out) == 0
    assert capsys.readouterr().out == f"{out / 'disc-cutout.png'}\n"
    pixels = read(out / "disc-cutout.png")
    assert pixels.shape == (90, 120, 4)
    assert pixels[45, 60, 3] == 255
    assert not pixels[:5].any()


def test_a_cropped_jpeg_over_a_colour(disc: Path, out: Path) -> None:
    flags = ["--background", "#f00", "--format", "jpeg", "--crop", "--crop-margin", "0", "--no-alpha-matting"]
    assert cut(disc, "-o", out, *flags) == 0
    assert [path.name for path in out.glob("[!.]*")] == ["disc-cutout.jpg"]
    pixels = read(out / "disc-cutout.jpg")
    assert 55 <= pixels.shape[0] <= 75  # the disc is 60 to 70 pixels wide
    assert 55 <= pixels.shape[1] <= 75
    assert np.abs(pixels[:4, :4] - (255, 0, 0)).max() <= 12
    assert np.abs(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] - 255).max() <= 3


def test_a_transparent_jpeg_says_on_stderr_what_it_became(
    disc: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(disc, "-o", out, "--format", "jpeg", "--no-alpha-matting") == 0
    printed = capsys.readouterr()
    guessed, jpeg = printed.err.splitlines()
    assert guessed == "disc.png: How to use bright was guessed. Check the mask."
    assert jpeg.startswith("disc.png: JPEG has no transparency")
    assert printed.out == f"{out / 'disc-cutout.jpg'}\n"


FLAGS = {
    "alpha_matting": ("--no-alpha-matting", False),
    "alpha_matting_foreground_threshold": ("--alpha-matting-foreground-threshold=250", 250),
    "alpha_matting_background_threshold": ("--alpha-matting-background-threshold=5", 5),
    "alpha_matting_erode_size": ("--alpha-matting-erode-size=auto", "auto"),
    "matting_method": ("--matting-method=closed-form", "closed-form"),
    "trust_mask": ("--trust-mask=0.05", 0.05),
    "post_process_mask": ("--post-process-mask", True),
    "decontaminate": ("--decontaminate", True),
    "invert": ("--invert", True),
    "mask_mode": ("--mask-mode=subtract", "subtract"),
    "subjects": ("--subjects=largest", "largest"),
    "prompt_model": ("--prompt-model=slimsam-77", "slimsam-77"),
    "classes": ("--classes=hat,Hair", ("hair", "hat")),
    "mean": ("--mean=-0.1,0.2,0.3", (-0.1, 0.2, 0.3)),
    "std": ("--std=0.1,0.2,1", (0.1, 0.2, 1.0)),
    "size": ("--size=64x64", (64, 64)),
    "contract": ("--contract=scale=255 mean=0.5,0.4,0.3", "scale=255 mean=0.5,0.4,0.3"),
    "background": ("--background=rgb(1, 2, 3)", "#010203"),
    "background_fit": ("--background-fit=fit", "fit"),
    "background_blur": ("--background-blur=7.5", 7.5),
    "crop": ("--crop", True),
    "crop_margin": ("--crop-margin=50", 50.0),
    "canvas": ("--canvas=120x80", "120x80"),
    "canvas_fill": ("--canvas-fill=50", 50.0),
    "canvas_align": ("--canvas-align=bottom", "bottom"),
    "canvas_margin": ("--canvas-margin=1,2,13,4", (1.0, 2.0, 13.0, 4.0)),
    "outline_width": ("--outline-width=4", 4.0),
    "outline_colour": ("--outline-colour=#f00", "#ff0000"),
    "shadow": ("--shadow=both", "both"),
    "shadow_angle": ("--shadow-angle=200", 200.0),
    "shadow_distance": ("--shadow-distance=10", 10.0),
    "shadow_blur": ("--shadow-blur=6", 6.0),
    "shadow_opacity": ("--shadow-opacity=90", 90.0),
    "format": ("--format=webp", "webp"),
    "max_edge": ("--max-edge=70", 70),
    "max_kb": ("--max-kb=1", 1),
}
"""A flag for every setting, with the value that it stands for."""

NEEDED: dict[str, dict[str, Any]] = {
    "background_blur": {"background": "blur"},
    "background_fit": {"background": "picture"},
    "crop_margin": {"crop": True},
    "canvas_fill": {"canvas": "1:1"},
    "canvas_align": {"canvas": "1:3"},
    "canvas_margin": {"canvas": "1:1"},
    "outline_colour": {"outline_width": 4.0},
    "shadow_angle": {"shadow": "drop"},
    "shadow_distance": {"shadow": "drop"},
    "shadow_blur": {"shadow": "drop"},
    "shadow_opacity": {"shadow": "drop"},
    "max_kb": {"background": "#102030", "format": "jpeg"},
    "decontaminate": {"alpha_matting": False},
}
"""Without these a setting has no effect."""


def test_every_setting_has_a_flag_that_is_tried_here() -> None:
    assert list(FLAGS) == list(DEFAULTS)
    assert all(value != DEFAULTS[name] for name, (_, value) in FLAGS.items())


@pytest.fixture(scope="module")
def steep_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with that network."""
    folder = tmp_path_factory.mktemp("steep")
    steep(folder / "steep.onnx")
    return folder


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return {}


@pytest.fixture
def loaded_once(kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands share what was read and loaded: the processes for that take longer than all else they do."""

    find = ModelFinder.of

    def of(*arguments: Any) -> ModelFinder:
        if "" not in kept:
            kept[""] = find(*arguments)
        finder: ModelFinder = kept[""]
        return finder

    def load(spec: ModelSpec, *arguments: Any, **options: Any) -> Session:
        key = repr(spec)
        if key not in kept:
            kept[key] = load_configured(spec, *arguments, **options)
        found: Session = kept[key]
        return found

    monkeypatch.setattr(ModelFinder, "of", of)
    monkeypatch.setattr("segmentation.work.load_configured", load)


def steep(path: Path) -> Path:
    """A network of any size whose answer is not proportional to its input, so that mean, std and size matter."""
    size = "height", "width"
    return graphs.write_graph(
        path,
        [
            helper.make_node("Exp", ["image"], ["steep"]),
            helper.make_node("ReduceMean", ["steep"], ["matte"], axes=[1], keepdims=1),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, *size))},
        {"matte": (TensorProto.FLOAT, (1, 1, *size))},
    )


@pytest.mark.parametrize("name", EXPORT)
def test_a_flag_about_the_file_does_what_the_setting_does(coloured: Path, out: Path, tmp_path: Path, name: str) -> None:
    (flag, value), beside = FLAGS[name], {"classes": "all"} | NEEDED.get(name, {})
    Image.fromarray(colours.face()[60:100, 60:100]).save(tmp_path / "square.png")
    grain = np.random.default_rng(0).integers(0, 5, (200, 160, 3), np.uint8)  # for something to blur
    Image.fromarray(colours.face() // 8 * 7 + grain).save(coloured)
    for given, file in ((beside | {name: value}, "with.yaml"), (beside, "without.yaml")):
        save_recipe(Recipe.of("colours", given), tmp_path / file, "square.png")
    assert cut(coloured, "-o", out / "flag", "--settings", tmp_path / "without.yaml", flag, model=None) == 0
    assert cut(coloured, "-o", out / "file", "--settings", tmp_path / "with.yaml", model=None) == 0
    assert cut(coloured, "-o", out / "without", "--settings", tmp_path / "without.yaml", model=None) == 0
    by_flag, by_file, without = (next((out / folder).glob("[!.]*")) for folder in ("flag", "file", "without"))
    assert by_flag.name == by_file.name
    assert by_flag.read_bytes() == by_file.read_bytes()
    assert by_flag.read_bytes() != without.read_bytes()


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize("name", SETTINGS)
def test_a_flag_does_what_the_setting_does(
    steep_models: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(steep_models))
    flag, value = FLAGS[name]
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:100, :150]
    share = np.clip((28 - np.hypot(y - 50, x - 75)) / 8 + 0.5, 0, 1)[..., None]
    level = share * (270, 240, 200) + (1 - share) * (20, 30, 60) + rng.normal(0, 6, (100, 150, 3))
    Image.fromarray(level.clip(0, 255).astype(np.uint8)).save(tmp_path / "ball.png")
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "square.png")
    beside = {"contract": NODE} | NEEDED.get(name, {})
    save_recipe(Recipe.of("steep.onnx", beside | {name: value}), tmp_path / "with.yaml", "square.png")
    save_recipe(Recipe.of("steep.onnx", beside), tmp_path / "without.yaml", "square.png")
    ball = tmp_path / "ball.png"
    assert cut(ball, "-o", out / "flag", "--settings", tmp_path / "without.yaml", flag, model=None) == 0
    assert cut(ball, "-o", out / "file", "--settings", tmp_path / "with.yaml", model=None) == 0
    assert cut(ball, "-o", out / "without", "--settings", tmp_path / "without.yaml", model=None) == 0
    (by_flag,), (by_file,), (without,) = (list((out / folder).glob("[!.]*")) for folder in ("flag", "file", "without"))
    assert by_flag.name == by_file.name
    assert by_flag.read_bytes() == by_file.read_bytes()
    # small pictures are solved the same, this model has no classes, and there is one subject and no click on it
    if name not in ("matting_method", "classes", "mask_mode", "subjects", "prompt_model"):
        assert by_flag.read_bytes() != without.read_bytes()


def test_a_method_that_must_be_compiled_is_announced(
    disc: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimators, "SLOW", 0.0)
    monkeypatch.setattr(estimators, "_ready", threading.Event())
    assert cut(disc, "-o", out, "--matting-method=rw") == 0
    printed = capsys.readouterr()
    assert "Preparing this matting method (once after installation, about a minute)\n" in printed.err
    assert printed.out == f"{out / 'disc-cutout.png'}\n"


# ------------------------------------------------------------------------------------------------- classes


@pytest.fixture
def coloured(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A face, and a model that tells its colours apart."""
    colours.write_registry(models, tmp_path / "registry.yaml")
    monkeypatch.setenv("SEGMATTE_REGISTRY", str(tmp_path / "registry.yaml"))
    return colours.save_face(tmp_path / "face.png")


@pytest.mark.parametrize(
    ("classes", "files"),
    [
        (None, ["face-hair-cutout.png", "face-hat-cutout.png", "face-skin-cutout.png"]),
        ("hat,Hair", ["face-hair-hat-cutout.png"]),
        ("all", ["face-all-cutout.png"]),
        ("glasses,hair", ["face-glasses-hair-cutout.png"]),
    ],
)
def test_classes_are_files_of_their_own_or_joined_into_one(
    coloured: Path, out: Path, classes: str | None, files: list[str]
) -> None:
    chosen = ["--classes", classes] if classes else []
    assert cut(coloured, "-o", out, *chosen, model="colours") == 0
    assert sorted(path.name for path in out.glob("[!.]*")) == files


def test_classes_of_a_settings_file_are_joined(coloured: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("model: colours\nclasses: [hair, skin]\n", encoding="utf-8")
    (tmp_path / "other.yaml").write_text("model: colours\nclasses: skin,hair\n", encoding="utf-8")
    for name in ("one", "other"):
        assert cut(coloured, "-o", out / name, "--settings", tmp_path / f"{name}.yaml", model=None) == 0
    one, other = (out / name / "face-hair-skin-cutout.png" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_the_file_for_a_joined_cutout_can_be_named(coloured: Path, out: Path) -> None:
    assert cut(coloured, "-o", out / "me.png", "--classes", "all", model="colours") == 0
    assert [path.name for path in out.glob("[!.]*")] == ["me-all.png"]


def test_a_class_that_the_model_lacks_ends_the_command(
    coloured: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(coloured, "-o", out, "--classes", "hiar", model="colours") == 1
    assert capsys.readouterr().err == "Colours has no class 'hiar'; it has hair, skin, hat, glasses.\n"
    assert not out.exists()


def test_classes_that_are_not_in_the_picture_give_no_file(
    coloured: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(coloured, "-o", out, "--classes", "glasses", model="colours") == 0
    printed = capsys.readouterr()
    assert printed.err == "face.png: None of the chosen classes is in this picture: glasses.\n"
    assert printed.out == ""


def test_settings_with_classes_cut_out_the_subject_of_a_model_without(
    coloured: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(coloured, "-o", out, "--classes", "hair", "--no-alpha-matting") == 0
    printed = capsys.readouterr()
    assert "face.png: This model does not tell classes apart, so classes has no effect.\n" in printed.err
    assert printed.out == f"{out / 'face-cutout.png'}\n"


# ------------------------------------------------------------------------------------------------- recipes


def test_a_settings_file_makes_the_same_cutouts_again(disc: Path, out: Path, tmp_path: Path) -> None:
    flags = ["--alpha-matting-erode-size", "5", "--background", "#123", "--format", "webp", "--crop", "--std", "0.9"]
    assert cut(disc, "-o", out / "flags", *flags) == 0
    settings = Settings(alpha_matting_erode_size=5, std=0.9)
    export = Export(background="#112233", format="webp", crop=True)
    save_recipe(Recipe(BRIGHT, settings, export), tmp_path / "settings.yaml")
    assert cut(disc, "-o", out / "file", "--settings", tmp_path / "settings.yaml", model=None) == 0
    names = [[path.name for path in (out / folder).glob("[!.]*")] for folder in ("flags", "file")]
    assert names == [["disc-cutout.webp"]] * 2
    one, other = ((out / folder / "disc-cutout.webp").read_bytes() for folder in ("flags", "file"))
    assert one == other


def test_flags_override_a_settings_file(disc: Path, out: Path, tmp_path: Path) -> None:
    settings = Settings(alpha_matting=True, mean=0.9, size=64)
    export = Export(background="mask", format="jpeg", crop=True)
    path = tmp_path / "settings.yaml"
    save_recipe(Recipe("no-such-model", settings, export), path)
    flags = ["--no-crop", "--format", "png", "--background", "#00ff00", "--no-alpha-matting", "--mean", "", "--size="]
    assert cut(disc, "-o", out / "both", "--settings", path, *flags) == 0  # and --model
    assert cut(disc, "-o", out / "plain", "--background", "#00ff00", "--no-alpha-matting") == 0
    one, other = ((out / folder / "disc-cutout.png").read_bytes() for folder in ("both", "plain"))
    assert one == other


def test_the_model_of_a_settings_file_is_looked_for(
    disc: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_recipe(Recipe("no-such-model"), tmp_path / "settings.yaml")
    assert cut(disc, "-o", out, "--settings", tmp_path / "settings.yaml", model=None) == 1
    assert "no-such-model" in capsys.readouterr().err
    assert not out.exists()


# ------------------------------------------------------------------------------------------------- backdrops


@pytest.fixture
def backdrop(tmp_path: Path) -> Path:
    path = tmp_path / "beach" / "sand.png"
    path.parent.mkdir()
    Image.new("RGB", (30, 30), (200, 150, 100)).save(path)
    return path


def test_a_backdrop_lies_behind_the_subject(disc: Path, out: Path, backdrop: Path) -> None:
    assert cut(disc, "-o", out, "--background", "picture", "--backdrop", backdrop, "--no-alpha-matting") == 0
    pixels = read(out / "disc-cutout.png")
    assert (pixels[:5] == (200, 150, 100)).all()
    assert (pixels[45, 60] == 255).all()


def test_the_backdrop_of_a_settings_file_lies_beside_it(
    disc: Path, out: Path, backdrop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = Recipe(BRIGHT, Settings(alpha_matting=False), Export(background="picture"))
    save_recipe(recipe, backdrop.with_name("settings.yaml"), backdrop.name)
    monkeypatch.chdir(tmp_path)
    assert cut(disc, "-o", out, "--settings", Path("beach", "settings.yaml"), model=None) == 0
    assert (read(out / "disc-cutout.png")[:5] == (200, 150, 100)).all()
    Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / "other.png")
    assert cut(disc, "-o", out, "--settings", "beach/settings.yaml", "--backdrop", "other.png", model=None) == 0
    assert (read(out / "disc-cutout.png")[:5] == (1, 2, 3)).all()


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--background", "picture"], "--background picture needs a picture: name it with --backdrop."),
        (["--background", "red"], "background must be transparent, picture, blur, mask or a colour such as #ffffff"),
        (["--format", "bmp"], "format must be png, webp or jpeg, not 'bmp'."),
        (["--alpha-matting-erode-size", "-1"], "alpha_matting_erode_size must lie between 0 and 500, not -1."),
        (["--alpha-matting-erode-size", "wide"], "alpha_matting_erode_size must be a whole number from 0 to 500 or "),
        (["--trust-mask", "2"], "trust_mask must be a number from 0 to 1, not 2."),
        (["--mean", "a,b,c"], "mean must be one number or three (red, green, blue), not 'a,b,c'."),
        (["--size", "128"], "size: this model works at 64 x 64 only; leave size empty."),
        (["--crop-margin", "101"], "crop_margin must be a number from 0 to 100, not 101."),
        (["--settings", "nowhere.yaml"], "nowhere.yaml cannot be read as settings (No such file or directory)."),
        (["--background", "picture", "--backdrop", "nowhere.png"], "nowhere.png cannot be read"),
        (["--model", "no-such-model"], "no-such-model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(
    disc: Path, out: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert cut(disc, "-o", out, *flags) == 1
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not list(out.glob("*"))


def test_a_picture_that_does_not_exist_is_named(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut("nowhere.png", "-o", out) == 1
    assert capsys.readouterr().err == "nowhere.png does not exist.\n"
    assert not out.exists()


def test_a_picture_that_fails_makes_the_exit_code_one_and_stops_no_other(
    disc: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert cut(tmp_path / "text.png", disc, "-o", out, "--no-alpha-matting") == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("text.png is not a picture")
    assert printed.out == f"{out / 'disc-cutout.png'}\n"


def test_a_report_can_be_had_as_json(disc: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(disc, "-o", out, "--json", "--format", "jpeg", "--no-alpha-matting") == 0
    printed = capsys.readouterr()
    (report,) = map(json.loads, printed.out.splitlines())
    assert report["source"] == str(disc)
    assert report["files"] == ["disc-cutout.jpg"]
    assert report["model"] == BRIGHT
    assert report["warnings"][0] == "How to use bright was guessed. Check the mask."
    assert "JPEG has no transparency" in report["warnings"][1]
    assert printed.err == ""


def test_a_limit_of_the_environment_counts_for_pictures_and_backdrop(
    disc: Path, out: Path, backdrop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGMATTE_MAX_PIXELS", "899")
    assert cut(disc, "-o", out, "--background", "picture", "--backdrop", backdrop) == 1
    assert "sand.png has 0 megapixels (30 x 30)" in capsys.readouterr().err
    assert cut(disc, "-o", out) == 1
    assert "disc.png has 0 megapixels (120 x 90)" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- help


def test_the_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["cut", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, default in DEFAULTS.items():
        assert f"--{name.replace('_', '-')}" in text
        assert isinstance(default, bool) is (f"--no-{name.replace('_', '-')}" in text)
    assert "(default: 0.003)" in text
    assert "(default: transparent)" in text
    assert "(default: None)" not in text


@pytest.mark.parametrize("command", ["", *(command.__name__.rpartition(".")[2] for command in COMMANDS)])
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*([command] if command else []), "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m segmentation {command}".rstrip())
    assert "{prog}" not in text


def test_bash_completes_commands_options_models_choices_and_files(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "segmatte.bash"
    script.write_text(capsys.readouterr().out)
    (function,) = re.findall(r"^complete .*-F (\S+) segmatte$", script.read_text(), re.MULTILINE)

    def completed(*words: str) -> set[str]:
        code = f"source {script}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}\n"
        code += f"{function} x {shlex.quote(words[-1])}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=disc.parent)
        return set(done.stdout.split())

    assert completed("segmatte", "co") == {"completion"}
    assert completed("segmatte", "cut", "--retry") == {"--retry-failed"}
    assert "modnet" in completed("segmatte", "cut", "--model", "mod")
    assert completed("segmatte", "cut", "--format", "") == {"png", "webp", "jpeg"}
    assert completed("segmatte", "cut", "--settings", "di") == {"disc.png"}
    assert completed("segmatte", "cut", "di") == {"disc.png"}


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_other_shells_have_a_script_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "--retry-failed" in capsys.readouterr().out.replace("retry-failed", "--retry-failed")


def test_the_models_of_the_folder_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("u2netp ")
    assert any(line.startswith(BRIGHT) and " here " in line for line in lines)


def test_the_module_is_a_command(disc: Path, out: Path) -> None:
    command = [sys.executable, "-m", "segmentation", "cut", str(disc), "-o", str(out), "--model", BRIGHT]
    done = subprocess.run(
        [*command, "--no-alpha-matting", "--background=mask"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "disc.png: How to use bright was guessed. Check the mask.\n")
    assert done.stdout == f"{out / 'disc-cutout.png'}\n"
    assert np.abs(read(out / "disc-cutout.png") - load_image(disc).rgb[..., 0]).mean() < 30
