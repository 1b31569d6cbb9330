"""The contract of a model without a registry entry, changed by the caller."""

from pathlib import Path

import numpy as np
import pytest

from segmentation import Session, SettingsError, predict
from segmentation.models.patch import as_text, patched
from segmentation.models.spec import InputSpec, ModelSpec, OutputSpec
from segmentation.picture.picture import Picture
from segmentation.settings import Settings
from tests import graphs


@pytest.fixture(scope="module")
def unregistered(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    path = graphs.brightness(tmp_path_factory.mktemp("models") / "bright.onnx")
    return graphs.make_spec(path).model_copy(update={"registered": False})


def test_pairs_replace_values_and_leave_the_rest(unregistered: ModelSpec) -> None:
    spec = patched(unregistered, "scale=image_max mean=0.5,0.25,0.125 channels=BGR kind=logits activation=sigmoid")
    assert spec.input == InputSpec(size=(64, 64), scale="image_max", mean=(0.5, 0.25, 0.125), channels="BGR")
    assert spec.output == OutputSpec(kind="logits", activation="sigmoid")
    assert patched(unregistered, "") is unregistered


def test_one_number_is_for_all_three_channels(unregistered: ModelSpec) -> None:
    assert patched(unregistered, "mean=0.5 std=2").input == InputSpec(size=(64, 64), mean=(0.5,) * 3, std=(2.0,) * 3)


def test_an_activation_says_what_kind_of_output_it_is(unregistered: ModelSpec) -> None:
    logits = patched(unregistered, "activation=softmax channel=1")
    assert logits.output == OutputSpec(kind="logits", activation="softmax", channel=1)
    assert patched(logits, "activation=none").output.kind == "alpha"


def test_another_output_is_not_looked_for_by_the_name_of_the_first(unregistered: ModelSpec) -> None:
    named = unregistered.model_copy(update={"output": OutputSpec(name="matte")})
    assert patched(named, "index=1").output == OutputSpec(index=1)


def test_what_is_written_is_read_back(unregistered: ModelSpec) -> None:
    other = patched(unregistered, "scale=1 std=0.229,0.224,0.225 size=320 resize=letterbox_topleft normalise=minmax")
    text = as_text(other.contract, unregistered.contract)
    assert patched(unregistered, text).contract == other.contract
    assert as_text(unregistered.contract, unregistered.contract) == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour=BGR", "there is no key colour"),
        ("layout=NHWC", "there is no key layout"),
        ("scale=zero", "contract: scale: "),
        ("mean=0.5,0.5", "contract: mean: "),
        ("std=0,0,0", "std must not be 0"),
        ("kind=logits", "kind logits needs activation"),
        ("kind=alpha activation=sigmoid", "activation sigmoid belongs to kind logits"),
    ],
)
def test_wrong_pairs_get_a_sentence(unregistered: ModelSpec, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        patched(unregistered, text)


@pytest.mark.parametrize("text", ["scale", "scale=", "=255", "a b", "scale=255; rm", 5, "x=" + "1" * 500])
def test_what_is_no_pair_is_refused(text: object) -> None:
    with pytest.raises(SettingsError, match="contract must be pairs such as"):
        Settings(contract=text)  # type: ignore[arg-type]


def test_a_registered_model_keeps_its_contract(unregistered: ModelSpec) -> None:
    with pytest.raises(SettingsError, match="has a registry entry, so its contract is fixed"):
        patched(unregistered.model_copy(update={"registered": True}), "scale=1")


def test_a_network_is_read_under_another_contract_without_being_loaded_again(
    unregistered: ModelSpec, tmp_path: Path
) -> None:
    path = graphs.brightness(tmp_path / "bright.onnx")
    session = Session(unregistered, path, "cpu")
    picture = Picture(np.full((64, 64, 3), 51, np.uint8))
    own = predict(picture, session).maps[""]
    other = predict(picture, session, Settings(contract="scale=510")).maps[""]
    np.testing.assert_allclose(own, 0.2, atol=1e-6)
    np.testing.assert_allclose(other, 0.1, atol=1e-6)
    assert session.under("scale=510") is not session
    np.testing.assert_array_equal(predict(picture, session).maps[""], own)
