"""The models folder as it is filled: what is offered, and when."""

import json
import os
import shutil
from pathlib import Path

import pytest

from segmentation.config import Config
from segmentation.models.models_folder import folder_models, folder_state
from segmentation.models.onnx_file import SETTLED_SECONDS, external_files
from segmentation.models.registry import Registry, load_offered
from segmentation.models.weights import fetch_weights
from tests import graphs


def age(path: Path, seconds: float = SETTLED_SECONDS + 1) -> None:
    """Make a file look as if it was last written that long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def ids(folder: Path) -> list[str]:
    return [spec.id for spec in folder_models(folder)]


def test_a_file_that_appears_is_offered_at_once(tmp_path: Path) -> None:
    config = Config(models_folder=tmp_path)
    before = folder_state(config)
    graphs.brightness(tmp_path / "new.onnx")
    assert "new.onnx" in load_offered(config)
    assert folder_state(config) != before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_still_being_copied_is_not_offered_until_it_is_whole(tmp_path: Path, share: float) -> None:
    whole = graphs.two_sigmoids(tmp_path / "own.onnx").read_bytes()
    config = Config(models_folder=tmp_path)
    path = tmp_path / "own.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert ids(tmp_path) == []
    arriving = folder_state(config)
    path.write_bytes(whole)
    assert ids(tmp_path) == ["own.onnx"]
    assert folder_state(config) != arriving


def test_a_file_with_reserved_space_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(bytes(100_000))
    assert ids(tmp_path) == []


def test_a_copy_that_broke_off_is_offered_with_its_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = graphs.two_sigmoids(tmp_path / "broke-off.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    age(path)
    assert ids(tmp_path) == ["broke-off.onnx"]
    assert "broke-off.onnx: it is truncated" in caplog.text


def test_data_still_being_copied_holds_its_network_back(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path / "own.onnx")
    (data,) = external_files(path)
    content = data.read_bytes()
    data.unlink()
    assert ids(tmp_path) == []
    age(path)
    data.write_bytes(content[:100])
    config = Config(models_folder=tmp_path)
    arriving = folder_state(config)
    data.write_bytes(content)
    age(data)
    assert ids(tmp_path) == ["own.onnx"]
    assert folder_state(config) != arriving


def test_a_network_that_never_gets_its_data_is_offered_with_its_problem(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path / "own.onnx")
    (data,) = external_files(path)
    data.unlink()
    age(path)
    assert ids(tmp_path) == ["own.onnx"]


def test_the_state_changes_when_a_file_is_replaced_or_goes_and_only_then(tmp_path: Path) -> None:
    config = Config(models_folder=tmp_path)
    path = graphs.brightness(tmp_path / "own.onnx")
    first = folder_state(config)
    (tmp_path / "notes.txt").write_text("no model")
    assert folder_state(config) == first
    graphs.brightness_logits(path)
    replaced = folder_state(config)
    assert replaced != first
    path.unlink()
    assert folder_state(config) not in (first, replaced)
    assert folder_state(Config(models_folder=tmp_path / "nowhere")) == folder_state(config)


def test_a_folder_laid_out_as_on_the_hub_is_a_model_in_each_of_its_formats(tmp_path: Path) -> None:
    (tmp_path / "modnet" / "onnx").mkdir(parents=True)
    graphs.brightness(tmp_path / "modnet" / "onnx" / "model.onnx")
    graphs.brightness(tmp_path / "modnet" / "onnx" / "model_fp16.onnx")
    (tmp_path / "modnet" / "config.json").write_text(json.dumps({"model_type": "modnet"}))
    graphs.brightness(tmp_path / "top.onnx")
    registry = Registry([]).with_folder(tmp_path)
    assert {spec.id: spec.title for spec in registry.values()} == {
        "top.onnx": "top",
        "modnet/onnx/model.onnx": "modnet",
        "modnet/onnx/model_fp16.onnx": "modnet (fp16)",
    }
    spec = registry["modnet/onnx/model.onnx"]
    assert fetch_weights(spec, tmp_path) == tmp_path / "modnet" / "onnx" / "model.onnx"


def test_a_folder_may_hold_models_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    graphs.brightness(tmp_path / "mine" / "hair.onnx")
    graphs.brightness(tmp_path / "mine" / ".hidden.onnx")
    (tmp_path / ".cache").mkdir()
    graphs.brightness(tmp_path / ".cache" / "other.onnx")
    assert [(spec.id, spec.title) for spec in folder_models(tmp_path)] == [("mine/hair.onnx", "mine: hair")]


def test_networks_that_work_together_are_not_offered_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sam").mkdir()
    for name in ("vision_encoder", "prompt_encoder_mask_decoder"):
        graphs.brightness(tmp_path / "sam" / f"{name}.onnx")
    assert ids(tmp_path) == []
    assert "sam: its networks work together" in caplog.text


def test_a_file_that_is_deleted_while_the_folder_is_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs.brightness(tmp_path / "a.onnx")
    graphs.brightness(tmp_path / "b.onnx")

    def gone(path: Path) -> bool:
        path.unlink()
        raise FileNotFoundError(path) if path.name == "a.onnx" else AssertionError(path)

    monkeypatch.setattr("segmentation.models.models_folder.is_arriving", lambda p: p.name == "a.onnx" and gone(p))
    assert ids(tmp_path) == ["b.onnx"]


def test_a_registered_models_file_is_not_listed_again(tmp_path: Path) -> None:
    graphs.brightness(tmp_path / "own.onnx")
    shutil.copy(tmp_path / "own.onnx", tmp_path / "known.onnx")
    assert [spec.id for spec in folder_models(tmp_path, {"known.onnx"})] == ["own.onnx"]
