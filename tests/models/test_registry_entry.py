"""A saved entry loads to the same contract, and to the same bytes of a cutout."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from segmentation import Inspection, Registry, Session, Settings, load_image, load_registry, save_png, segment
from segmentation.models.inspection.entry import entry_id, registry_entry
from segmentation.models.inspection.local import inspect_file, inspect_folder
from segmentation.models.spec import DataFile, HubSource, Licence, Weights
from tests import graphs
from tests.repositories import REPOSITORIES, scene, write_repository


def saved(text: str, folder: Path) -> Registry:
    path = folder / "entry.yaml"
    path.write_text(text, encoding="utf-8")
    return load_registry(extra=path)


def named(inspection: Inspection) -> Weights:
    """Its weights, with the file's name in the models folder."""
    return inspection.spec.weights.model_copy(update={"file": f"{inspection.entry_id}.onnx"})


@pytest.mark.parametrize("name", REPOSITORIES)
def test_an_entry_loads_to_the_same_contract(name: str, tmp_path: Path) -> None:
    inspection = inspect_folder(write_repository(name, tmp_path / name))
    entry = saved(inspection.entry(), tmp_path)[inspection.entry_id]
    assert entry.contract == inspection.spec.contract
    assert entry.weights == named(inspection)
    assert entry.registered
    assert entry.licence == inspection.spec.licence


@pytest.mark.parametrize("name", ["letterbox", "labels", "softmax_background_last", "float16"])
def test_an_entry_cuts_to_identical_bytes(name: str, tmp_path: Path) -> None:
    folder = write_repository(name, tmp_path / name)
    inspection = inspect_folder(folder)
    entry = saved(inspection.entry(), tmp_path)[inspection.entry_id]
    picture = load_image(_png(tmp_path))
    model = folder / "onnx" / "model.onnx"
    cutouts = []
    for spec in (inspection.spec, entry):
        result = segment(picture, Session(spec, model, "cpu"), Settings())
        save_png(result.cutout, tmp_path / "cutout.png")
        cutouts.append((tmp_path / "cutout.png").read_bytes())
    assert cutouts[0] == cutouts[1]


def test_an_entry_says_what_each_value_rests_on(tmp_path: Path) -> None:
    text = inspect_folder(write_repository("bgr", tmp_path / "r")).entry()
    assert "mean: [0.485, 0.456, 0.406]  # declared by its repository" in text
    assert "size: [128, 128]  # read in the graph" in text
    assert 'channels: "BGR"  # declared by its repository' in text


def test_an_entry_keeps_repository_licence_and_data_files(tmp_path: Path) -> None:
    spec = inspect_folder(write_repository("imagenet", tmp_path / "r")).spec
    source = HubSource(type="hub", repo_id="Own-er/Na.me", filename="onnx/model.onnx", revision="b" * 40)
    data = DataFile(file="model.onnx_data", size=7, sha256="c" * 64)
    licence = Licence(id="cc-by-4.0", name='Ünïcode: "quoted" # no comment\u2028', url="https://e.org/?a=1#b",
                      commercial="yes", needs_acceptance=True)  # fmt: skip
    spec = spec.model_copy(
        update={
            "id": "Own-er/Na.me@main:onnx/model.onnx",
            "title": "yes",  # a boolean in YAML 1.1, unless quoted
            "about": "null",
            "licence": licence,
            "weights": spec.weights.model_copy(update={"sources": (source,), "data": (data,)}),
        }
    )
    entry = saved(registry_entry(spec, {}, "na.me"), tmp_path)["na.me"]
    assert entry.weights == spec.weights.model_copy(update={"file": "na.me.onnx"})  # as the models folder would have it
    assert (entry.title, entry.about, entry.licence) == ("yes", "null", licence)


def test_data_files_are_hashed(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path / "big.onnx")
    inspection = inspect_file(path)
    data = (tmp_path / "big.onnx.data").read_bytes()
    assert inspection.spec.weights.data == (
        DataFile(file="big.onnx.data", size=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )
    assert saved(inspection.entry(), tmp_path)["big"].weights == named(inspection)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("modnet", "modnet"),
        ("Na.me (fp16)", "na.me-fp16"),
        ("My Portrait.onnx", "my-portrait"),
        ("日本", "model"),
        ("x" * 70, "x" * 58),
        ("(2) -", "2"),
    ],
)
def test_the_id_of_an_entry_is_one_the_registry_takes(title: str, expected: str, tmp_path: Path) -> None:
    spec = inspect_folder(write_repository("imagenet", tmp_path / "r")).spec.model_copy(update={"title": title})
    assert entry_id(spec) == expected
    assert expected in saved(registry_entry(spec, {}, expected), tmp_path)


def test_an_entry_replaces_no_other_model(tmp_path: Path, registry: Registry) -> None:
    """A second registry file replaces entries of the same id, which nobody who adds a model wants."""
    folder = write_repository("imagenet", tmp_path / "u2netp")
    added = inspect_folder(folder, registry=registry.values())
    assert added.entry_id == "u2netp-2"
    both = saved(added.entry(), tmp_path)
    assert both["u2netp"] == registry["u2netp"]
    assert both["u2netp-2"].contract == added.spec.contract
    source = HubSource(type="hub", repo_id="Xenova/modnet", filename="onnx/model.onnx", revision="b" * 40)
    spec = added.spec.model_copy(
        update={"title": "modnet", "weights": added.spec.weights.model_copy(update={"sources": (source,)})}
    )
    assert entry_id(spec, registry) == "xenova-modnet"
    assert entry_id(spec, [*registry, "xenova-modnet"]) == "xenova-modnet-2"


def _png(folder: Path) -> Path:
    picture, _ = scene(3)
    path = folder / "scene.png"
    save_png(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]), path)
    return path
