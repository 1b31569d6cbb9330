"""Names of classes as repositories declare them, made into names for settings, files and links."""

from typing import Any

import pytest

from segmentation import Settings
from segmentation.models.classes import class_names
from segmentation.models.spec import OutputSpec

FACES = ["background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "hair", "hat"]
CLOTHES = ["Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Left-shoe"]


def names_of(*labels: str) -> list[str]:
    return list(class_names({str(number): label for number, label in enumerate(labels)}).values())


def test_names_are_kept_apart_from_their_case() -> None:
    assert names_of(*FACES) == FACES
    assert names_of(*CLOTHES) == [name.lower() for name in CLOTHES]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("door;double door", "door"),
        ("screen, crt screen", "screen"),
        ("; , wall", "wall"),
        ("bed ", "bed"),
        ("Upper clothes", "upper-clothes"),
        ("Écran", "ecran"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\x00b\nc", "a-b-c"),
        ("７", "7"),
        ("髪", "class-1"),
        ("", "class-1"),
        ("-", "class-1"),
        ("x" * 500, "x" * 60),
    ],
)
def test_a_name_becomes_one_for_settings_and_files(label: str, name: str) -> None:
    names = class_names({0: "background", 1: label, 2: "another"})
    assert names == {0: "background", 1: name, 2: "another"}
    assert OutputSpec(kind="labels", classes=names).class_names == (name, "another")
    assert Settings(classes=(name,)).classes == (name,)


def test_equal_names_are_numbered() -> None:
    assert names_of("wall", "Wall", "wall;brick", "wall-2") == ["wall", "wall-2", "wall-3", "wall-2-2"]
    assert names_of("x" * 100, "x" * 90)[1] == "x" * 60 + "-2"


@pytest.mark.parametrize("label", ["each", "All"])
def test_a_class_cannot_be_called_what_means_something_in_settings(label: str) -> None:
    assert names_of(label, "sky") == [f"{label.lower()}-2", "sky"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({0: "unlabeled", 1: "person", 2: "car"}, {0: "background", 1: "person", 2: "car"}),
        ({0: "_background_", 1: "person", 255: "ignore"}, {0: "background", 1: "person"}),
        ({0: "person", 1: "Background"}, {0: "person", 1: "background"}),
        ({0: "None", 1: "person", 2: "background"}, {1: "person", 2: "background"}),
        ({0: "wall", 1: "building"}, {0: "wall", 1: "building"}),
    ],
    ids=["unlabeled", "and ignored", "last", "two", "none"],
)
def test_the_background_is_recognised_by_its_name(labels: dict[int, str], names: dict[int, str]) -> None:
    assert class_names(labels) == names


def test_numbers_may_be_texts_in_any_order() -> None:
    assert list(class_names({"10": "c", "2": "b", "0": "a"}).items()) == [(0, "a"), (2, "b"), (10, "c")]


def test_placeholders_of_a_network_without_classes_are_no_names() -> None:
    assert class_names({}) == class_names({"0": "LABEL_0"}) == class_names({"0": "LABEL_0", "1": "LABEL_1"}) == {}
    assert names_of("LABEL_0", "LABEL_1", "LABEL_2") == ["label_0", "label_1", "label_2"]


def test_150_classes_have_150_names() -> None:
    names = names_of(*(f"thing {number // 2};synonym" for number in range(150)))
    assert len(set(names)) == 150
    assert len(OutputSpec(kind="labels", classes=dict(enumerate(names))).class_names) == 150


@pytest.mark.parametrize("key", ["one", "-1", "1.5", "²", True, "9" * 50])
def test_what_is_no_class_number_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="is not the number of a class"):
        class_names({key: "hair"})


@pytest.mark.parametrize("name", [None, 3, ["hair"]])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="is not the name of a class"):
        class_names({"0": name})


@pytest.mark.parametrize("name", ["each", "all"])
def test_an_entry_cannot_call_a_class_what_means_something_in_settings(name: str) -> None:
    with pytest.raises(ValueError, match=f"classes must not be called {name}"):
        OutputSpec(kind="labels", classes={0: "background", 1: name})


def test_one_class_beside_the_background_is_no_choice() -> None:
    assert OutputSpec(kind="labels", classes={0: "background", 1: "person"}).class_names == ()
