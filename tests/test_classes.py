"""Networks that tell classes apart: soft maps with true outlines, and cutouts of each class or of several joined."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import TensorProto, helper

from segmentation import Picture, Session, SessionError, Settings, SettingsError, predict, segment
from segmentation.matting.classes import joined_label, listed
from segmentation.models.spec import OutputSpec
from segmentation.network.classes import PRESENT, class_maps
from segmentation.network.tensor import to_tensor
from segmentation.picture.resize import resize
from segmentation.prediction import NO_SUBJECT, found_maps
from segmentation.settings import Classes
from tests import colours, graphs
from tests.colours import NAMES

Plane = npt.NDArray[Any]
PLAIN = Settings(alpha_matting=False)


def session_of(path: Path, **output: Any) -> Session:
    return Session(colours.spec(path, **output), path, "cpu")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return session_of(colours.network(tmp_path_factory.mktemp("classes") / "colours.onnx"))


@pytest.fixture(scope="module")
def face() -> Picture:
    return Picture(colours.face())


def joined(session: Session, picture: Picture, *names: str, **settings: Any) -> Plane:
    return segment(picture, session, Settings(classes=names, **{"alpha_matting": False} | settings)).alpha


def overlap(one: Plane, other: Plane) -> float:
    return float((one & other).sum() / (one | other).sum())


# ------------------------------------------------------------------------------------------------- maps


def enlarged_first(path: Path, scores: Plane, size: tuple[int, int]) -> Plane:
    """Class numbers as transformers has them: the scores are enlarged, by ONNX Runtime here, then compared."""
    graphs.write_graph(
        path,
        [
            helper.make_node("Resize", ["scores", "", "", "sizes"], ["large"], mode="linear"),
            helper.make_node("ArgMax", ["large"], ["numbers"], axis=1, keepdims=0),
        ],
        {"scores": (TensorProto.FLOAT, scores.shape)},
        {"numbers": (TensorProto.INT64, (1, *size))},
        {"sizes": np.array([1, scores.shape[1], *size], np.int64)},
    )
    numbers: Plane = np.squeeze(onnxruntime.InferenceSession(path).run(None, {"scores": scores})[0], 0)
    return numbers


def at_full_size(numbers: Plane, size: tuple[int, int]) -> Plane:
    rows, columns = (np.arange(edge) * small // edge for edge, small in zip(size, numbers.shape, strict=True))
    full: Plane = numbers[np.ix_(rows, columns)]
    return full


@pytest.mark.parametrize(
    ("size", "least"),
    [((512, 512), (0.999, 0.999, 0.999)), ((400, 320), (0.998, 0.99, 0.998)), ((1600, 1280), (0.998, 0.988, 0.997))],
)
def test_outlines_are_those_of_scores_that_are_enlarged_before_they_are_compared(
    tmp_path: Path, size: tuple[int, int], least: tuple[float, ...]
) -> None:
    path = colours.network(tmp_path / "colours.onnx", edge=512)
    spec = graphs.make_spec(path, output=colours.OUTPUT, size=(512, 512))
    session, face = Session(spec, path, "cpu"), Picture(resize(colours.face(scale=8), size, "bicubic"))
    scores = session.run(to_tensor(face.rgb, spec.input)[0]).output
    assert scores.shape == (1, 5, 128, 128)
    truth = enlarged_first(tmp_path / "argmax.onnx", scores, face.size)
    late = at_full_size(scores.argmax(axis=1)[0], size)
    for number, name in enumerate(NAMES[:3], start=1):
        ours = segment(face, session, PLAIN, name).alpha > 127
        assert overlap(ours, truth == number) >= least[number - 1]
    assert overlap(late == 2, truth == 2) < 0.95  # what this is about


def test_maps_have_the_size_of_the_networks_input_and_add_up_to_one(session: Session, face: Picture) -> None:
    maps = predict(face, session).maps
    assert {plane.shape for plane in maps.values()} == {(128, 128)}
    assert {plane.dtype.name for plane in maps.values()} == {"float32"}
    background = np.hypot(*np.mgrid[:8, :8]) < 8
    assert sum(plane[:8, :8][background].max() for plane in maps.values()) < 0.01
    assert sum(plane[64, 64] for plane in maps.values()) == pytest.approx(1, abs=1e-6)
    assert len(np.unique(np.rint(maps["skin"] * 255))) > 30  # soft, not a mask


@pytest.mark.parametrize("end", ["Softmax", "ArgMax"])
def test_probabilities_and_class_numbers_give_the_same_subject(
    session: Session, face: Picture, tmp_path: Path, end: str
) -> None:
    other = session_of(colours.network(tmp_path / "other.onnx", end=end))
    for name in ("skin", "hat"):
        ours, truth = (segment(face, each, PLAIN, name).alpha > 127 for each in (other, session))
        assert overlap(ours, truth) > (0.999 if end == "Softmax" else 0.9)  # numbers cannot be enlarged


def test_scores_without_softmax_give_masks_with_the_same_outline(session: Session, face: Picture) -> None:
    path = session.path
    hard = session_of(path, activation="none")
    assert set(np.unique(predict(face, hard).maps["skin"])) == {0, 1}
    assert (
        overlap(segment(face, hard, PLAIN, "skin").alpha > 127, segment(face, session, PLAIN, "skin").alpha > 127)
        > 0.99
    )


def test_only_classes_in_the_picture_are_kept(session: Session, face: Picture) -> None:
    assert set(predict(face, session).maps) == {"skin", "hair", "hat"}
    assert set(predict(Picture(colours.face(hat=False)), session).maps) == {"skin", "hair"}
    assert predict(face, session).classes == NAMES


@pytest.mark.parametrize(("factor", "is_kept"), [(1.1, True), (0.9, False)])
@pytest.mark.parametrize("form", ["scores", "probabilities"])
def test_a_class_is_in_the_picture_from_a_tenth_of_the_likeliest_on(factor: float, is_kept: bool, form: str) -> None:
    ratio = np.ones((3, 4, 4), np.float32)
    ratio[0] = ratio[1] = 1e-6
    ratio[1, 2, 2] = PRESENT * factor
    probabilities = ratio / ratio.sum(axis=0)
    planes = np.log(probabilities) + 5 if form == "scores" else probabilities
    spec = OutputSpec(kind="labels", activation="softmax", classes={0: "a", 1: "b", 2: "c"})
    maps = class_maps(planes, spec, (4, 4))
    assert list(maps) == (["b", "c"] if is_kept else ["c"])
    np.testing.assert_allclose(sum(maps.values()), 1, atol=1e-6)


def test_a_picture_of_nothing_has_no_maps_and_no_subject(session: Session) -> None:
    nothing = Picture(np.full((50, 60, 3), 20, np.uint8))
    prediction = predict(nothing, session)
    assert prediction.maps == {}
    assert prediction.nbytes == 0
    result = segment(nothing, session, label="hair")
    assert result.warnings == (NO_SUBJECT,)
    assert not result.alpha.any()


def test_150_classes_take_the_memory_of_those_in_the_picture(tmp_path: Path) -> None:
    others = np.random.default_rng(1).integers(0, 256, (144, 3))
    path = colours.network(
        tmp_path / "many.onnx", [*colours.COLOURS.values(), *others.tolist(), (255, 0, 255)], edge=512
    )
    classes = dict(enumerate([*colours.COLOURS, *(f"thing-{n}" for n in range(145))]))
    spec = graphs.make_spec(path, output=colours.OUTPUT | {"classes": classes}, size=(512, 512))
    prediction = predict(Picture(colours.face()), Session(spec, path, "cpu"))
    assert len(prediction.classes) == 149
    assert {"skin", "hair", "hat"} <= set(prediction.maps)
    assert len(prediction.maps) < 60
    assert prediction.nbytes == len(prediction.maps) * 512 * 512 * 4  # all would be 156 MB


def test_a_map_kept_for_tuning_keeps_no_other_planes_in_memory(session: Session, face: Picture) -> None:
    assert all(plane.base is None for plane in predict(face, session).maps.values())


def test_scores_are_not_enlarged_beyond_what_memory_allows() -> None:
    planes = np.zeros((200, 8, 8), np.float32)
    spec = OutputSpec(kind="labels", activation="softmax", classes={n: f"c{n}" for n in range(200)})
    assert class_maps(planes, spec, (512, 512))["c7"].shape == (8, 8)
    assert class_maps(planes, spec, (256, 256))["c7"].shape == (256, 256)


# ------------------------------------------------------------------------------------------------- joined


@pytest.mark.parametrize("names", [("hair", "skin"), ("hair", "hat"), ("hair", "hat", "skin")])
def test_no_seam_is_left_where_joined_classes_meet(session: Session, face: Picture, names: tuple[str, ...]) -> None:
    alpha = joined(session, face, *names)
    y, x = np.mgrid[:200, :160]
    inside = {
        ("hair", "skin"): (np.abs(x - 80) < 40) & (np.abs(y - 105) < 25),
        ("hair", "hat"): (np.abs(np.abs(x - 80) - 48) < 4) & (np.abs(y - 75) < 10),
        ("hair", "hat", "skin"): (np.abs(x - 80) < 30) & (y > 25) & (y < 135),
    }[names]
    assert alpha[inside].min() >= 250  # the background is not quite impossible
    each = np.maximum.reduce([segment(face, session, PLAIN, name).alpha for name in names])
    assert each[inside].min() < 240  # the union of their masks has one


def test_a_joined_map_is_the_probability_of_any_of_them(session: Session, face: Picture) -> None:
    prediction = predict(face, session)
    ((label, plane),) = found_maps(prediction, Settings(classes=("hair", "hat"))).items()
    assert label == "hair-hat"
    np.testing.assert_allclose(plane, prediction.maps["hair"] + prediction.maps["hat"], atol=1e-6)
    assert plane.max() <= 1
    ((label, plane),) = found_maps(prediction, Settings(classes="all")).items()
    assert label == "all"
    np.testing.assert_allclose(plane, sum(prediction.maps.values()), atol=1e-6)


def test_joining_leaves_the_maps_as_they_are(session: Session, face: Picture) -> None:
    prediction = predict(face, session)
    before = {name: plane.copy() for name, plane in prediction.maps.items()}
    found_maps(prediction, Settings(classes="all"))
    assert all(np.array_equal(plane, before[name]) for name, plane in prediction.maps.items())


def test_all_is_everything_but_the_background(session: Session, face: Picture) -> None:
    result = segment(face, session, Settings(classes="all", alpha_matting=False))
    assert result.label == "all"
    subject = np.abs(face.rgb.astype(int) - colours.COLOURS["background"]).max(axis=2) > 60
    assert overlap(result.alpha > 127, subject) > 0.96
    assert result.alpha[0, 0] == 0


def test_the_order_of_names_does_not_matter(session: Session, face: Picture) -> None:
    one, other = (segment(face, session, Settings(classes=names)) for names in (("hat", "skin"), ("skin", "hat")))
    assert one.label == other.label == "hat-skin"
    assert np.array_equal(one.cutout, other.cutout)


def test_class_numbers_are_joined_too(tmp_path: Path, face: Picture) -> None:
    session = session_of(colours.network(tmp_path / "numbers.onnx", end="ArgMax"))
    prediction = predict(face, session)
    ((_, plane),) = found_maps(prediction, Settings(classes=("hair", "hat"))).items()
    assert np.array_equal(plane, prediction.maps["hair"] + prediction.maps["hat"])
    assert set(np.unique(plane)) == {0, 1}


def test_a_joined_class_that_is_not_in_the_picture_adds_nothing(session: Session) -> None:
    bare = Picture(colours.face(hat=False))
    assert np.array_equal(joined(session, bare, "hair", "hat"), joined(session, bare, "hair"))
    result = segment(bare, session, Settings(classes=("glasses", "hat")))
    assert result.warnings == (NO_SUBJECT,)
    assert result.label == "glasses-hat"


def test_joined_classes_are_matted_as_one(session: Session, face: Picture) -> None:
    result = segment(face, session, Settings(classes=("hair", "skin", "hat"), alpha_matting_erode_size=3))
    assert result.trimap is not None
    assert (result.trimap[40:130, 60:100] == 255).all()  # nothing to solve where they meet


# ------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("hiar",), "Colours has no class 'hiar'; it has hair, skin, hat, glasses"),
        (("hair", "wall"), "Colours has no class 'wall'; it has"),
        (("background",), "Colours has no class 'background'; it has"),
    ],
)
def test_a_class_that_the_model_lacks_is_named_with_those_it_has(
    session: Session, face: Picture, names: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        segment(face, session, Settings(classes=names))
    with pytest.raises(SettingsError, match=sentence.replace("Colours", "colours")):
        found_maps(predict(face, session), Settings(classes=names))


def test_of_150_classes_the_similar_ones_are_named_first() -> None:
    said = listed([f"thing-{n}" for n in range(149)] + ["wall"], "wal")
    assert said.startswith("wall, thing-0, ")
    assert said.endswith(", ...")
    assert len(said) < 400


def test_a_label_and_classes_to_join_exclude_each_other(session: Session, face: Picture) -> None:
    with pytest.raises(SettingsError, match="but not both"):
        segment(face, session, Settings(classes="all"), "hair")
    with pytest.raises(SessionError, match=r"Colours has no class 'hiar'; it has hair, skin"):
        segment(face, session, PLAIN, "hiar")


@pytest.mark.parametrize("classes", [("hair",), "all"])
def test_a_model_without_classes_cuts_out_its_subject_and_says_so(tmp_path: Path, classes: Classes) -> None:
    path = graphs.brightness(tmp_path / "bright.onnx")
    session = Session(graphs.make_spec(path), path, "cpu")
    plain, chosen = (segment(Picture(colours.face()), session, Settings(classes=each)) for each in ("each", classes))
    assert np.array_equal(plain.cutout, chosen.cutout)
    assert chosen.label == ""
    added = set(chosen.warnings) - set(plain.warnings)
    assert added == {"This model does not tell classes apart, so classes has no effect."}


@pytest.mark.parametrize(
    ("classes", "label"),
    [
        ("all", "all"),
        (("hair",), "hair"),
        (("hair", "upper-clothes"), "hair-upper-clothes"),
        (
            tuple(f"class-{n}" for n in range(10, 30)),
            "class-10-class-11-class-12-class-13-class-14-class-15-and-14-more",
        ),
        (("x" * 64, "y" * 64), "x" * 64 + "-and-1-more"),
    ],
)
def test_the_label_of_joined_classes_fits_into_a_file_name(classes: Classes, label: str) -> None:
    assert joined_label(classes) == label
    assert len(label) < 80
