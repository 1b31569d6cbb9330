"""The registry file: what is right loads, what is wrong is named by file, model and field."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation import Registry, RegistryError, load_registry
from segmentation.models.registry import DEFAULT_REGISTRY
from segmentation.models.spec import HubSource
from tests import graphs

DELETE = object()

VALID: dict[str, Any] = {
    "schema_version": 1,
    "licences": {
        "free": {"name": "Free to use", "url": "https://example.org", "commercial": "yes"},
        "strict": {"name": "Ask first", "commercial": "no", "needs_acceptance": True},
    },
    "defaults": {"input": {"size": [64, 64]}},
    "models": [
        {
            "id": "tiny",
            "title": "Tiny",
            "tasks": ["general"],
            "licence": "free",
            "weights": {
                "file": "tiny.onnx",
                "size": 1234,
                "sha256": "0" * 64,
                "sources": [
                    {"type": "hub", "repo_id": "owner/name", "filename": "onnx/tiny.onnx", "revision": "a" * 40},
                    {"type": "wheel", "package": "pack", "version": "1.0", "member": "pack/tiny.onnx", "size": 99},
                ],
            },
            "input": {},
            "output": {},
        }
    ],
}


def write(folder: Path, content: Any, name: str = "registry.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def changed(path: str, value: Any) -> dict[str, Any]:
    """`VALID` with one value, named by its keys, set or taken away."""
    content = copy.deepcopy(VALID)
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = content
    for key in way:
        place = place[key]
    if value is DELETE:
        del place[last]
    else:
        place[last] = value
    return content


def entry(model_id: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(VALID["models"][0]), "id": model_id, **changes}


# ------------------------------------------------------------------------------------------------- the shipped file


def test_the_shipped_file_offers_nineteen_models_for_whole_pictures_and_u2netp_first(registry: Registry) -> None:
    assert len([spec for spec in registry.values() if not spec.prompt]) == 19
    assert registry.default.id == "u2netp" == next(iter(registry))


def test_every_shipped_model_names_its_tier(registry: Registry) -> None:
    shipped = yaml.safe_load(DEFAULT_REGISTRY.read_text(encoding="utf-8"))["models"]
    assert [entry["id"] for entry in shipped if "tier" not in entry] == []
    assert {spec.tier for spec in registry.values()} == {"fast", "fine", "best"}


def test_every_shipped_model_is_pinned_and_licensed(registry: Registry) -> None:
    for spec in registry.values():
        assert spec.weights.size
        assert spec.weights.sha256
        assert spec.weights.sources
        assert spec.origin.paper
        assert spec.origin.url.startswith("https://")
        assert spec.licence.commercial in {"yes", "no", "unknown"}
        assert not spec.is_local


def test_shipped_models_that_forbid_commercial_use_need_an_acceptance(registry: Registry) -> None:
    asked = {spec.id for spec in registry.values() if spec.licence.needs_acceptance}
    assert asked == {"rmbg-1.4", "rmbg-2.0"}
    assert asked == {spec.id for spec in registry.values() if spec.licence.commercial == "no"}


def test_two_shipped_models_can_be_had_without_the_hub(registry: Registry) -> None:
    offline = {spec.id for spec in registry.values() if any(s.type == "wheel" for s in spec.weights.sources)}
    assert offline == {"u2netp", "modnet"}


def test_no_two_shipped_models_share_a_file(registry: Registry) -> None:
    assert len({spec.weights.file for spec in registry.values()}) == len(registry)


def test_four_shipped_models_take_points_and_slimsam_is_the_first(registry: Registry) -> None:
    promptable = [spec for spec in registry.values() if spec.prompt]
    assert [spec.id for spec in promptable] == ["slimsam-77", "mobilesam", "efficientsam-ti-split", "efficientsam-ti"]
    assert [len(spec.weights.networks) for spec in promptable] == [2, 2, 2, 1]
    assert promptable[0].weights.total == 8882165 + 4903810
    assert all(spec.tasks == ("prompt",) for spec in promptable)


# ------------------------------------------------------------------------------------------------- what loads


def test_a_valid_entry_loads_with_the_files_defaults(tmp_path: Path) -> None:
    spec = load_registry(write(tmp_path, VALID))["tiny"]
    assert spec.input.size == (64, 64)
    assert (spec.input.scale, spec.input.mean, spec.input.std) == (255.0, (0.0,) * 3, (1.0,) * 3)
    assert (spec.output.kind, spec.output.activation, spec.output.normalise) == ("alpha", "none", "none")
    assert spec.licence.name == "Free to use"
    assert isinstance(spec.weights.sources[0], HubSource)


def test_an_entrys_own_values_win_over_the_files_defaults(tmp_path: Path) -> None:
    content = changed("models.0.input", {"size": [32, 96]})
    content["defaults"] = {"licence_note": "mind it", "input": {"size": [64, 64], "channels": "BGR"}}
    spec = load_registry(write(tmp_path, content))["tiny"]
    assert (spec.input.size, spec.input.channels, spec.licence_note) == ((32, 96), "BGR", "mind it")


def test_keys_that_earlier_versions_wrote_are_ignored(tmp_path: Path) -> None:
    content = changed("models.0.precision", "fp32")
    content["models"][0]["weights"]["sources"][0]["gated"] = True
    assert load_registry(write(tmp_path, content)) == load_registry(write(tmp_path, VALID, "new.yaml"))


def test_a_spec_cannot_be_changed(tmp_path: Path) -> None:
    spec = load_registry(write(tmp_path, VALID))["tiny"]
    with pytest.raises(ValueError, match="frozen"):
        spec.title = "Other"  # type: ignore[misc]  # what mypy says too


@pytest.mark.parametrize("model_id", ["nothing", "../../u2netp", "U2NETP", "", "u2netp.onnx"])
def test_an_unknown_model_is_named_with_the_known_ones(registry: Registry, model_id: str) -> None:
    with pytest.raises(RegistryError, match=rf"no model '{re.escape(model_id)}'.*u2netp, modnet,"):
        registry[model_id]
    assert model_id not in registry


def test_an_unknown_model_of_great_length_makes_no_long_sentence(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"no model 'x{80}'"):
        registry["x" * 10_000]


def test_a_selection_keeps_the_order_given(registry: Registry) -> None:
    assert list(registry.only(["modnet", "u2netp"])) == ["modnet", "u2netp"]
    with pytest.raises(RegistryError, match="no model 'nothing'"):
        registry.only(["u2netp", "nothing"])


# ------------------------------------------------------------------------------------------------- malformed entries

M = "models.0."
W = M + "weights."
HUB = W + "sources.0."
WHEEL = W + "sources.1."
I = M + "input."  # noqa: E741
O = M + "output."  # noqa: E741

MALFORMED: list[tuple[str, Any, str]] = [
    # what to change, to what, and the field that the message must name
    (M + "id", DELETE, "id"),
    (M + "id", "../u2netp", "id"),
    (M + "id", "", "id"),
    (M + "id", "with space", "id"),
    (M + "id", "-dash-first", "id"),
    (M + "id", 7, "id"),
    (M + "id", "x" * 200, "id"),
    (M + "title", DELETE, "title"),
    (M + "title", "", "title"),
    (M + "tasks", DELETE, "tasks"),
    (M + "tasks", [], "tasks"),
    (M + "tasks", ["everything"], "tasks"),
    (M + "tasks", "general", "tasks"),
    (M + "tier", "slow", "tier"),
    (M + "gmacs", 0, "gmacs"),
    (M + "gmacs", "20", "gmacs"),
    (M + "licence", DELETE, "licence"),
    (M + "licence", "gpl", "licence"),
    (M + "licence", ["free"], "licence"),
    (M + "tilte", "Tiny", "tilte"),
    ("licences.free.commercial", True, "licence.commercial"),
    ("licences.free.comercial", "yes", "licence.comercial"),
    ("licences.free", "Free", "licence"),
    (M + "weights", DELETE, "weights"),
    (M + "weights", "tiny.onnx", "weights"),
    (W + "file", "../tiny.onnx", "weights.file"),
    (W + "file", "/srv/tiny.onnx", "weights.file"),
    (W + "file", "folder/tiny.onnx", "weights.file"),
    (W + "file", "folder\\tiny.onnx", "weights.file"),
    (W + "file", "tiny.pth", "weights.file"),
    (W + "file", ".onnx", "weights.file"),
    (W + "size", DELETE, "weights.*size"),
    (W + "size", 0, "weights.size"),
    (W + "size", -1, "weights.size"),
    (W + "size", "1234", "weights.size"),
    (W + "size", 12.5, "weights.size"),
    (W + "size", True, "weights.size"),
    (W + "sha256", DELETE, "weights.*sha256"),
    (W + "sha256", "0" * 63, "weights.sha256"),
    (W + "sha256", "A" * 64, "weights.sha256"),
    (W + "sha256", "g" * 64, "weights.sha256"),
    (W + "md5", "0" * 32, "weights.md5"),
    (W + "sources", DELETE, "weights.sources"),
    (HUB + "type", "ftp", "weights.sources.0"),
    (HUB + "type", DELETE, "weights.sources.0"),
    (HUB + "repo_id", "name-only", "weights.sources.0.repo_id"),
    (HUB + "repo_id", "a/b/c", "weights.sources.0.repo_id"),
    (HUB + "repo_id", "https://example.org/a/b", "weights.sources.0.repo_id"),
    (HUB + "revision", "main", "weights.sources.0.revision"),
    (HUB + "revision", "a" * 39, "weights.sources.0.revision"),
    (HUB + "revision", DELETE, "weights.sources.0.revision"),
    (HUB + "filename", "../tiny.onnx", "weights.sources.0.filename"),
    (HUB + "filename", "onnx/../../tiny.onnx", "weights.sources.0.filename"),
    (HUB + "filename", "/tiny.onnx", "weights.sources.0.filename"),
    (HUB + "filename", "tiny.safetensors", "weights.sources.0.filename"),
    (HUB + "url", "https://example.org", "weights.sources.0.url"),
    (WHEEL + "package", "--index-url=http://evil", "weights.sources.1.package"),
    (WHEEL + "package", "pack @ https://example.org", "weights.sources.1.package"),
    (WHEEL + "version", ">=1", "weights.sources.1.version"),
    (WHEEL + "member", "../../tiny.onnx", "weights.sources.1.member"),
    (WHEEL + "member", "/pack/tiny.onnx", "weights.sources.1.member"),
    (WHEEL + "member", "pack/tiny.bin", "weights.sources.1.member"),
    (WHEEL + "size", DELETE, "weights.sources.1.size"),
    (I + "layout", "HCW", "input.layout"),
    (I + "channels", "RGBA", "input.channels"),
    (I + "dtype", "float64", "input.dtype"),
    (I + "scale", 0, "input.scale"),
    (I + "scale", -255, "input.scale"),
    (I + "scale", "max", "input.scale"),
    (I + "scale", float("nan"), "input.scale"),
    (I + "mean", [0.5, 0.5], "input.mean"),
    (I + "mean", 0.5, "input.mean"),
    (I + "mean", [0.5, 0.5, "0.5"], "input.mean"),
    (I + "mean", [0.5, 0.5, float("nan")], "input.mean"),
    (I + "std", [0.5, 0.5, 0], "input.*std"),
    (I + "std", [0.5, 0.5, float("inf")], "input.std"),
    (I + "size", None, "input.size"),
    (I + "size", 0, "input.size"),
    (I + "size", [64, -64], "input.size"),
    (I + "size", "64", "input.size"),
    (I + "size", [64, 64, 3], "input.size"),
    (I + "size", 1_000_000, "input.*max_size"),
    (I, {"size": 500, "multiple_of": 32}, "input.*multiple_of"),
    (I, {"size": [64, 65], "multiple_of": 32}, "input.*multiple_of"),
    (I + "multiple_of", 0, "input.multiple_of"),
    (I + "resize", "crop", "input.resize"),
    (I + "resize", "fit_short", "input.*fit_short"),
    (I, {"resize": "fit_long", "dynamic": True, "size": [64, 64]}, "input.*fit_long"),
    (I + "interpolation", "area", "input.interpolation"),
    (I + "pad_value", 256, "input.pad_value"),
    (I + "pad_value", -1, "input.pad_value"),
    (I + "dynamic", "sometimes", "input.dynamic"),
    (I, {"dtype": "uint8", "scale": 1, "mean": [1, 1, 1]}, "input.*uint8"),
    (I, {"dtype": "uint8"}, "input.*uint8"),
    (I + "colour", "RGB", "input.colour"),
    (M + "input", [64, 64], "input"),
    (M + "input", None, "input"),
    (O + "index", -1, "output.index"),
    (O + "index", "0", "output.index"),
    (O + "channel", -1, "output.channel"),
    (O + "kind", "prompt_masks", "output.kind"),
    (O + "kind", "labels", "output.*classes"),
    (O + "classes", {1: "person"}, "output.*classes"),
    (O, {"kind": "labels", "classes": {"person": 1}}, "output.classes"),
    (O, {"kind": "labels", "classes": {0: "background", 1: "../person"}}, "output.classes"),
    (O, {"kind": "labels", "classes": {0: "background", 1: "person"}, "normalise": "minmax"}, "output.*normalise"),
    (O, {"kind": "labels", "classes": {0: "background", 1: "person"}, "activation": "sigmoid"}, "output.*activation"),
    (O + "kind", "logits", "output.*activation"),
    (O + "activation", "sigmoid", "output.*sigmoid"),
    (O + "activation", "relu", "output.activation"),
    (O + "normalise", "zscore", "output.normalise"),
    (O + "normalize", "minmax", "output.normalize"),
    (M + "origin", {"doi": "10.1"}, "origin.doi"),
    (M + "prompt", {"points": "p", "labels": "l"}, "prompt.scores"),
    (M + "prompt", {"points": "p", "labels": "l", "scores": "s", "keep": "1"}, "prompt.keep"),
    (M + "prompt", {"points": "p", "labels": "l", "scores": "s", "corners": [2]}, "prompt.corners"),
    (M + "prompt", {"points": "p", "labels": "l", "scores": "s"}, "entry: .*promptable"),
    (W + "decoder", {"file": "d.onnx", "size": 1, "sha256": "0" * 64}, "entry: .*decoder"),
    (W + "decoder", {"file": "../d.onnx", "size": 1, "sha256": "0" * 64}, "weights.decoder.file"),
    (M + "tasks", ["prompt"], "entry: .*prompt"),
]


@pytest.mark.parametrize(("path", "value", "field"), MALFORMED)
def test_a_malformed_entry_is_named_by_file_model_and_field(tmp_path: Path, path: str, value: Any, field: str) -> None:
    content = changed(path.rstrip("."), value)
    model_id = str(content["models"][0].get("id", "number 1"))
    label = rf"registry\.yaml: model {re.escape(model_id)}: {field}\b"
    with pytest.raises(RegistryError, match=label):
        load_registry(write(tmp_path, content))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(M + "id", "Tiny", id="upper case id"),
        pytest.param(M + "weights.sources.0.repo_id", "../..", id="repo of dots"),
        pytest.param(M + "input.scale", float("inf"), id="endless scale"),
        pytest.param(M + "output", {"kind": "labels", "classes": {0: "background"}}, id="only background"),
        pytest.param(M + "output", {"kind": "labels", "classes": {1: "a", 2: "a"}}, id="two classes of one name"),
        pytest.param(M + "output", {"kind": "labels", "classes": {-1: "a", 2: "b"}}, id="negative class"),
        pytest.param("defaults", {"input": "64"}, id="default input is a text"),
    ],
)
def test_a_malformed_entry_is_refused(tmp_path: Path, path: str, value: Any) -> None:
    with pytest.raises(RegistryError, match=r"registry\.yaml: (model \w+|defaults)"):
        load_registry(write(tmp_path, changed(path, value)))


def test_every_problem_is_told_not_only_the_first(tmp_path: Path) -> None:
    content = copy.deepcopy(VALID)
    content["models"][0]["weights"]["sha256"] = "short"
    content["models"].append(entry("second", title="", tasks=[]))
    with pytest.raises(RegistryError, match="sha256") as caught:
        load_registry(write(tmp_path, content))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert re.search("model second: title", lines[1])
    assert re.search("model second: tasks", lines[2])


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(VALID)
    content["models"].append(entry("tiny", title="Other"))
    with pytest.raises(RegistryError, match=r"registry\.yaml: model tiny: id: appears twice"):
        load_registry(write(tmp_path, content))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda text: text + "schema_version: 1\n", "schema_version"),
        (lambda text: text.replace("  title: Tiny\n", "  title: Tiny\n  title: Other\n"), "title"),
        (lambda text: text.replace("    size: 1234\n", "    size: 1234\n    size: 4321\n"), "size"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, change: Callable[[str], str], key: str) -> None:
    text = yaml.safe_dump(VALID, sort_keys=False)
    assert change(text) != text
    with pytest.raises(RegistryError, match=rf"registry\.yaml: .*key {key} appears twice.*line \d+"):
        load_registry(write(tmp_path, change(text)))


def test_a_merged_block_may_be_overridden(tmp_path: Path) -> None:
    content = changed("models.0.input", "HERE")
    text = yaml.safe_dump(content, sort_keys=False)
    text = text.replace("HERE", "{<<: {size: [32, 32], channels: BGR}, channels: RGB}")
    spec = load_registry(write(tmp_path, text))["tiny"]
    assert (spec.input.size, spec.input.channels) == ((32, 32), "RGB")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("models: [", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "mapping"),
        ("- a\n- b\n", "mapping"),
        ("just text", "mapping"),
        (changed("schema_version", DELETE), "schema_version must be 1"),
        (changed("schema_version", 2), "schema_version must be 1"),
        (changed("schema_version", "1"), "schema_version must be 1"),
        (changed("models", DELETE), "models must be a list"),
        (changed("models", []), "models must be a list"),
        (changed("models", {"tiny": {}}), "models must be a list"),
        (changed("models.0", "tiny"), "model number 1 must be a mapping"),
        (changed("licences", ["free"]), "licences must be a mapping"),
        (changed("defaults", "none"), "defaults must be a mapping"),
        ({**VALID, "model": []}, "unknown key model"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(RegistryError, match=rf"registry\.yaml: .*{sentence}"):
        load_registry(write(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"nowhere\.yaml: cannot be read"):
        load_registry(tmp_path / "nowhere.yaml")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot be read"):
        load_registry(tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RegistryError, match=r"registry\.yaml: cannot be read"):
        load_registry(tmp_path / "registry.yaml")


def test_the_default_model_must_not_need_an_acceptance(tmp_path: Path) -> None:
    content = changed("models.0.licence", "strict")
    with pytest.raises(RegistryError, match=r"registry\.yaml: model tiny: licence: .*first model"):
        load_registry(write(tmp_path, content))


# ------------------------------------------------------------------------------------------------- a second file


def test_a_second_file_replaces_in_place_and_adds_at_the_end(tmp_path: Path) -> None:
    first = copy.deepcopy(VALID)
    first["models"].append(entry("other"))
    second = {
        "schema_version": 1,
        "licences": {"own": {"name": "House rules", "commercial": "conditional"}},
        "models": [
            entry("added", licence="own", input={"size": 32}),
            entry("tiny", title="Replaced", input={"size": 48}),
        ],
    }
    registry = load_registry(write(tmp_path, first), write(tmp_path, second, "own.yaml"))
    assert list(registry) == ["tiny", "other", "added"]
    assert registry["tiny"].title == "Replaced"
    assert registry["tiny"].licence.name == "Free to use"  # the first file's licences are known in the second
    assert registry["added"].licence.name == "House rules"
    assert registry["other"].input.size == (64, 64)


def test_defaults_hold_for_the_models_of_their_own_file(tmp_path: Path) -> None:
    first = changed("defaults", {"input": {"size": [64, 64], "channels": "BGR"}})
    second = {"schema_version": 1, "defaults": {"input": {"size": [32, 32]}}, "models": [entry("added")]}
    registry = load_registry(write(tmp_path, first), write(tmp_path, second, "own.yaml"))
    assert (registry["tiny"].input.size, registry["tiny"].input.channels) == ((64, 64), "BGR")
    assert (registry["added"].input.size, registry["added"].input.channels) == ((32, 32), "RGB")


def test_a_problem_of_the_second_file_names_the_second_file(tmp_path: Path) -> None:
    second = {"schema_version": 1, "models": [entry("added", title="", input={"size": 32})]}
    with pytest.raises(RegistryError, match=r"own\.yaml: model added: title"):
        load_registry(write(tmp_path, VALID), write(tmp_path, second, "own.yaml"))


def test_a_missing_second_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"own\.yaml: cannot be read"):
        load_registry(write(tmp_path, VALID), tmp_path / "own.yaml")


def test_a_second_file_cannot_make_a_licensed_model_the_default(tmp_path: Path) -> None:
    second = {"schema_version": 1, "models": [entry("tiny", licence="strict", input={"size": 32})]}
    with pytest.raises(RegistryError, match="model tiny: licence: "):
        load_registry(write(tmp_path, VALID), write(tmp_path, second, "own.yaml"))


def test_a_second_file_joins_the_shipped_one(tmp_path: Path, registry: Registry) -> None:
    second = {"schema_version": 1, "models": [entry("added", licence="mit", input={"size": 32})]}
    joined = load_registry(extra=write(tmp_path, second, "own.yaml"))
    assert list(joined) == [*registry, "added"]


# ------------------------------------------------------------------------------------------------- files of one's own


def test_an_onnx_file_in_the_models_folder_becomes_a_model_with_the_nodes_defaults(tmp_path: Path) -> None:
    graphs.brightness(tmp_path / "mine.onnx")
    (tmp_path / "notes.txt").write_text("no model")
    registry = load_registry(write(tmp_path, VALID)).with_folder(tmp_path)
    assert list(registry) == ["tiny", "mine.onnx"]
    own = registry["mine.onnx"]
    assert own.is_local
    assert own.title == "mine"
    assert (own.input.mean, own.input.std, own.input.scale) == ((0.485,) * 3, (1.0,) * 3, "image_max")
    assert own.output.normalise == "minmax"
    assert own.licence.commercial == "unknown"
    assert registry.default.id == "tiny"


def test_weights_of_a_registered_model_are_not_listed_twice(tmp_path: Path) -> None:
    graphs.brightness(tmp_path / "tiny.onnx")
    assert list(load_registry(write(tmp_path, VALID)).with_folder(tmp_path)) == ["tiny"]


def test_a_models_folder_that_is_not_there_adds_nothing(tmp_path: Path, registry: Registry) -> None:
    assert list(registry.with_folder(tmp_path / "nowhere")) == list(registry)


@pytest.mark.parametrize("name", ["my model.onnx", "isnet (1).onnx", "модель.onnx", "_mine.onnx"])
def test_an_onnx_file_of_any_name_becomes_a_model(tmp_path: Path, registry: Registry, name: str) -> None:
    graphs.brightness(tmp_path / name)
    assert name in registry.with_folder(tmp_path)


def test_a_folder_named_like_a_model_is_none(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx" not in registry.with_folder(tmp_path)


@pytest.mark.parametrize(
    ("earlier", "now"),
    [("portrait", "people"), ("matting", "hair"), ("anime", "drawings"), ("cloth", "clothes"), ("general", "general")],
)
def test_tasks_of_earlier_versions_are_known_by_their_new_names(tmp_path: Path, earlier: str, now: str) -> None:
    spec = load_registry(write(tmp_path, changed(M + "tasks", [earlier])))["tiny"]
    assert spec.tasks == (now,)
    assert (spec.tier, spec.gmacs) == ("fine", None)  # keys that earlier versions did not have


def test_another_model_can_be_the_default_in_the_same_order(registry: Registry) -> None:
    other = registry.with_default("modnet")
    assert other.default.id == "modnet"
    assert list(other) == list(registry)
    assert registry.default.id == "u2netp"
    with pytest.raises(RegistryError, match="There is no model 'none'"):
        registry.with_default("none")
