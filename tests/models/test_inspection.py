"""Every generated repository, u2netp and MODNet: the proposed contract is the true one, and says what it rests on."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from segmentation import Registry, RegistryError, SessionError, WeightsError
from segmentation.models.inspection.declared import NOTHING, read_declared
from segmentation.models.inspection.entry import registry_entry
from segmentation.models.inspection.graph import read_graph
from segmentation.models.inspection.local import inspect_file, inspect_folder
from segmentation.models.inspection.propose import confidence, propose, registered_twin
from segmentation.models.patch import NODE, patched
from segmentation.models.spec import OWN_LICENCE, ModelSpec, own_file_spec
from tests import graphs
from tests.repositories import REPOSITORIES, differences, write_repository

UNKNOWABLE = {
    "half_unit": {"input.mean", "input.std"},
    "half_half": {"input.mean", "input.std"},
    "unit": {"input.mean", "input.std"},
    "bgr": {"input.channels"},
    "softmax_background_last": {"output.channel"},
    "labels": {"output.classes"},
    "multiple_of_32": {"input.mean", "input.std", "input.size", "input.resize"},
    "letterbox": {"input.resize", "input.pad_value"},
    "levels": {"input.scale", "input.mean", "input.std"},
}
"""What no look at the graph alone can tell: it has to be guessed, and proven on a picture."""


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_declared_contract_is_proposed(name: str, tmp_path: Path) -> None:
    inspection = inspect_folder(write_repository(name, tmp_path / name))
    assert differences(inspection.spec.contract, REPOSITORIES[name].contract) == ()
    assert inspection.confidence == "declared"
    assert inspection.proposal.contradictions == ()
    assert not inspection.proposal.problem
    assert len(inspection.verdict) >= 4


@pytest.mark.parametrize("name", REPOSITORIES)
def test_without_a_declaration_only_the_unknowable_is_guessed(name: str, tmp_path: Path) -> None:
    inspection = inspect_folder(write_repository(name, tmp_path / name, declared=False))
    wrong = set(differences(inspection.spec.contract, REPOSITORIES[name].contract))
    assert wrong == UNKNOWABLE.get(name, set())
    assert {inspection.proposal.sources[key] for key in wrong} <= {"guess"}
    assert inspection.confidence == ("recognised" if name.startswith(("uint8", "normalised")) else "guessed")


@pytest.mark.parametrize("name", ["u2netp", "modnet"])
def test_real_networks_are_known_by_their_hash(name: str, registry: Registry, weights: dict[str, Path]) -> None:
    inspection = inspect_file(weights[name], registry=registry.values())
    assert differences(inspection.spec.contract, registry[name].contract) in ((), ("input.dynamic",))
    assert inspection.confidence == "registered"
    assert inspection.spec.licence == registry[name].licence
    assert not inspection.spec.registered
    assert inspection.proposal.sources["input.mean"] == "registry"


@pytest.mark.parametrize("name", ["u2netp", "modnet"])
def test_real_networks_are_recognised_by_their_structure(
    name: str, registry: Registry, weights: dict[str, Path]
) -> None:
    inspection = inspect_file(weights[name])
    assert differences(inspection.spec.contract, registry[name].contract) == ()
    assert inspection.proposal.family == {"u2netp": "u2net"}.get(name, name)
    assert inspection.spec.output.true_alpha == registry[name].output.true_alpha == (name == "modnet")
    assert inspection.confidence == "recognised"
    assert inspection.proposal.doubts == ()


def test_a_declared_contract_that_a_familys_authors_deny_is_doubted(weights: dict[str, Path]) -> None:
    declared = read_declared({"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [1.0] * 3}, None)
    proposal = propose(read_graph(weights["u2netp"]), declared)
    assert proposal.contract.input.mean == (0.5, 0.5, 0.5)
    assert proposal.sources["input.mean"] == "declared"
    assert confidence(proposal) == "guessed"
    assert "not the one that U²-Net uses" in proposal.contradictions[0]


def test_a_repository_names_its_entry_unless_several_come_from_it(registry: Registry) -> None:
    twin = registered_twin(registry.values(), repo_id="Xenova/modnet")
    assert twin is registry["modnet"]
    assert registered_twin(registry.values(), repo_id="tomjackson2023/rembg") is None
    assert registered_twin(registry.values(), sha256=registry["silueta"].weights.sha256) is registry["silueta"]
    assert registered_twin(registry.values(), repo_id="nobody/nothing", sha256="0" * 64) is None


def test_the_registrys_contract_fits_another_variant_of_the_file(registry: Registry, tmp_path: Path) -> None:
    facts = read_graph(write_repository("float16", tmp_path / "r") / "onnx" / "model.onnx")
    proposal = propose(facts, NOTHING, registry["rmbg-1.4"])
    assert (proposal.contract.input.mean, proposal.contract.input.std) == ((0.5,) * 3, (1.0,) * 3)
    assert (proposal.contract.input.dtype, proposal.contract.input.size) == ("float16", (128, 128))
    assert proposal.contract.output.normalise == "minmax"
    assert confidence(proposal) == "registered"


def test_the_graph_overrules_a_declared_size(tmp_path: Path) -> None:
    repository = REPOSITORIES["imagenet"]
    facts = read_graph(repository.build(tmp_path / "model.onnx"))
    proposal = propose(facts, read_declared(repository.preprocessor | {"size": {"height": 96, "width": 64}}, None))
    assert proposal.contract.input.size == (128, 128)
    assert "declared size is 96 x 64" in proposal.contradictions[0]
    assert confidence(proposal) == "guessed"


@pytest.mark.parametrize("name", ["normalised_inside", "normalised_inside_unit", "uint8"])
def test_normalisation_inside_overrules_a_declared_one(name: str, tmp_path: Path) -> None:
    repository = REPOSITORIES[name]
    facts = read_graph(repository.build(tmp_path / "model.onnx"))
    proposal = propose(facts, read_declared(REPOSITORIES["imagenet"].preprocessor, None))
    assert differences(proposal.contract, repository.contract) == ()
    assert "normalises its input itself" in proposal.contradictions[0]


def test_declared_values_that_do_not_fit_each_other_are_doubted(tmp_path: Path) -> None:
    repository = REPOSITORIES["imagenet"]
    facts = read_graph(repository.build(tmp_path / "model.onnx"))
    proposal = propose(facts, read_declared(repository.preprocessor | {"image_mean": [123.7, 116.3, 103.5]}, None))
    assert "do not fit the declared range" in proposal.contradictions[0]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (graphs.two_inputs, r"needs 2 inputs \(image, points\)"),
        (graphs.not_for_pictures, "does not take one RGB picture: its input is int64"),
        (graphs.scores, r"None of its outputs is a picture \(\[1, 3\]\)"),
        (graphs.words, "None of its outputs is a picture"),
    ],
)
def test_what_is_no_segmentation_model_is_refused_with_a_sentence(
    make: Callable[[Path], Path], problem: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "model.onnx")
    inspection = inspect_file(path)
    assert re.search(problem, inspection.proposal.problem)
    assert inspection.verdict == (inspection.proposal.problem,)
    assert inspection.confidence == "guessed"


def test_a_declared_classifier_is_refused_unless_it_is_registered(tmp_path: Path, registry: Registry) -> None:
    facts = read_graph(REPOSITORIES["imagenet"].build(tmp_path / "model.onnx"))
    declared = read_declared({"do_center_crop": True, "crop_size": 224}, None)
    assert "declared as a classifier" in propose(facts, declared).problem
    assert propose(facts, declared, registry["rmbg-1.4"]).problem == ""


def test_two_unnamed_planes_are_taken_as_usual_with_a_doubt(tmp_path: Path) -> None:
    proposal = inspect_file(graphs.background_first(tmp_path / "model.onnx")).proposal
    assert (proposal.contract.output.channel, proposal.sources["output.channel"]) == (1, "guess")
    assert any("second is taken for the subject" in doubt for doubt in proposal.doubts)


def test_class_numbers_without_names_are_numbered(tmp_path: Path) -> None:
    facts = read_graph(graphs.brightest_channel(tmp_path / "model.onnx"))
    only_classes = facts.model_copy(update={"outputs": facts.outputs[1:]})
    proposal = propose(only_classes, NOTHING)
    assert (proposal.contract.output.kind, proposal.contract.output.activation) == ("labels", "none")
    assert set(proposal.contract.output.classes.values()) == {"background", "class-1"}
    assert proposal.sources["output.classes"] == "guess"


def test_an_inspection_tells_scripts_everything(tmp_path: Path) -> None:
    told = inspect_folder(write_repository("labels", tmp_path / "labels")).as_json()
    assert told["files"] == [{"file": "onnx/model.onnx", "size": told["size"], "variant": "fp32"}]
    assert told["contract"]["output"]["classes"] == {"0": "background", "1": "hair", "2": "skin"}
    assert told["sources"]["output.classes"] == "declared"
    assert (told["confidence"], told["confidence_text"]) == ("declared", "declared by its authors and consistent")
    assert told["graph"]["inputs"] == [{"name": "pixel_values", "dtype": "float32", "shape": [1, 3, 128, 128]}]
    assert told["licence"]["id"] == OWN_LICENCE.id


def test_a_folder_offers_its_variants(tmp_path: Path) -> None:
    folder = write_repository("imagenet", tmp_path / "r")
    model = folder / "onnx" / "model.onnx"
    for ending in ("_fp16", "_quantized", "_q4f16", "_uint8"):
        (folder / "onnx" / f"model{ending}.onnx").write_bytes(model.read_bytes())
    inspection = inspect_folder(folder)
    assert inspection.spec.weights.file == "model.onnx"
    assert [file.format for file in inspection.files] == ["fp32", "fp16", "q4f16", "int8", "uint8"]
    assert inspect_folder(folder, "onnx/model_fp16.onnx").spec.weights.file == "model_fp16.onnx"
    with pytest.raises(WeightsError, match=r"r has no file onnx/other\.onnx"):
        inspect_folder(folder, "onnx/other.onnx")
    with pytest.raises(WeightsError, match=r"has no \.onnx file"):
        inspect_folder(tmp_path / "r" / "nothing")


def test_a_graph_is_found_among_many_other_files(tmp_path: Path) -> None:
    folder = write_repository("imagenet", tmp_path / "r")
    graphs.with_external_data(folder / "onnx" / "big.onnx")
    for number in range(250):  # sorted before the graphs
        (folder / f"IMG_{number}.jpg").touch()
    inspection = inspect_folder(folder, "onnx/big.onnx")
    sizes = {file.path: file.size for file in inspection.files}
    parts = ("onnx/big.onnx", "onnx/big.onnx.data")
    assert sizes["onnx/big.onnx"] == sum((folder / part).stat().st_size for part in parts)
    assert "onnx/model.onnx" in sizes


def test_configuration_beside_the_graph_counts(tmp_path: Path) -> None:
    folder = write_repository("half_unit", tmp_path / "r")
    for name in ("preprocessor_config.json", "config.json"):
        (folder / name).rename(folder / "onnx" / name)
    assert inspect_folder(folder).spec.input.mean == (0.5, 0.5, 0.5)


def test_configuration_that_is_no_json_is_a_doubt(tmp_path: Path) -> None:
    folder = write_repository("imagenet", tmp_path / "r")
    (folder / "preprocessor_config.json").write_bytes(b"[" * 100_000)
    inspection = inspect_folder(folder)
    assert inspection.proposal.doubts[0] == "preprocessor_config.json is not sensible JSON, so it was ignored."
    assert inspection.confidence == "guessed"


def test_an_unreadable_file_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.onnx cannot be used: it cannot be read"):
        inspect_file(tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\x0a\x02\x08\x01")
    with pytest.raises(SessionError, match=r"bad\.onnx cannot be read"):
        inspect_file(tmp_path / "bad.onnx")


def test_an_unverified_file_is_no_entry() -> None:
    weights = {"file": "a.onnx"}
    spec = ModelSpec(id="a", title="A", tasks=("local",), licence=OWN_LICENCE, weights=weights)  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="A cannot be written into a registry: its file has not been verified"):
        registry_entry(spec, {}, "open")


def test_the_comfyui_nodes_contract_is_one_patch_away(weights: dict[str, Path]) -> None:
    node = own_file_spec(weights["u2netp"])
    patch = patched(inspect_file(weights["u2netp"]).spec, NODE)
    assert set(differences(patch.contract, node.contract)) == {"input.size", "input.dynamic"}  # the graph's own
    assert patch.input.scale == "image_max"
