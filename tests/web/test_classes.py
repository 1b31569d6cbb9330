"""Classes through the endpoints: each, several joined, all; chosen again without running the network."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from segmentation import Session, Settings, load_image, predict, save_png, segment
from segmentation.batch import Outcome
from segmentation.cutout_files import Cutout
from segmentation.recipe import Recipe
from segmentation.report import Report
from segmentation.web.page.controls import Controls
from segmentation.web.runs.outcomes import Outcomes
from segmentation.web.runs.predictions import PredictionCache, Predictions
from tests import colours
from tests.web.conftest import Server


@pytest.fixture(scope="module")
def client(coloured_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("downloads")
    client = Client(coloured_server.url, analytics_enabled=False, verbose=False, download_files=folder)
    yield client
    client.close()


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours.save_face(tmp_path_factory.mktemp("faces") / "face.png")


@pytest.fixture(scope="module")
def bare(face: Path) -> Path:
    return colours.save_face(face.with_name("bare.png"), hat=False)


def cut_out(client: Client, *pictures: Path, **values: Any) -> tuple[list[Path], list[dict[str, Any]]]:
    values = {"model": "colours", "images": [handle_file(path) for path in pictures]} | values
    files, report = client.predict(**values, api_name="/segment")
    return [Path(file) for file in files], report


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


@pytest.mark.parametrize(
    ("classes", "files"),
    [
        ("each", ["face-skin-cutout.png", "face-hair-cutout.png", "face-hat-cutout.png"]),
        (["hat", "hair"], ["face-hair-hat-cutout.png"]),
        ("hat,hair", ["face-hair-hat-cutout.png"]),
        ("all", ["face-all-cutout.png"]),
        ([], ["face-skin-cutout.png", "face-hair-cutout.png", "face-hat-cutout.png"]),
    ],
)
def test_classes_are_joined_or_each_a_cutout(client: Client, face: Path, classes: Any, files: list[str]) -> None:
    written, (entry,) = cut_out(client, face, classes=classes)
    assert names(written) == entry["files"] == files
    assert entry["error"] is None


def test_api_command_line_and_library_join_to_the_same_bytes(
    coloured_server: Server, client: Client, face: Path, tmp_path: Path
) -> None:
    (file,), _ = cut_out(client, face, classes=["hair", "hat"])
    config = coloured_server.service.config
    command = [sys.executable, "-m", "segmentation", "cut", str(face), "-o", str(tmp_path / "out"), "-m", "colours"]
    variables = {"SEGMATTE_MODELS_DIR": str(config.models_folder), "SEGMATTE_REGISTRY": config.registry}
    done = subprocess.run(
        [*command, "--device", "cpu", "--classes", "hat,hair"],
        env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    picture = load_image(face)
    path = config.models_folder / "colours.onnx"
    result = segment(picture, Session(colours.spec(path), path, "cpu"), Settings(classes=("hair", "hat")))
    save_png(result.cutout, tmp_path / "library.png", picture.icc_profile)
    assert file.read_bytes() == (tmp_path / "out" / "face-hair-hat-cutout.png").read_bytes()
    assert file.read_bytes() == (tmp_path / "library.png").read_bytes()


def test_other_classes_are_chosen_without_the_network(client: Client, face: Path) -> None:
    first, (entry,) = cut_out(client, face)
    for classes in (["hair", "skin"], ["hat"], "all", "each"):
        files, (again,) = client.predict(run=entry["run"], classes=classes, api_name="/refine")
        whole, _ = cut_out(client, face, classes=classes)
        assert names(list(map(Path, files))) == names(whole) == again["files"]
        assert [Path(file).read_bytes() for file in files] == [file.read_bytes() for file in whole]
        assert "network" not in again["seconds"]
    assert [Path(file).read_bytes() for file in files] == [file.read_bytes() for file in first]


def test_a_class_that_the_model_lacks_is_refused_with_those_it_has(client: Client, face: Path) -> None:
    sentence = "has no class 'hiar'; it has hair, skin, hat, glasses"
    with pytest.raises(AppError, match=f"Colours {sentence}"):
        cut_out(client, face, classes=["hiar"])
    _, (entry,) = cut_out(client, face)
    with pytest.raises(AppError, match=f"colours {sentence}"):
        client.predict(run=entry["run"], classes="hiar", api_name="/refine")


@pytest.mark.parametrize("classes", [3, None, {"hair": True}, ["each", "hair"]])
def test_what_are_no_classes_is_refused_with_a_sentence(client: Client, face: Path, classes: Any) -> None:
    with pytest.raises(AppError, match="classes must be each, all, or names of classes such as hair,hat"):
        cut_out(client, face, classes=classes)


def test_pictures_without_the_chosen_classes_have_no_cutout_and_say_so(client: Client, face: Path, bare: Path) -> None:
    files, report = cut_out(client, face, bare, classes="hat")
    assert names(files) == ["face-hat-cutout.png"]
    assert [entry["warnings"] for entry in report] == [[], ["None of the chosen classes is in this picture: hat."]]


def test_a_model_without_classes_says_that_they_have_no_effect(client: Client, face: Path) -> None:
    plain, _ = cut_out(client, face, model="bright.onnx")
    files, (entry,) = cut_out(client, face, model="bright.onnx", classes=["hair"])
    assert "This model does not tell classes apart, so classes has no effect." in entry["warnings"]
    assert names(files) == ["face-cutout.png"]
    assert files[0].read_bytes() == plain[0].read_bytes()


def test_the_classes_of_each_model_are_listed(client: Client) -> None:
    listed = {model["id"]: model["classes"] for model in client.predict(api_name="/models")}
    assert listed["colours"] == ["skin", "hair", "hat", "glasses"]
    assert listed["u2net_cloth_seg"] == ["upper", "lower", "full"]
    assert listed["u2netp"] == listed["pphumanseg"] == []


def test_the_endpoints_say_what_classes_are(client: Client) -> None:
    endpoints: Any = client.view_api(return_format="dict", print_info=False)
    for endpoint in ("/segment", "/refine"):
        (parameter,) = (
            each for each in endpoints["named_endpoints"][endpoint]["parameters"] if each["parameter_name"] == "classes"
        )
        assert parameter["parameter_default"] == "each"
        assert "joins everything but the background" in json.dumps(parameter)


# ------------------------------------------------------------------------------------------------- page


@pytest.fixture
def controls(coloured_server: Server) -> Controls:
    controls = Controls(coloured_server.service.offered.registry)
    controls.model()
    controls.classes()
    return controls


@pytest.mark.parametrize(
    ("query", "chips"),
    [
        ({"model": "colours", "classes": "hat,hair"}, ["hair", "hat"]),
        ({"model": "colours", "classes": "all"}, ["all"]),
        ({"model": "colours", "classes": "each"}, []),
    ],
)
def test_a_link_carries_classes(controls: Controls, query: dict[str, str], chips: list[str]) -> None:
    recipe, problem = controls.from_link(query)
    assert problem == ""
    assert recipe is not None
    assert controls.values_of(recipe)["classes"] == chips


def test_a_link_with_classes_that_the_model_lacks_is_told(controls: Controls) -> None:
    recipe, problem = controls.from_link({"model": "colours", "classes": "wall"})
    assert recipe is None
    assert "Colours has no class 'wall'" in problem
    recipe, problem = controls.from_link({"model": "bright.onnx", "classes": "hair"})
    assert recipe == Recipe("bright.onnx", Settings(classes=("hair",)))
    assert problem == "This model does not tell classes apart, so classes has no effect."


def test_chips_are_those_of_the_model_with_what_was_found_first(controls: Controls) -> None:
    chips = controls.class_chips("colours", ["hat", "wall"])
    assert [value for _, value in chips.choices] == ["all", "skin", "hair", "hat", "glasses"]
    assert chips.value == ["hat"]
    assert chips.visible
    assert [value for _, value in controls.class_choices("colours", {"hat", "hair"})][:3] == ["all", "hair", "hat"]
    none = controls.class_chips("bright.onnx", ["hat"])
    assert (none.choices, none.value, none.visible) == ([], [], False)


def of(index: int, *labels: str) -> Outcome:
    cutouts = tuple(Cutout(label, Path(f"{label}.png"), (0, 0, 1, 1)) for label in labels)
    return Outcome(index, f"{index}.png", cutouts, Report(f"{index}.png", "colours", "CPU"))


def test_the_same_picture_stays_selected_when_its_classes_are_joined() -> None:
    made_by = Recipe("colours"), None
    outcomes = Outcomes(made_by)
    for index in range(3):
        outcomes.add(of(index, "hair", "hat"))
    outcomes.replace(of(1, "hair-hat"), made_by)
    selected = outcomes.selected("1 hat")
    assert selected is not None
    assert (selected[0], selected[1].label) == (1, "hair-hat")
    outcomes.replace(of(1, "hair", "hat"), made_by)
    selected = outcomes.selected("1 hat")
    assert selected is not None
    assert selected[1].label == "hat"


def test_a_picture_in_which_nothing_was_found_can_be_refined() -> None:
    first, other = (Recipe("colours", Settings(classes=classes)) for classes in (("hat",), ("hair",)))
    outcomes = Outcomes((first, None))
    outcomes.add(of(0))
    assert outcomes.share_of((first, None)) == (1, 1)
    assert outcomes.share_of((other, None)) == (0, 1)
    outcomes.replace(of(0, "hair"), (other, None))
    assert outcomes.share_of((other, None)) == (1, 1)


def test_chips_of_another_model_do_not_change_earlier_cutouts() -> None:
    predictions = Predictions([], Recipe("colours", Settings(classes=("hair",))))
    same = predictions.refined(Recipe("colours", Settings(classes=("hat",))))
    other = predictions.refined(Recipe("another", Settings(classes=("wall",))))
    assert same.settings.classes == ("hat",)
    assert other.settings.classes == ("hair",)


def test_the_classes_of_many_pictures_stay_within_the_cache(face: Path) -> None:
    path = face.with_name("colours.onnx")
    session = Session(colours.spec(colours.network(path)), path, "cpu")
    prediction = predict(load_image(face), session)
    cache = PredictionCache(3 * prediction.nbytes + 1, 60)
    run = Predictions([face], Recipe("colours"))
    cache.add(run)
    for index in range(10):
        cache.store(run, index, prediction)
    assert len(run.by_picture) == 3
    assert prediction.nbytes == 3 * 128 * 128 * 4
