"""Tuning without the network, as scripts do it: the run's id and new settings."""

import gc
import os
import secrets
import shutil
import time
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation import Session, load_image, save_export, segment
from segmentation.__main__ import main
from segmentation.batch import Outcome
from segmentation.cutout_files import Cutout
from segmentation.prediction import Prediction
from segmentation.recipe import Recipe, save_recipe, write_value
from segmentation.report import Report
from segmentation.web.guard.uploads import sweep
from segmentation.web.runs.archive import write_archive
from segmentation.web.runs.predictions import PredictionCache, Predictions
from segmentation.web.runs.run import Run
from segmentation.web.runs.tuning import Target
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


def test_pymattings_methods_are_on_offer(client: Client, begun: tuple[str, list[str]]) -> None:
    chosen = {"pictures": [0], "matting_method": "rw", "trust_mask": 0.1}
    files, (entry,) = client.predict(run=begun[0], **chosen, api_name="/refine")
    assert entry["error"] is None
    assert entry["warnings"] == [
        "With this matting method, trust_mask only counts where the model is in doubt beyond an outline."
    ]
    assert Path(files[0]).read_bytes() != Path(begun[1][0]).read_bytes()


@pytest.mark.parametrize(
    "finish",
    [
        {"canvas": "300x400", "canvas_margin": [2, 4, 6, 8], "shadow": "both", "outline_width": 2.0, "format": "webp"},
        {"canvas": "3:2", "background": "blur", "shadow": "drop", "format": "jpeg", "max_kb": 12, "max_edge": 300},
    ],
)
def test_a_finished_product_has_the_same_bytes_wherever_it_was_made(
    client: Client,
    server: Server,
    photos: dict[str, Path],
    begun: tuple[str, list[str]],
    tmp_path: Path,
    u2netp: Session,
    finish: dict[str, Any],
) -> None:
    photo = photos["cheetah"]
    (whole,), _ = client.predict(images=[handle_file(photo)], **finish, api_name="/segment")
    (refined,), _ = client.predict(run=begun[0], pictures=[0], **finish, api_name="/refine")
    recipe = Recipe.of("u2netp", finish)
    save_recipe(recipe, tmp_path / "settings.yaml")
    by_file = ["--settings", str(tmp_path / "settings.yaml")]
    by_flags = [f"--{name.replace('_', '-')}={write_value(value)}" for name, value in recipe.changed.items()]
    files = [Path(whole), Path(refined)]
    for place, flags in enumerate((by_file, ["--model", "u2netp", *by_flags])):
        assert main(["cut", str(photo), "-o", str(tmp_path / str(place)), *flags]) == 0
        files.append(tmp_path / str(place) / f"cheetah-cutout{recipe.export.ending}")
    picture = load_image(photo)
    result = segment(picture, u2netp)
    save_export(picture, result.foreground, result.alpha, tmp_path / "library", recipe.export)
    assert {file.read_bytes() for file in files} == {(tmp_path / "library").read_bytes()}


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
        ({"run": "AAAAAAAAAAAAAAAAAAAAAA"}, "This run has expired or does not exist"),
        ({"run": ""}, "This run has expired or does not exist"),
        ({"run": None}, "This run has expired or does not exist"),
        ({"run": ["x"]}, "This run has expired or does not exist"),
        ({"pictures": [2]}, "pictures must be a list of picture numbers of this run: 0, 1"),
        ({"pictures": []}, "pictures must be a list of picture numbers"),
        ({"pictures": "all"}, "pictures must be a list of picture numbers"),
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
    assert server.service.predictions.get(begun[0]).id == begun[0]
    text = str(server.page.get_config_file())
    assert begun[0] not in text


def prediction(pixels: int) -> Prediction:
    return Prediction({"": np.zeros((1, pixels), np.float32)}, "m", "CPUExecutionProvider", "", 0, (1, pixels), {})


def keep(runs: PredictionCache, pixels: int) -> Predictions:
    kept = Predictions([], Recipe("m"))
    runs.add(kept)
    runs.store(kept, 0, prediction(pixels))
    return kept


def test_the_longest_unused_run_goes_first_beyond_the_budget() -> None:
    runs = PredictionCache(budget=4 * 250, seconds=60)
    first, second = keep(runs, 100), keep(runs, 100)
    assert runs.get(first.id) is first  # used again, so the second is the oldest now
    third = keep(runs, 100)
    assert runs.get(first.id) is first
    assert runs.get(third.id) is third
    with pytest.raises(Exception, match="This run has expired or does not exist"):
        runs.get(second.id)
    assert second.by_picture == {}  # whoever still holds it keeps no memory alive


def test_of_one_run_no_more_is_kept_than_there_is_room_for() -> None:
    runs = PredictionCache(budget=4 * 250, seconds=60)
    large = keep(runs, 100)
    for index in (1, 2):
        runs.store(large, index, prediction(100))
    assert sorted(large.by_picture) == [0, 1]
    assert runs.get(large.id).nbytes <= 4 * 250


def test_a_run_expires() -> None:
    runs = PredictionCache(budget=1 << 20, seconds=0.05)
    kept = keep(runs, 10)
    time.sleep(0.1)
    runs.trim()
    with pytest.raises(Exception, match="This run has expired or does not exist"):
        runs.get(kept.id)


def test_a_visitors_page_keeps_no_maps_alive_beyond_the_budget(
    server: Server, photos: dict[str, Path], tmp_path: Path
) -> None:
    folder = server.uploads / secrets.token_hex(32)
    folder.mkdir()
    shutil.copy(photos["cheetah"], folder / "a.jpg")
    run = server.service.new_run([str(folder / "a.jpg")], Recipe.of(BRIGHT, {"alpha_matting": False}))
    assert all(isinstance(finished, bool) for finished in server.service.work.process(run, for_page=True))
    said = weakref.ref(run.predictions.by_picture[0].maps[""])
    assert said() is not None
    server.service.predictions.forget(run.predictions)
    gc.collect()
    assert said() is None  # though the page still has its run
    assert run.outcomes.cutouts
    with pytest.raises(Exception, match="have expired"):
        server.service.refinement(run.predictions, run.recipe)
    server.service.shown.drop(run)
    assert not run.folder.exists()


def test_what_is_tuned_is_not_swept_for_its_age(server: Server, photos: dict[str, Path]) -> None:
    folder = server.uploads / secrets.token_hex(32)
    folder.mkdir()
    for name in ("cheetah", "chelsea"):
        shutil.copy(photos[name], folder)
    paths = [str(folder / photos[name].name) for name in ("cheetah", "chelsea")]
    run = server.service.new_run(paths, Recipe.of(BRIGHT, {"alpha_matting": False}))
    list(server.service.work.process(run, for_page=True))
    again = server.service.refinement(run.predictions, run.recipe, indices=[0])
    list(server.service.work.process(again, for_page=True))
    assert run.adopt(again, 0) == ""
    long_ago = time.time() - 3700
    for path in (folder, run.folder, again.folder):
        os.utime(path, (long_ago, long_ago))
    assert server.service.preview(run, 1, Target("1 ", run.recipe, None)) is not None  # a hand on the other picture
    sweep(3600)
    assert all(cutout.file.exists() for _, cutout in run.outcomes.cutouts)
    assert write_archive(run).exists()
    server.service.shown.drop(run)


@pytest.mark.parametrize("moves", ["before", "after"])
def test_the_last_move_of_a_hand_is_tuned_although_the_one_before_is_late(
    server: Server, small_photos: dict[str, Path], moves: str
) -> None:
    folder = server.uploads / ("d" * 63 + str(len(moves)))
    folder.mkdir(exist_ok=True)
    paths = [str(shutil.copy(small_photos[name], folder)) for name in ("cheetah", "chelsea")]
    run = server.service.new_run(paths, Recipe.of(BRIGHT, {"alpha_matting": False}))
    list(server.service.work.process(run, for_page=True))
    handlers: dict[Any, Any] = {fn.api_name: fn for fn in server.page.fns.values()}
    values = {block.elem_id: block.value for block in handlers["preview"].inputs[3:]}

    def move(**changed: Any) -> None:
        own = values | {"model": BRIGHT, "alpha_matting": False, "crop": True} | changed
        handlers["preview"].fn("1 ", run, True, None, *own.values())

    def tuning() -> Iterator[Any]:
        return iter(handlers["tune"].fn(run, True, None))

    move(crop_margin=5)
    first = tuning()
    if moves == "before":  # the first was sent before the second move, and is answered after
        move(crop_margin=50)
    next(first)
    if moves == "after":
        move(crop_margin=50)
    for late in (first, tuning()):
        list(late)
    made_by = [made.recipe.export.crop_margin for made in run.outcomes.made_by.values()]
    assert made_by == [run.recipe.export.crop_margin, 50]
    assert run.tuning.done == run.tuning.current.number == 2
    server.service.shown.drop(run)


def test_a_picture_that_failed_anew_keeps_the_cutout_it_had(tmp_path: Path) -> None:
    run, quick = (Run(tmp_path / name, Predictions([Path("a.jpg")], Recipe("m")), Recipe("m")) for name in "ab")
    for part in (run, quick):
        part.folder.mkdir()
        file = part.folder / "a-cutout.png"
        file.write_bytes(part.folder.name.encode())
        part.outcomes.add(Outcome(0, "a.jpg", (Cutout("", file, (0, 0, 1, 1)),), Report("a.jpg", "m", "")))
    assert run.adopt(quick, 0) == ""
    assert [cutout.file for _, cutout in run.outcomes.cutouts] == [quick.folder / "a-cutout.png"]
    failed = Run(tmp_path, run.predictions, Recipe("m"))
    failed.outcomes.add(Outcome(0, "a.jpg", (), Report("a.jpg", "m", "", error="It failed.")))
    assert run.adopt(failed, 0) == "It failed."
    assert [cutout.file for _, cutout in run.outcomes.cutouts] == [quick.folder / "a-cutout.png"]  # nothing is lost
    assert write_archive(run).exists()


def test_what_comes_late_to_a_forgotten_run_is_not_kept() -> None:
    runs = PredictionCache(budget=1 << 20, seconds=60)
    kept = keep(runs, 10)
    runs.forget(kept)
    runs.store(kept, 1, prediction(10))
    assert kept.by_picture == {}


def test_each_settings_file_of_an_archive_has_a_name_of_its_own(tmp_path: Path) -> None:
    sources = [Path(folder) / "image.png" for folder in "abc"]
    run = Run(tmp_path, Predictions(sources, Recipe("m")), Recipe("m"))
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"")
        cutout = Cutout("", tmp_path / f"{index}.png", (0, 0, 1, 1))
        outcome = Outcome(index, "image.png", (cutout,), Report("image.png", "m", ""))
        run.outcomes.replace(outcome, (Recipe.of("m", {"alpha_matting_erode_size": index}), None))
    with zipfile.ZipFile(write_archive(run)) as archive:
        settings = [name for name in archive.namelist() if name.endswith(".yaml")]
        texts = [archive.read(name).decode() for name in settings]
    assert len(set(settings)) == 3
    assert all(f"erode_size: {index}\n" in text for index, text in enumerate(texts))
