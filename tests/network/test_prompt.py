"""Promptable networks: real graphs with the interfaces of real ones (tests/graphs_prompt.py), and SAM's own numbers."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segmentation import Registry, Session, SessionError
from segmentation.corrections import Box, Point, Prompt
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import gpu_problem
from segmentation.network.pool import SessionPool
from segmentation.network.prompt.ask import Pointed, ask, embed
from segmentation.network.prompt.contract import Feed, PromptContract
from segmentation.network.prompt.encoding import Asked, asked
from segmentation.network.prompt.reading import candidates
from segmentation.network.providers import CPU, CUDA
from segmentation.network.tensor import Placement, place, to_tensor
from segmentation.picture.resize import resize
from tests.graphs_prompt import INTERFACES, promptable
from tests.network.simulated_gpu import Runs, out_of_memory, simulate_card

WITH_BOXES = [model_id for model_id in INTERFACES if model_id != "slimsam-77"]
LEFT, RIGHT, BAR = np.s_[10:30, 10:30], np.s_[10:30, 60:90], np.s_[34:46, 20:60]


@pytest.fixture(scope="module")
def rgb() -> npt.NDArray[np.uint8]:
    """48 x 96: two red squares and a green bar on dark grey."""
    picture = np.full((48, 96, 3), 30, np.uint8)
    picture[LEFT] = picture[RIGHT] = (200, 40, 40)
    picture[BAR] = (40, 200, 40)
    return picture


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Session]:
    sessions: dict[str, Session] = {}

    def load(model_id: str) -> Session:
        if model_id not in sessions:
            sessions[model_id] = Session(*promptable(tmp_path_factory.mktemp(model_id), model_id), "cpu")
        return sessions[model_id]

    return load


def pointed(session: Session, rgb: Any, points: list[Point], box: Box | None = None, candidate: int = 1) -> Pointed:
    embedding = embed(rgb, session, session.input).embedding
    found = ask(session, embedding, Prompt(tuple(points), box, candidate))
    assert found is not None
    return found


def inside(found: Pointed, *regions: Any) -> list[float]:
    """The share of each region of the 48 x 96 picture that was pointed at, and of what lies in none of them."""
    mask = resize(found.map, (48, 96), "bilinear") > 0.5
    rest = np.ones_like(mask)
    for region in regions:
        rest[region] = False
    return [float(mask[region].mean()) for region in regions] + [float(mask[rest].mean())]


# ------------------------------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("model_id", INTERFACES)
def test_what_is_clicked_is_cut_out_and_nothing_else(loaded: Callable[[str], Session], rgb: Any, model_id: str) -> None:
    left, right, bar, rest = inside(pointed(loaded(model_id), rgb, [Point(15, 15)]), LEFT, RIGHT, BAR)
    assert left > 0.7  # cells of 6 picture pixels, counted only if they lie in it entirely
    assert (right, bar, rest) == (0, 0, 0)


@pytest.mark.parametrize("model_id", INTERFACES)
def test_answers_are_numbered_by_their_score_and_start_over(
    loaded: Callable[[str], Session], rgb: Any, model_id: str
) -> None:
    session = loaded(model_id)
    best = pointed(session, rgb, [Point(15, 15)])
    assert best.scores == pytest.approx((0.9, 0.8, 0.3))  # the graph has them in another order
    second = pointed(session, rgb, [Point(15, 15)], candidate=2)
    left, right, bar, _ = inside(second, LEFT, RIGHT, BAR)
    assert (left > 0.7, right > 0.7, bar) == (True, True, 0)
    assert np.array_equal(pointed(session, rgb, [Point(15, 15)], candidate=4).map, best.map)


@pytest.mark.parametrize("model_id", INTERFACES)
def test_several_points_keep_several_things(loaded: Callable[[str], Session], rgb: Any, model_id: str) -> None:
    found = pointed(loaded(model_id), rgb, [Point(15, 15), Point(40, 40)])
    left, right, bar, _ = inside(found, LEFT, RIGHT, BAR)
    assert (left > 0.7, right, bar > 0.3) == (True, 0, True)


@pytest.mark.parametrize("model_id", ["slimsam-77", "mobilesam"])
def test_a_point_takes_away_what_it_lies_on(loaded: Callable[[str], Session], rgb: Any, model_id: str) -> None:
    found = pointed(loaded(model_id), rgb, [Point(15, 15), Point(75, 15, keep=False)], candidate=2)
    left, right, *_ = inside(found, LEFT, RIGHT, BAR)
    assert (left > 0.7, right) == (True, 0)
    assert found.warnings == ()


def test_a_network_that_cannot_take_away_says_so(loaded: Callable[[str], Session], rgb: Any) -> None:
    found = pointed(loaded("efficientsam-ti-split"), rgb, [Point(15, 15), Point(75, 15, keep=False)])
    (warning,) = found.warnings
    assert "does not understand points to remove: the best of its answers that leaves them out was taken" in warning
    assert inside(found, LEFT, RIGHT, BAR)[1] == 0


def test_of_its_answers_the_best_without_the_points_to_avoid_counts() -> None:
    logits = np.array([[[1.0, 1.0]], [[1.0, -1.0]], [[-1.0, -1.0]]])
    at = Placement((1, 2), 0, 0, 1, 2)
    found = candidates(logits, np.array([0.9, 0.7, 0.8]), at, (1, 2), (10, 20), [Point(15, 5, keep=False)])
    assert found.scores == pytest.approx((0.8, 0.7, 0.9))


@pytest.mark.parametrize("model_id", WITH_BOXES)
def test_a_box_is_given_as_a_box(loaded: Callable[[str], Session], rgb: Any, model_id: str) -> None:
    found = pointed(loaded(model_id), rgb, [], (54, 4, 95, 33), candidate=2)  # everything red in it
    left, right, bar, _ = inside(found, LEFT, RIGHT, BAR)
    assert (left, right > 0.7, bar) == (0, True, 0)
    assert found.warnings == ()


def test_without_boxes_the_middle_is_asked_and_the_answer_is_cut(loaded: Callable[[str], Session], rgb: Any) -> None:
    found = pointed(loaded("slimsam-77"), rgb, [], (54, 4, 95, 33), candidate=2)
    left, right, bar, _ = inside(found, LEFT, RIGHT, BAR)
    assert (left, right > 0.7, bar) == (0, True, 0)
    (warning,) = found.warnings
    assert warning.endswith("it was asked for what is in the middle of the box, and its answer was cut to the box.")


def test_without_boxes_points_count_and_the_answer_is_cut(loaded: Callable[[str], Session], rgb: Any) -> None:
    found = pointed(loaded("slimsam-77"), rgb, [Point(15, 15)], (0, 0, 20, 48), candidate=2)
    mask = resize(found.map, (48, 96), "bilinear") > 0.5
    assert mask[15, 15]
    assert not mask[:, 24:].any()
    assert [str(text) for text in found.warnings] == [
        "SlimSAM 77 takes no boxes: its answer to the points was cut to the box."
    ]


@pytest.mark.parametrize("model_id", INTERFACES)
def test_points_to_remove_alone_say_nothing(loaded: Callable[[str], Session], rgb: Any, model_id: str) -> None:
    session = loaded(model_id)
    embedding = embed(rgb, session, session.input).embedding
    assert ask(session, embedding, Prompt((Point(15, 15, keep=False),))) is None
    assert ask(session, embedding, Prompt()) is None


@pytest.mark.parametrize("model_id", INTERFACES)
def test_an_embedding_carries_the_picture_and_knows_its_size(
    loaded: Callable[[str], Session], rgb: Any, model_id: str
) -> None:
    session = loaded(model_id)
    embedding = embed(rgb, session, session.input).embedding
    assert (embedding.picture, embedding.model) == ((48, 96), model_id)
    assert embedding.nbytes == sum(tensor.nbytes for tensor in embedding.tensors.values()) > 0
    mirrored = embed(np.ascontiguousarray(rgb[:, ::-1]), session, session.input).embedding
    found = ask(session, mirrored, Prompt((Point(80, 15),)))  # where the left square is now
    assert found is not None
    assert resize(found.map, (48, 96), "bilinear")[15, 80] > 0.5


# ------------------------------------------------------------------------------------------------- SAM's numbers


@pytest.mark.parametrize(
    ("picture", "inner"),
    [
        ((1764, 2646), (683, 1024)),  # transformers, tests/models/sam/test_processor_sam.py
        ((1200, 1800), (683, 1024)),  # truck.jpg of segment-anything's notebooks
        ((1365, 2048), (683, 1024)),  # 682.5, rounded up: int(x + 0.5) in get_preprocess_shape
        ((1024, 300), (1024, 300)),
        ((3, 4000), (1, 1024)),
    ],
)
@pytest.mark.parametrize("model_id", ["slimsam-77", "mobilesam"])
def test_the_longest_edge_becomes_1024(
    registry: Registry, model_id: str, picture: tuple[int, int], inner: tuple[int, int]
) -> None:
    at = place(registry[model_id].input, picture)
    assert (at.top, at.left, at.height, at.width) == (0, 0, *inner)
    assert at.canvas == ((1024, 1024) if model_id == "slimsam-77" else inner)


def test_slimsam_sees_imagenets_normalisation_and_zeros_at_the_bottom(registry: Registry) -> None:
    rgb = np.zeros((512, 1024, 3), np.uint8)
    rgb[:, 512:] = 255
    tensor, _ = to_tensor(rgb, registry["slimsam-77"].input)
    assert tensor.shape == (1, 3, 1024, 1024)
    assert tensor.dtype == np.float32
    # (0 - mean) / std and (1 - mean) / std of IMAGENET_DEFAULT_MEAN and _STD
    assert tensor[0, :, 0, 0] == pytest.approx((-2.1179, -2.0357, -1.8044), abs=1e-4)
    assert tensor[0, :, 511, 1023] == pytest.approx((2.2489, 2.4286, 2.6400), abs=1e-4)
    assert not tensor[0, :, 512:].any()


def test_mobilesam_sees_raw_levels_without_a_batch_axis(registry: Registry) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
    tensor, at = to_tensor(rgb, registry["mobilesam"].input)
    assert np.array_equal(tensor, rgb.astype(np.float32))
    assert at.canvas == (512, 1024)


def contract(registry: Registry, model_id: str, **feeds: Feed) -> PromptContract:
    spec = registry[model_id]
    assert spec.prompt is not None
    return PromptContract(spec.title, spec.prompt, feeds, (), "")


def test_coordinates_follow_sams_transform(registry: Registry) -> None:
    """transformers: x * 1024 / width, y * 683 / height, of pixels counted at their centres; ours are at edges."""
    feeds = {
        "input_points": Feed("input_points", (1, 1, None, 2), "float32"),
        "input_labels": Feed("input_labels", (1, 1, None), "int64"),
    }
    at = place(registry["slimsam-77"].input, (1764, 2646))
    found = asked(contract(registry, "slimsam-77", **feeds), [Point(450.5, 600.5)], None, (1764, 2646), at)
    assert found is not None
    points, labels = found.feeds["input_points"], found.feeds["input_labels"]
    assert (points.dtype.name, labels.dtype.name) == ("float32", "int64")
    assert points.shape == (1, 1, 1, 2)
    # the pixel (450, 600): its centre, in pixels of 1024, and that pixel's number
    assert points[0, 0, 0] == pytest.approx((450.5 * 1024 / 2646 - 0.5, 600.5 * 683 / 1764 - 0.5))
    assert points[0, 0, 0] == pytest.approx((450 * 1024 / 2646, 600 * 683 / 1764), abs=0.5)
    assert labels.tolist() == [[[1]]]


def meta_feeds(registry: Registry, points: list[Point], box: Box | None = None) -> Asked:
    feeds = {
        "point_coords": Feed("point_coords", (1, None, 2), "float32"),
        "point_labels": Feed("point_labels", (1, None), "float32"),
        "mask_input": Feed("mask_input", (1, 1, 256, 256), "float32"),
        "has_mask_input": Feed("has_mask_input", (1,), "float32"),
        "orig_im_size": Feed("orig_im_size", (2,), "float32"),
    }
    at = place(registry["mobilesam"].input, (512, 1024))
    found = asked(contract(registry, "mobilesam", **feeds), points, box, (512, 1024), at)
    assert found is not None
    return found


def test_metas_export_gets_a_closing_point_unless_there_is_a_box(registry: Registry) -> None:
    """segment_anything, notebooks/onnx_model_example.ipynb."""
    found = meta_feeds(registry, [Point(10.5, 20.5), Point(30.5, 40.5, keep=False)]).feeds
    assert found["point_coords"].tolist() == [[[10, 20], [30, 40], [0, 0]]]
    assert found["point_labels"].tolist() == [[1, 0, -1]]
    assert found["orig_im_size"].tolist() == [512, 1024]
    assert found["mask_input"].shape == (1, 1, 256, 256)
    assert not found["mask_input"].any()
    assert found["has_mask_input"].tolist() == [0]
    boxed = meta_feeds(registry, [Point(10.5, 20.5)], (1.5, 2.5, 100.5, 200.5)).feeds
    assert boxed["point_coords"].tolist() == [[[1, 2], [100, 200], [10, 20]]]
    assert boxed["point_labels"].tolist() == [[2, 3, 1]]


def efficientsam_feeds(registry: Registry, points: list[Point], box: Box | None, count: int | None) -> Asked:
    feeds = {
        "batched_point_coords": Feed("batched_point_coords", (1, 1, count, 2), "float32"),
        "batched_point_labels": Feed("batched_point_labels", (1, 1, count), "float32"),
    }
    found = asked(
        contract(registry, "efficientsam-ti", **feeds),
        points,
        box,
        (1024, 1024),
        Placement((1024,) * 2, 0, 0, 1024, 1024),
    )
    assert found is not None
    return found


def test_a_fixed_number_of_points_is_filled_up(registry: Registry) -> None:
    found = efficientsam_feeds(registry, [Point(8.5, 9.5)], None, 6).feeds
    assert found["batched_point_coords"][0, 0].tolist() == [[8, 9], *[[0, 0]] * 5]
    assert found["batched_point_labels"][0, 0].tolist() == [1, *[-1] * 5]


@pytest.mark.parametrize("count", [6, None])
def test_of_too_many_points_the_newest_and_the_box_count(registry: Registry, count: int | None) -> None:
    points = [Point(n + 0.5, 0.5) for n in range(8)]
    found = efficientsam_feeds(registry, points, (0.5, 0.5, 99.5, 99.5), count)
    assert found.feeds["batched_point_coords"][0, 0, :, 0].tolist() == [0, 99, 4, 5, 6, 7]
    assert found.feeds["batched_point_labels"][0, 0].tolist() == [2, 3, 1, 1, 1, 1]
    assert [str(text) for text in found.warnings] == [
        "EfficientSAM tiny, in one file takes only 6 points, corners of a box included: the oldest were left out."
    ]


def test_a_graph_for_a_single_point_turns_a_box_into_one(registry: Registry) -> None:
    found = efficientsam_feeds(registry, [], (10, 20, 30, 60), 1)
    assert found.feeds["batched_point_coords"].tolist() == [[[[19.5, 39.5]]]]
    assert found.within == (10, 20, 30, 60)


def test_boxes_may_have_an_input_of_their_own(registry: Registry) -> None:
    """As in SAM 2's exports by transformers.js."""
    own = contract(
        registry, "slimsam-77",
        input_points=Feed("input_points", (1, 1, None, 2), "float32"),
        input_labels=Feed("input_labels", (1, 1, None), "int64"),
        input_boxes=Feed("input_boxes", (1, None, 4), "float32"),
    )  # fmt: skip
    own = replace(own, spec=own.spec.model_copy(update={"box": "input_boxes"}))
    at = Placement((1024, 1024), 0, 0, 1024, 1024)
    found = asked(own, [], (1.5, 2.5, 100.5, 200.5), (1024, 1024), at)
    assert found is not None
    assert found.feeds["input_boxes"].tolist() == [[[1, 2, 100, 200]]]
    assert found.feeds["input_points"].shape == (1, 1, 0, 2)
    without = asked(own, [Point(5, 5)], None, (1024, 1024), at)
    assert without is not None
    assert without.feeds["input_boxes"].shape == (1, 0, 4)


def test_padding_is_cropped_to_parts_of_a_cell() -> None:
    """As SAM does: enlarge to 1024, cut to 683 rows. On a slope both are exact, and 683 rows are 170.75 cells."""
    slope = np.repeat(np.arange(256, dtype=np.float32)[:, None], 256, axis=1)
    at = Placement((1024, 1024), 0, 0, 683, 1024)
    found = candidates(slope[None], np.ones(1), at, (1024, 1024), (1764, 2646))
    (plane,) = found.logits
    assert plane.shape == (171, 256)
    rows = np.arange(171)
    expected = (rows + 0.5) * 170.75 / 171 - 0.5  # the place of each row's centre, in cells of the whole
    assert plane[1:-1, 7] == pytest.approx(expected[1:-1], abs=1e-3)


def test_above_zero_is_the_mask() -> None:
    logits = np.array([[[-8.0, -0.1], [0.1, 8.0]]])
    found = candidates(logits, np.ones(1), Placement((2, 2), 0, 0, 2, 2), (2, 2), (2, 2))
    assert found.map(1)[0, 0] == pytest.approx(1 / (1 + np.exp(8)), abs=1e-6)
    assert np.array_equal(found.map(1) > 0.5, logits[0] > 0)


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"points": "nowhere"}, "SlimSAM 77 has no input nowhere; it has input_points, input_labels, "),
        ({"scores": "nothing"}, "SlimSAM 77 has no output nothing; it has iou_scores, pred_masks"),
        ({"points": "image_embeddings"}, "needs input_points besides points and boxes, which nothing provides"),
    ],
)
def test_a_graph_that_contradicts_the_registry_is_refused(
    tmp_path: Path, changes: dict[str, str], problem: str
) -> None:
    spec, path = promptable(tmp_path)
    assert spec.prompt is not None
    wrong = spec.model_copy(update={"prompt": spec.prompt.model_copy(update=changes)})
    with pytest.raises(SessionError, match=problem):
        Session(wrong, path, "cpu")


def test_a_damaged_decoder_is_named(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path)
    (path.parent / "prompt_encoder_mask_decoder_quantized.onnx").write_bytes(b"<!doctype html>")
    with pytest.raises(
        SessionError, match=r"prompt_encoder_mask_decoder_quantized\.onnx cannot be loaded: it is a web"
    ):
        Session(spec, path, "cpu")


@pytest.mark.parametrize(
    ("logits", "scores", "problem"),
    [
        (np.zeros((2, 4, 4)), np.zeros(3), "returned 2 masks and 3 scores"),
        (np.zeros((4, 4)), np.zeros(1), "a picture's planes were expected"),
        (np.full((1, 4, 4), np.nan), np.zeros(1), "values that are not numbers"),
        (np.zeros((1, 4, 4)), np.full(1, np.nan), "values that are not numbers"),
    ],
)
def test_an_answer_that_cannot_be_one_is_refused(logits: Any, scores: Any, problem: str) -> None:
    with pytest.raises(SessionError, match=problem):
        candidates(logits, scores, Placement((4, 4), 0, 0, 4, 4), (4, 4), (4, 4))


# ------------------------------------------------------------------------------------------------- memory and GPU


@pytest.mark.parametrize("model_id", INTERFACES)
def test_an_idle_promptable_network_gives_its_memory_back_once(tmp_path: Path, rgb: Any, model_id: str) -> None:
    session = Session(*promptable(tmp_path, model_id), "cpu")
    before = pointed(session, rgb, [Point(15, 15)]).map
    assert not session.give_memory_back(60)
    assert session.give_memory_back(0)
    assert not session.give_memory_back(0)
    assert np.array_equal(pointed(session, rgb, [Point(15, 15)]).map, before)


def test_the_pool_counts_both_parts(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path)
    assert spec.weights.decoder is not None
    decoder = spec.weights.decoder.model_copy(update={"size": 100 << 20})
    heavy = spec.model_copy(update={"weights": spec.weights.model_copy(update={"decoder": decoder})})
    pool = SessionPool(lambda spec, _: Session(spec, path, "cpu"), budget=700 << 20)
    pool.get(heavy)
    pool.get(heavy.model_copy(update={"id": "other"}))
    assert list(pool.loaded()) == ["other"]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    yield simulate_card(monkeypatch)
    monkeypatch.undo()
    gpu_problem.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="the simulated driver has Linux's names")
def test_both_parts_run_on_the_card_and_recover_from_too_little_memory(card: Runs, tmp_path: Path, rgb: Any) -> None:
    spec, path = promptable(tmp_path)
    on_cpu = pointed(Session(spec, path, "cpu"), rgb, [Point(15, 15)])
    session = Session(spec, path, "auto", gpu=GpuOptions(memory_mb=1000, graphs=True, engines=tmp_path / "engines"))
    assert all(load[CUDA]["enable_cuda_graph"] == "0" for load in card.loads)  # the prompts vary in length
    found = pointed(session, rgb, [Point(15, 15)])
    assert (found.provider, session.provider) == (CUDA, CUDA)
    assert np.array_equal(found.map, on_cpu.map)
    embedding = embed(rgb, session, session.input).embedding
    card.run_errors += [out_of_memory(), out_of_memory()]  # of the decoder, before and after it is loaded again
    again = ask(session, embedding, Prompt((Point(15, 15),)))
    assert again is not None
    assert again.provider == CPU
    assert "too little free memory" in again.provider_note
    assert np.array_equal(again.map, on_cpu.map)
    assert session.provider == CUDA  # the encoder was not touched
    assert session.give_memory_back(0)  # tries the GPU again
    retried = ask(session, embedding, Prompt((Point(15, 15),)))
    assert retried is not None
    assert retried.provider == CUDA
