"""Points and boxes from end to end: promptable models, other models restricted by them, batches and their reports."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segmentation import Session, Settings, SettingsError, load_image, segment
from segmentation.batch import Outcome, run_batch
from segmentation.corrections import Correction, Point, Prompt, read_correction
from segmentation.models.choice import promptable_of
from segmentation.models.registry import load_registry
from segmentation.prediction import Prediction, found_maps, point_at, predict
from segmentation.predictor import from_predictions, from_session, is_answered
from segmentation.settings import with_values
from tests import graphs
from tests.graphs_prompt import INTERFACES, promptable

PLAIN = Settings(alpha_matting=False)
LEFT, RIGHT = np.s_[12:60, 24:72], np.s_[12:60, 120:168]  # whole cells of the encoder, 12 pixels each
ON_LEFT, ON_RIGHT = Point(40, 40), Point(150, 40)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 x 192: two bright squares on dark grey, of which the left is not quite the right."""
    rgb = np.full((96, 192, 3), 30, np.uint8)
    rgb[LEFT], rgb[RIGHT] = (240, 200, 200), (200, 240, 200)
    path = tmp_path_factory.mktemp("pictures") / "squares.png"
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(*promptable(tmp_path_factory.mktemp("slim")), "cpu")


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = graphs.brightness(tmp_path_factory.mktemp("bright") / "bright.onnx")
    return Session(graphs.make_spec(path), path, "cpu")


def shares(alpha: npt.NDArray[np.uint8]) -> tuple[bool, bool]:
    """Whether the left and the right square are there."""
    assert alpha[80:, 80:110].max() < 128
    return bool((alpha[LEFT] > 127).mean() > 0.7), bool((alpha[RIGHT] > 127).mean() > 0.7)


# ------------------------------------------------------------------------------------------------- one picture


@pytest.mark.parametrize("model_id", INTERFACES)
def test_a_click_cuts_out_what_it_is_on(tmp_path: Path, source: Path, model_id: str) -> None:
    session = Session(*promptable(tmp_path, model_id), "cpu")
    result = segment(load_image(source), session, PLAIN, points=[ON_LEFT])
    assert shares(result.alpha) == (True, False)
    assert {"network", "prompt"} <= set(result.timings)
    assert result.warnings == ()


def test_thresholds_and_matting_apply_to_what_was_pointed_at(source: Path, slim: Session) -> None:
    result = segment(load_image(source), slim, Settings(alpha_matting_erode_size=4), points=[ON_RIGHT])
    assert result.trimap is not None
    assert shares(result.alpha) == (False, True)
    assert result.alpha[12:60, 24:72].max() == 0


def test_without_points_nothing_is_cut_out_and_the_click_is_asked_for(source: Path, slim: Session) -> None:
    with pytest.raises(SettingsError, match="Click on the subject, or drag a box around it: SlimSAM 77 cuts out what"):
        segment(load_image(source), slim, PLAIN)
    with pytest.raises(SettingsError, match="Click on the subject"):
        segment(load_image(source), slim, PLAIN, points=[Point(40, 40, keep=False)])


def test_a_click_chooses_among_subjects_without_a_promptable_model(source: Path, bright: Session) -> None:
    result = segment(load_image(source), bright, PLAIN, points=[ON_LEFT])
    assert shares(result.alpha) == (True, False)
    assert "prompt" not in result.timings


def test_a_click_beside_the_picture_is_refused(source: Path, bright: Session, slim: Session) -> None:
    for session in (bright, slim):
        with pytest.raises(SettingsError, match="Point 1 lies outside the picture"):
            segment(load_image(source), session, PLAIN, points=[Point(-5, 40)])


def test_a_promptable_model_restricts_anothers_answer(source: Path, bright: Session, slim: Session) -> None:
    picture = load_image(source)
    assert shares(segment(picture, bright, PLAIN).alpha) == (True, True)
    result = segment(picture, bright, PLAIN, points=[ON_RIGHT], prompt_session=slim)
    assert shares(result.alpha) == (False, True)
    assert result.probability.shape == (64, 64)
    background = segment(picture, bright, PLAIN, points=[Point(96, 80)], prompt_session=slim)
    assert shares(background.alpha) == (False, False)  # what is not bright does not become so by a click


def test_points_to_remove_alone_take_things_out_of_anothers_answer(
    source: Path, bright: Session, slim: Session
) -> None:
    away = replace(ON_RIGHT, keep=False)
    result = segment(load_image(source), bright, PLAIN, points=[away], prompt_session=slim)
    assert shares(result.alpha) == (True, False)


def test_a_second_prompt_runs_the_decoder_only(source: Path, slim: Session) -> None:
    picture = load_image(source)
    first = predict(picture, slim, points=[ON_LEFT])
    runs = 0
    original = slim.encode

    def counted(*arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        return original(*arguments)

    slim.encode = counted  # type: ignore[method-assign, assignment]
    try:
        second = point_at(picture, first, slim, Prompt((ON_RIGHT,)))
        assert runs == 0
        again = point_at(picture, replace(second, embedding=None), slim, Prompt((ON_RIGHT,)))
        assert runs == 1
    finally:
        del slim.encode
    fresh = predict(picture, slim, points=[ON_RIGHT])
    for each in (second, again):
        assert np.array_equal(found_maps(each, PLAIN)[""], found_maps(fresh, PLAIN)[""])
        assert each.embedding is not None
    assert point_at(picture, second, slim, Prompt()).pointed is None


def test_embeddings_count_as_memory(source: Path, slim: Session) -> None:
    prediction = predict(load_image(source), slim, points=[ON_LEFT])
    assert prediction.embedding is not None
    assert prediction.pointed is not None
    assert prediction.nbytes == prediction.embedding.nbytes + prediction.pointed.map.nbytes


def test_another_candidate_is_another_answer(source: Path, slim: Session) -> None:
    picture = load_image(source)
    prediction = predict(picture, slim, points=[ON_LEFT], candidate=3)
    assert prediction.pointed is not None
    assert prediction.pointed.scores == pytest.approx((0.9, 0.8, 0.3))
    assert found_maps(prediction, PLAIN)[""].min() > 0.9  # the whole picture


# ------------------------------------------------------------------------------------------------- batches


def outcomes(predictor: Any, sources: list[Path], folder: Path, **options: Any) -> list[Outcome]:
    folder.mkdir(exist_ok=True)
    events = run_batch(sources, predictor, PLAIN, folder, **options)
    return sorted((event for event in events if isinstance(event, Outcome)), key=lambda outcome: outcome.index)


def test_pictures_without_a_click_are_reported_and_keep_their_embedding(
    tmp_path: Path, source: Path, slim: Session
) -> None:
    corrections = {1: Correction(points=(ON_LEFT,))}
    first, second = outcomes(from_session(slim, PLAIN), [source] * 2, tmp_path / "out", corrections=corrections)
    assert (first.cutouts, first.report.error, len(second.cutouts)) == ((), None, 1)
    assert first.report.warnings == (
        "Click on the subject, or drag a box around it: SlimSAM 77 cuts out what you point at.",
    )
    assert first.prediction is not None
    assert first.prediction.embedding is not None
    assert shares(np.asarray(Image.open(second.files[0]))[..., 3]) == (True, False)

    known = {0: first.prediction}
    later = from_predictions("slimsam-77", known, PLAIN, slim)
    (clicked,) = outcomes(later, [source] * 2, tmp_path / "later", corrections={0: Correction(points=(ON_RIGHT,))},
                          indices=[0])  # fmt: skip
    assert shares(np.asarray(Image.open(clicked.files[0]))[..., 3]) == (False, True)
    assert "network" not in clicked.report.seconds


def test_a_box_that_a_model_does_not_take_is_reported(tmp_path: Path, source: Path, slim: Session) -> None:
    corrections = {0: read_correction({"box": [110, 10, 190, 70]})}
    (outcome,) = outcomes(from_session(slim, PLAIN), [source], tmp_path, corrections=corrections)
    assert [text[:27] for text in outcome.report.warnings] == ["SlimSAM 77 takes no boxes: "]


def test_batches_ask_the_promptable_model_beside_another(
    tmp_path: Path, source: Path, bright: Session, slim: Session
) -> None:
    predictor = from_session(bright, PLAIN, prompt_session=slim)
    corrections = {1: Correction(points=(ON_RIGHT,))}
    both, one = outcomes(predictor, [source] * 2, tmp_path, corrections=corrections)
    assert shares(np.asarray(Image.open(both.files[0]))[..., 3]) == (True, True)
    assert shares(np.asarray(Image.open(one.files[0]))[..., 3]) == (False, True)
    assert both.prediction is not None
    assert both.prediction.embedding is None  # nobody pointed at anything


def test_earlier_predictions_answer_the_same_prompt_without_a_network(
    source: Path, bright: Session, slim: Session
) -> None:
    picture = load_image(source)
    prompt = Prompt((ON_LEFT,))
    known = point_at(picture, predict(picture, bright), slim, prompt)
    assert is_answered(known, prompt, "slimsam-77")
    assert not is_answered(known, replace(prompt, candidate=2), "slimsam-77")
    assert not is_answered(known, prompt, "mobilesam")
    assert not is_answered(known, Prompt(), "slimsam-77")

    def asked(session: Session | None, prompt: Prompt) -> Prediction:
        predictor = from_predictions("bright", {0: known}, PLAIN, session)
        return predictor.predict(0, picture, lambda _: None, lambda: False, prompt)

    assert asked(slim, prompt).pointed is known.pointed
    assert asked(slim, Prompt()).pointed is None
    assert asked(None, prompt).pointed is None  # by subjects, without a promptable model


# ------------------------------------------------------------------------------------------------- settings


def test_the_setting_names_a_promptable_model_or_nothing() -> None:
    assert Settings().prompt_model == ""
    assert with_values(Settings(), prompt_model="slimsam-77").prompt_model == "slimsam-77"
    for wrong in ("../x", 7, ["slimsam-77"], "A B"):
        with pytest.raises(SettingsError, match="prompt_model must be the id of a model that takes clicks"):
            Settings(prompt_model=wrong)  # type: ignore[arg-type]
    registry = load_registry()
    assert promptable_of(registry, "mobilesam").prompt
    with pytest.raises(SettingsError, match="U²-Net small does not take clicks"):
        promptable_of(registry, "u2netp")


def test_a_setting_that_means_nothing_is_named(source: Path, slim: Session) -> None:
    settings = with_values(PLAIN, prompt_model="mobilesam")
    result = segment(load_image(source), slim, settings, points=[ON_LEFT])
    assert result.warnings == ("SlimSAM 77 is pointed at itself, so no other model is asked what you click.",)
