"""Tuning without the network, as scripts do it: the run's id and new settings."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation.pipeline import Prediction
from segmentation.recipe import Recipe
from segmentation.web.runs import Kept, KeptRuns
from tests.web.conftest import Server

BRIGHT = "bright.onnx"


@pytest.fixture(scope="module")
def begun(client: Client, photos: dict[str, Path]) -> tuple[str, list[str]]:
    """A run of two photos: its id, and its files."""
    images = [handle_file(photos[name]) for name in ("cheetah", "chelsea")]
    files, report = client.predict(images=images, api_name="/segment")
    (run,) = {entry["run"] for entry in report}
    return run, files


def test_other_settings_give_the_bytes_of_a_whole_run_without_the_network(
    client: Client, photos: dict[str, Path], begun: tuple[str, list[str]]
) -> None:
    chosen: dict[str, Any] = {"alpha_matting_erode_size": 4, "background": "#336699", "format": "webp", "crop": True}
    files, report = client.predict(run=begun[0], **chosen, api_name="/refine")
    images = [handle_file(photos[name]) for name in ("cheetah", "chelsea")]
    whole, first = client.predict(images=images, **chosen, api_name="/segment")
    assert [Path(file).name for file in files] == ["cheetah-cutout.webp", "chelsea-cutout.webp"]
    assert [Path(file).read_bytes() for file in files] == [Path(file).read_bytes() for file in whole]
    assert [Path(file).read_bytes() for file in files] != [Path(file).read_bytes() for file in begun[1]]
    assert all("network" in entry["seconds"] for entry in first)
    assert not any("network" in entry["seconds"] for entry in report)
    assert {entry["run"] for entry in report} == {begun[0]}


def test_pictures_are_chosen_by_their_numbers(client: Client, begun: tuple[str, list[str]]) -> None:
    files, report = client.predict(run=begun[0], pictures=[1], alpha_matting=False, api_name="/refine")
    assert [Path(file).name for file in files] == ["chelsea-cutout.png"]
    assert [entry["name"] for entry in report] == ["chelsea.png"]


def test_a_backdrop_lies_behind(client: Client, begun: tuple[str, list[str]], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / "green.png")
    files, _ = client.predict(
        run=begun[0], pictures=[0], background="picture", backdrop=handle_file(tmp_path / "green.png"), format="png",
        api_name="/refine",
    )  # fmt: skip
    with Image.open(files[0]) as cutout:
        assert cutout.mode == "RGB"
        assert np.asarray(cutout)[2, 2].tolist() == [10, 200, 30]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"run": "AAAAAAAAAAAAAAAAAAAAAA"}, "There is no such run"),
        ({"run": ""}, "There is no such run"),
        ({"run": None}, "There is no such run"),
        ({"run": ["x"]}, "There is no such run"),
        ({"pictures": [2]}, "pictures must be a list of numbers of pictures that this run has: 0, 1"),
        ({"pictures": []}, "pictures must be a list of numbers"),
        ({"pictures": "all"}, "pictures must be a list of numbers"),
        ({"alpha_matting_erode_size": -1}, "alpha_matting_erode_size must lie between"),
    ],
)
def test_what_is_wrong_is_told(
    client: Client, begun: tuple[str, list[str]], wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(**({"run": begun[0]} | wrong), api_name="/refine")
    assert sentence in str(caught.value)


def test_a_run_is_unknown_to_who_does_not_know_its_id(server: Server, begun: tuple[str, list[str]]) -> None:
    assert len(begun[0]) >= 20  # 120 random bits and more
    assert server.service.kept.get(begun[0]).id == begun[0]
    text = str(server.page.get_config_file())
    assert begun[0] not in text


def prediction(pixels: int) -> Prediction:
    return Prediction({"": np.zeros((1, pixels), np.float32)}, "m", "CPUExecutionProvider", "", 0, (1, pixels), {})


def keep(runs: KeptRuns, pixels: int) -> Kept:
    kept = Kept([], Recipe("m"))
    runs.add(kept)
    runs.keep(kept, 0, prediction(pixels))
    return kept


def test_the_longest_unused_run_goes_first_beyond_the_budget() -> None:
    runs = KeptRuns(budget=4 * 250, seconds=60)
    first, second = keep(runs, 100), keep(runs, 100)
    assert runs.get(first.id) is first  # used again, so the second is the oldest now
    third = keep(runs, 100)
    assert runs.get(first.id) is first
    assert runs.get(third.id) is third
    with pytest.raises(Exception, match="There is no such run"):
        runs.get(second.id)
    assert second.predictions == {}  # whoever still holds it keeps no memory alive


def test_the_newest_run_stays_whatever_it_takes() -> None:
    runs = KeptRuns(budget=10, seconds=60)
    large = keep(runs, 1000)
    assert runs.get(large.id) is large


def test_a_run_expires() -> None:
    runs = KeptRuns(budget=1 << 20, seconds=0.05)
    kept = keep(runs, 10)
    time.sleep(0.1)
    runs.trim()
    with pytest.raises(Exception, match="There is no such run"):
        runs.get(kept.id)


def test_what_comes_late_to_a_forgotten_run_is_not_kept() -> None:
    runs = KeptRuns(budget=1 << 20, seconds=60)
    kept = keep(runs, 10)
    runs.forget(kept)
    runs.keep(kept, 1, prediction(10))
    assert kept.predictions == {}
