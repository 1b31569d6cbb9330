"""Clicks and boxes on a server: the decoder runs again and the encoder does not, within the budget of memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation.config import Config
from segmentation.corrections import Correction, Point, Prompt
from segmentation.errors import RegistryError, SettingsError
from segmentation.picture.load import load_image
from segmentation.prediction import Prediction, point_at, predict
from segmentation.recipe import Recipe
from segmentation.refinement import refine
from segmentation.web.page.controls import Controls
from segmentation.web.page.viewer import viewer_value
from segmentation.web.runs.predictions import PredictionCache, Predictions
from segmentation.web.runs.previews import TooSlowError
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.tuning import Target
from tests import graphs
from tests.graphs_prompt import write_registry
from tests.web.conftest import Server, served

LEFT, RIGHT = np.s_[12:60, 24:72], np.s_[12:60, 120:168]  # whole cells of the encoder
ON_LEFT, ON_RIGHT = Correction(points=(Point(40, 40),)), Correction(points=(Point(150, 40),))
SLIM = Recipe.of("slimsam-77", {"alpha_matting": False})
BESIDE = Recipe.of("bright.onnx", {"alpha_matting": False, "prompt_model": "slimsam-77"})
CLICK = "Click on the subject, or drag a box around it: SlimSAM 77 cuts out what you point at."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a promptable model and one that finds what is bright."""
    models, registry = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("registry") / "registry.yaml"
    write_registry(models, registry, "slimsam-77", "efficientsam-ti")
    graphs.brightness(models / "bright.onnx")
    config = Config(models_folder=models, registry=str(registry), max_pictures=5, device="cpu")
    yield from served(config, tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rgb = np.full((96, 192, 3), 30, np.uint8)
    rgb[LEFT], rgb[RIGHT] = (240, 200, 200), (200, 240, 200)
    path = tmp_path_factory.mktemp("pictures") / "squares.png"
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture
def uploaded(server: Server, source: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(server.uploads))
    path = server.uploads / ("a" * 64) / source.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source.read_bytes())
    return str(path)


def shares(file: Path | str) -> tuple[bool, bool]:
    """Whether the left and the right square are in a cutout."""
    alpha = np.asarray(Image.open(file))[..., 3]
    return bool((alpha[LEFT] > 127).mean() > 0.7), bool((alpha[RIGHT] > 127).mean() > 0.7)


def done(service: Service, run: Run) -> Run:
    for _ in service.work.process(run, for_page=True):
        pass
    return run


def refined(service: Service, run: Run, recipe: Recipe, correction: Correction) -> Run:
    run.corrections.change(0, lambda _: correction)
    return done(service, service.refinement(run.predictions, recipe, None, [0], None, run.corrections.snapshot()))


def prediction_of(run: Run) -> Prediction:
    return run.predictions.by_picture[0]


# ------------------------------------------------------------------------------------------------- runs


def test_a_run_waits_for_clicks_and_each_runs_the_decoder_only(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], SLIM))
    (report,) = run.outcomes.reports
    assert report.error is None
    assert report.warnings == (CLICK,)
    (item,) = viewer_value(run, str)["items"]  # an empty cutout, as there must be a picture to click on
    assert (item["key"], item["warnings"], shares(item["file"])) == ("0 ", [CLICK], (False, False))
    embedding = prediction_of(run).embedding
    assert embedding is not None
    for correction, expected in ((ON_LEFT, (True, False)), (ON_RIGHT, (False, True))):
        again = refined(service, run, SLIM, correction)
        (outcome,) = again.outcomes.by_picture.values()
        assert shares(outcome.files[0]) == expected
        assert {"prompt", "network"} & set(outcome.report.seconds) == {"prompt"}
        assert prediction_of(run).embedding is embedding  # the very same
    same = refined(service, run, Recipe.of("slimsam-77", {"alpha_matting": False, "format": "webp"}), ON_RIGHT)
    assert "prompt" not in same.outcomes.reports[0].seconds  # not even the decoder, for the same click
    nothing = refined(service, run, SLIM, Correction())
    assert shares(nothing.outcomes.by_picture[0].files[0]) == (False, False)
    assert nothing.outcomes.reports[0].warnings == (CLICK,)


def test_an_embedding_that_was_dropped_is_computed_again(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], SLIM, corrections={0: ON_LEFT}))
    assert shares(run.outcomes.by_picture[0].files[0]) == (True, False)
    run.predictions.drop_caches()
    again = refined(service, run, SLIM, ON_RIGHT)
    assert shares(again.outcomes.by_picture[0].files[0]) == (False, True)
    assert prediction_of(run).embedding is not None


def test_beside_another_model_the_encoder_runs_at_the_first_click(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], BESIDE))
    assert shares(run.outcomes.by_picture[0].files[0]) == (True, True)
    assert prediction_of(run).embedding is None
    again = refined(service, run, BESIDE, ON_RIGHT)
    assert shares(again.outcomes.by_picture[0].files[0]) == (False, True)
    assert prediction_of(run).embedding is not None
    without = refined(
        service, run, replace(BESIDE, settings=Recipe.of("x", {"alpha_matting": False}).settings), ON_LEFT
    )
    assert shares(without.outcomes.by_picture[0].files[0]) == (True, False)  # by connected subjects
    all_ = refined(service, run, BESIDE, Correction())
    assert shares(all_.outcomes.by_picture[0].files[0]) == (True, True)


def test_the_first_click_of_a_page_is_followed(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], SLIM))
    target = Target("0 ", SLIM, None)
    preview = service.preview(run, 1, target)
    assert preview is not None
    assert preview.warnings == (CLICK,)
    run.corrections.change(0, lambda _: ON_LEFT)
    preview = service.preview(run, 2, target)
    assert preview is not None
    assert (shares(preview.file), preview.warnings) == ((True, False), ())


def test_a_preview_follows_the_click(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], SLIM, corrections={0: ON_LEFT}))
    run.corrections.change(0, lambda _: ON_RIGHT)
    preview = service.preview(run, 1, Target("0 ", SLIM, None))
    assert preview is not None
    assert shares(preview.file) == (False, True)
    pointed = prediction_of(run).pointed
    assert pointed is not None
    assert pointed.prompt == ON_RIGHT.prompt  # for the refinement that follows


def test_there_is_no_preview_of_a_click_whose_embedding_was_dropped(server: Server, uploaded: str) -> None:
    service = server.service
    run = done(service, service.new_run([uploaded], SLIM, corrections={0: ON_LEFT}))
    run.predictions.drop_caches()
    assert service.preview(run, 1, Target("0 ", SLIM, None)) is not None  # the answer to that click is still there
    run.corrections.change(0, lambda _: ON_RIGHT)
    with pytest.raises(TooSlowError):
        service.preview(run, 2, Target("0 ", SLIM, None))
    again = refined(service, run, SLIM, ON_RIGHT)
    assert shares(again.outcomes.by_picture[0].files[0]) == (False, True)


def test_a_model_that_takes_no_clicks_is_refused_for_them(server: Server, uploaded: str) -> None:
    with pytest.raises(SettingsError, match=r"U²-Net small does not take clicks\..*slimsam-77"):
        server.service.new_run([uploaded], Recipe.of("bright.onnx", {"prompt_model": "u2netp"}))
    with pytest.raises(RegistryError, match="There is no model 'nothing'"):
        server.service.new_run([uploaded], Recipe.of("bright.onnx", {"prompt_model": "nothing"}))


def test_models_say_that_they_are_promptable(server: Server) -> None:
    (entry,) = [entry for entry in server.service.offered.as_json() if entry["id"] == "slimsam-77"]
    assert (entry["promptable"], entry["on_disk"], entry["tasks"]) == (True, True, ["prompt"])
    assert entry["bytes"] == sum(
        file.stat().st_size for file in (server.service.config.models_folder / "slimsam-77").iterdir()
    )


# ------------------------------------------------------------------------------------------------- memory


def prediction(server: Server, source: Path) -> Prediction:
    session = server.service.offered.session("slimsam-77")
    return point_at(load_image(source), predict(load_image(source), session), session, Prompt((Point(40, 40),)))


def test_beyond_the_budget_embeddings_go_before_predictions(server: Server, source: Path) -> None:
    known = prediction(server, source)
    assert known.embedding is not None
    small = known.nbytes - known.embedding.nbytes
    cache = PredictionCache(known.nbytes + small, seconds=60)
    first, second = Predictions([source], SLIM), Predictions([source], SLIM)
    cache.add(first)
    cache.store(first, 0, known)
    assert first.by_picture[0].embedding is not None
    cache.add(second)
    cache.store(second, 0, known)
    assert first.by_picture[0].embedding is None
    assert first.by_picture[0].pointed is not None
    assert second.by_picture[0].embedding is not None


def test_beyond_the_budget_what_strokes_go_on_from_goes_before_predictions(server: Server, source: Path) -> None:
    known = replace(prediction(server, source), embedding=None)
    picture = load_image(source)
    solved = refine(picture, np.random.default_rng(0).random((96, 192)).astype(np.float32)).solved
    cache = PredictionCache(2 * known.nbytes, seconds=60)
    run = Predictions([source, source], SLIM)
    cache.add(run)
    cache.store(run, 0, known)
    run.bases.keep("a", solved, picture.rgb)
    assert run.nbytes > 2 * known.nbytes
    cache.trim()
    assert run.bases.nbytes == 0
    assert list(run.by_picture) == [0]
    run.bases.keep("a", solved, picture.rgb)
    cache.store(run, 1, known)
    assert list(run.by_picture) == [0, 1]


def test_a_picture_without_room_for_its_embedding_is_kept_without(server: Server, source: Path) -> None:
    known = prediction(server, source)
    assert known.embedding is not None
    cache = PredictionCache(known.nbytes - 1, seconds=60)
    run = Predictions([source], SLIM)
    cache.add(run)
    cache.store(run, 0, known)
    assert run.by_picture[0].embedding is None
    cache = PredictionCache(known.nbytes, seconds=60)
    run = Predictions([source], SLIM)
    cache.add(run)
    cache.store(run, 0, known)
    cache.store(run, 0, known)  # in place of the former, not beside it
    assert run.by_picture[0].embedding is not None


# ------------------------------------------------------------------------------------------------- API and page


def test_a_script_clicks_by_segment_and_refine(server: Server, source: Path) -> None:
    client = Client(server.url, verbose=False)
    call = {"images": [handle_file(source)], "model": "slimsam-77", "alpha_matting": False}
    files, (report,) = client.predict(**call, api_name="/segment")
    assert files == []
    assert report["warnings"][0].startswith("Click on the subject")
    points = [[{"x": 150, "y": 40}]]
    (file,), (report,) = client.predict(run=report["run"], points=points, alpha_matting=False, api_name="/refine")
    assert shares(file) == (False, True)
    assert "network" not in report["seconds"]
    (file,), _ = client.predict(**call, points=[[{"x": 40, "y": 40}]], candidate=[2], api_name="/segment")
    alpha = np.asarray(Image.open(file))[..., 3]
    assert (alpha[LEFT] > 127).mean() > 0.7
    (file,), (report,) = client.predict(**call, box=[[110, 5, 190, 70]], api_name="/segment")
    assert shares(file) == (False, True)
    assert any(text.startswith("SlimSAM 77 takes no boxes") for text in report["warnings"])
    with pytest.raises(AppError, match="does not take clicks"):
        client.predict(
            images=[handle_file(source)], model="bright.onnx", prompt_model="bright.onnx", api_name="/segment"
        )


def test_links_and_stored_settings_with_another_kind_of_model_are_refused(server: Server) -> None:
    registry = server.service.offered.registry
    controls = Controls(registry)
    recipe, problem = controls.from_link({"model": "bright.onnx", "prompt_model": "slimsam-77"})
    assert recipe is not None
    assert (recipe.settings.prompt_model, problem) == ("slimsam-77", "")
    recipe, problem = controls.from_link({"prompt_model": "u2netp"})
    assert recipe is None
    assert "does not take clicks" in problem


def test_the_page_offers_promptable_models_for_clicks(server: Server) -> None:
    blocks: dict[str, Any] = {getattr(block, "elem_id", "") or "": block for block in server.page.blocks.values()}
    values = [value for _, value in blocks["prompt_model"].choices]
    assert values == ["", "slimsam-77", "mobilesam", "efficientsam-ti-split", "efficientsam-ti"]
