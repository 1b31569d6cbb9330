"""`/score` through gradio_client: numbers for uploaded pairs, guarded as every other run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation import Settings, load_image, predict, refine
from segmentation.network.session import Session
from segmentation.score.scores import measure
from tests.score.cases import REFERENCE, disc
from tests.web.conftest import Server
from tests.web.test_guard import call, upload

BRIGHT = "bright.onnx"


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[list[Any], list[Any]]:
    """Two bright discs with their masks."""
    images: list[Any] = []
    truths: list[Any] = []
    for radius in (12, 20):
        for name, values in (("a", disc((48, 64), (24, 32), radius)), ("truth", disc((48, 64), (24, 32), 20))):
            path = tmp_path / f"{name}{radius}.png"
            Image.fromarray(np.where(values, 255, 20 if name == "a" else 0).astype(np.uint8)).save(path)
            (images if name == "a" else truths).append(handle_file(path))
    return images, truths


def test_a_photographs_numbers_are_those_of_the_library(
    client: Client, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    with np.load(REFERENCE / "rembg_masks.npz") as masks:
        truth = np.where(masks["chelsea"] > 100, 255, 0).astype(np.uint8)
    Image.fromarray(truth).save(tmp_path / "truth.png")
    answer = client.predict(
        images=[handle_file(photos["chelsea"])], truths=[handle_file(tmp_path / "truth.png")], models=["u2netp"],
        settings=[{"alpha_matting": False}, {"alpha_matting_erode_size": 5}], api_name="/score",
    )  # fmt: skip
    picture = load_image(photos["chelsea"])
    probability = predict(picture, u2netp).maps[""]
    for place, settings in enumerate((Settings(alpha_matting=False), Settings(alpha_matting_erode_size=5))):
        scores = measure(refine(picture, probability, settings).alpha, truth).scores.as_json()
        entry, total = answer["pictures"][place], answer["totals"][place]
        assert (entry["picture"], entry["model"], entry["settings"]) == ("chelsea.png", "u2netp", place)
        assert entry["error"] is None
        assert {name: entry[name] for name in scores} == pytest.approx(scores)
        assert {name: total[name] for name in scores} == pytest.approx(scores)
    assert answer["pictures"][0]["seconds"] > 0


def test_models_and_settings_are_compared_on_all_pairs(client: Client, pairs: tuple[list[Any], list[Any]]) -> None:
    images, truths = pairs
    settings = [{"alpha_matting": False}, {"alpha_matting": False, "post_process_mask": True}]
    answer = client.predict(
        images=images, truths=truths, models=[BRIGHT, "u2netp"], settings=settings, api_name="/score"
    )
    wanted = [(BRIGHT, 0), ("u2netp", 0), (BRIGHT, 1), ("u2netp", 1)]
    assert [(total["model"], total["settings"]) for total in answer["totals"]] == wanted
    assert [total["scored"] for total in answer["totals"]] == [2] * 4
    assert [entry["picture"] for entry in answer["pictures"]] == ["a12.png"] * 4 + ["a20.png"] * 4
    bright = [entry["mae"] for entry in answer["pictures"] if entry["model"] == BRIGHT and entry["settings"] == 0]
    assert bright[1] < bright[0]


def test_without_models_and_settings_the_defaults_are_scored(
    client: Client, pairs: tuple[list[Any], list[Any]]
) -> None:
    answer = client.predict(images=pairs[0][:1], truths=pairs[1][:1], api_name="/score")
    (total,) = answer["totals"]
    assert (total["model"], total["settings"], total["scored"]) == ("u2netp", 0, 1)


def test_a_picture_that_fails_is_an_entry(client: Client, pairs: tuple[list[Any], list[Any]], tmp_path: Path) -> None:
    Image.new("L", (10, 10)).save(tmp_path / "small.png")
    answer = client.predict(
        images=pairs[0], truths=[handle_file(tmp_path / "small.png"), pairs[1][1]], models=[BRIGHT],
        settings=[{"alpha_matting": False}], api_name="/score",
    )  # fmt: skip
    first, second = answer["pictures"]
    assert first["error"] == "small.png is 10 x 10, but its picture is 64 x 48: they must agree."
    assert first["mae"] is None
    assert second["error"] is None
    assert (answer["totals"][0]["scored"], answer["totals"][0]["failed"]) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"images": []}, "Add at least one picture"),
        ({"truths": []}, "There are 2 pictures and 0 truths"),
        ({"models": []}, "models and settings must be lists"),
        ({"models": "u2netp"}, "models and settings must be lists"),
        ({"models": ["no-such-model"]}, "There is no model 'no-such-model'"),
        ({"models": [["u2netp"]]}, "There is no model"),
        ({"models": [BRIGHT, "u2netp", "modnet"]}, "2 pictures with 3 models are too many for one run; the limit is 5"),
        ({"settings": []}, "models and settings must be lists"),
        ({"settings": ["plain"]}, "settings must be a list of objects"),
        ({"settings": [{"no_such_setting": 1}]}, "There is no setting 'no_such_setting'"),
        ({"settings": [{"trust_mask": 2}]}, "trust_mask must be a number from 0 to 1, not 2"),
        ({"settings": [{"crop": True}] * 13}, "1 models with 13 settings are too many"),
    ],
)
def test_a_wrong_value_gives_its_sentence(
    client: Client, pairs: tuple[list[Any], list[Any]], wrong: dict[str, Any], sentence: str
) -> None:
    call = {"images": pairs[0], "truths": pairs[1], "models": [BRIGHT]} | wrong
    with pytest.raises(AppError) as caught:
        client.predict(**call, api_name="/score")
    assert sentence in str(caught.value)


def test_too_many_pictures_are_refused(client: Client, pairs: tuple[list[Any], list[Any]]) -> None:
    with pytest.raises(AppError, match="6 pictures are too many for one run; the limit is 5"):
        client.predict(images=pairs[0] * 3, truths=pairs[1] * 3, models=[BRIGHT], api_name="/score")


@pytest.mark.parametrize("side", ["images", "truths"])
@pytest.mark.parametrize("path", ["/etc/passwd", "http://127.0.0.1:9/a.png", "../../../etc/passwd"])
def test_only_uploads_are_read(server: Server, pairs: tuple[list[Any], list[Any]], side: str, path: str) -> None:
    stored = upload(server, "a.png", Path(pairs[0][0]["path"]).read_bytes())
    files = {"images": [{"path": stored}], "truths": [{"path": stored}]} | {side: [{"path": path}]}
    _, text = call(server, "v2/score", files | {"models": [BRIGHT]})
    assert "event: error" in text
    assert "event: complete" not in text
    assert "root:" not in text
    _, text = call(server, "v2/score", {"images": [{"path": stored}], "truths": [{"path": stored}], "models": [BRIGHT]})
    assert "event: complete" in text  # so it was the path


def test_its_parameters_are_described(client: Client) -> None:
    endpoint: Any = client.view_api(return_format="dict", print_info=False)
    described = endpoint["named_endpoints"]["/score"]
    parameters = {entry["parameter_name"]: entry for entry in described["parameters"]}
    assert list(parameters) == ["images", "truths", "models", "settings"]
    assert [entry["parameter_has_default"] for entry in parameters.values()] == [False, False, True, True]
