"""Every way to name a model, in the library and on the command line, with a loopback Hub."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from PIL import Image

from segmentation import (
    Inspection,
    RegistryError,
    Session,
    SessionError,
    Settings,
    SettingsError,
    WeightsError,
    inspect_model,
    load_image,
    load_registry,
    load_session,
    save_png,
    segment,
)
from segmentation.config import Config
from segmentation.models import finder as finder_module
from segmentation.models import hub_known
from segmentation.models.finder import ModelFinder
from segmentation.models.inspection.apart import read_graph_apart
from segmentation.models.registry import _loaded, load_offered
from segmentation.models.spec import HubSource, LocalSource, ModelSpec
from segmentation.network.isolated import IsolatedEngine
from tests import graphs
from tests.hub import LoopbackHub
from tests.models.hub_shapes import add_all
from tests.repositories import REPOSITORIES, differences, scene, write_repository
from tests.test_command_line import main

TENSOR = np.full((1, 3, 64, 64), 0.25, np.float32)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    hub, folder = LoopbackHub(), tmp_path_factory.mktemp("shapes")
    add_all(hub, folder)
    for name in ("half_half", "bgr", "labels"):
        hub.add(f"someone/{name}", write_repository(name, folder / name))
    hub.add("someone/bare", write_repository("half_half", folder / "bare", declared=False))
    hub.add("someone/wide", wide(folder / "wide"))
    hub.add("someone/scores", {"model.onnx": graphs.scores(folder / "scores.onnx").read_bytes()})
    with hub.serving():
        yield hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of library and command line."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(folder))
    monkeypatch.setenv("SEGMATTE_DEVICE", "cpu")
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels, _ = scene(3)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def wide(folder: Path) -> Path:
    """A repository whose network keeps its numbers in a data file."""
    (folder / "onnx").mkdir(parents=True)
    graphs.with_external_data(folder / "onnx" / "model.onnx")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return folder


def look(source: str | Path, folder: Path) -> Inspection:
    return inspect_model(source, folder=folder)


def load(spec: ModelSpec, folder: Path) -> Session:
    return load_session(spec, folder=folder, device="cpu")


def cutout(picture: Path, session: Session, to: Path) -> bytes:
    loaded = load_image(picture)
    save_png(segment(loaded, session, Settings(alpha_matting=False)).cutout, to, loaded.icc_profile)
    return to.read_bytes()


# ------------------------------------------------------------------------------------------------- ways to name a model


def test_a_name_on_the_hub_is_pinned_and_runs_in_a_process_of_its_own(hub: LoopbackHub, folder: Path) -> None:
    found = look("Xenova/modnet", folder)
    commit = hub.repositories["Xenova/modnet"].main.id
    assert found.spec.id == f"Xenova/modnet@{commit}:onnx/model.onnx"
    assert found.spec.weights.sources == (
        HubSource(type="hub", repo_id="Xenova/modnet", filename="onnx/model.onnx", revision=commit),
    )
    assert {file.format for file in found.files} == {"fp32", "fp16", "int8"}
    assert found.spec.licence.commercial == "yes"
    session = load(found.spec, folder)
    assert isinstance(session._engine, IsolatedEngine)
    assert np.allclose(session.run(TENSOR).output, 0.25)


@pytest.mark.parametrize(
    ("name", "branch", "file"),
    [
        ("Xenova/modnet@v2", "v2", "onnx/model.onnx"),
        ("Xenova/modnet:onnx/model_fp16.onnx", "main", "onnx/model_fp16.onnx"),
        ("Xenova/modnet@main:onnx/model_quantized.onnx", "main", "onnx/model_quantized.onnx"),
        ("{address}/Xenova/modnet/tree/v2", "v2", "onnx/model.onnx"),
        ("https://huggingface.co/Xenova/modnet/blob/main/onnx/model_fp16.onnx", "main", "onnx/model_fp16.onnx"),
        (" hf.co/Xenova/modnet ", "main", "onnx/model.onnx"),
    ],
)
def test_revisions_files_and_links_are_understood(
    hub: LoopbackHub, folder: Path, name: str, branch: str, file: str
) -> None:
    commit = hub.repositories["Xenova/modnet"].branches[branch].id
    assert look(name.format(address=hub.address), folder).spec.id == f"Xenova/modnet@{commit}:{file}"


def test_a_registered_model_is_inspected_and_runs_in_this_process(fetched: Callable[[str], Path], folder: Path) -> None:
    shutil.copy(fetched("u2netp"), folder)
    found = look("u2netp", folder)
    assert found.spec == load_registry()["u2netp"]
    assert found.confidence == "registered"
    assert found.proposal.family == "u2net"
    assert not isinstance(load(found.spec, folder)._engine, IsolatedEngine)


def test_a_file_of_the_models_folder_is_named_by_its_name(folder: Path) -> None:
    graphs.brightness(folder / "bright.onnx")
    write_repository("half_half", folder / "mine")
    assert np.allclose(load(look("bright.onnx", folder).spec, folder).run(TENSOR).output, 0.25)
    found = look("mine/onnx/model.onnx", folder)
    assert found.spec.title == "mine"
    assert found.confidence == "declared"
    assert differences(found.spec.contract, REPOSITORIES["half_half"].contract) == ()


@pytest.mark.parametrize("kind", ["text", "path"])
def test_a_file_or_folder_elsewhere_is_named_by_its_path(tmp_path: Path, folder: Path, kind: str) -> None:
    repository = write_repository("half_half", tmp_path / "elsewhere")
    for path in (repository, repository / "onnx" / "model.onnx"):
        found = look(str(path) if kind == "text" else path, folder)
        assert found.spec.id == (repository / "onnx" / "model.onnx").as_posix()
        assert found.spec.weights.sources == (LocalSource(type="local", path=repository / "onnx" / "model.onnx"),)
        session = load(found.spec, folder)
        assert isinstance(session._engine, IsolatedEngine)
        assert session.run(np.zeros((1, 3, 128, 128), np.float32)).output.shape[-2:] == (128, 128)
    assert look(repository, folder).confidence == "declared"


def test_a_path_is_relative_to_the_current_folder_and_kept_as_an_absolute_one(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs.with_external_data(tmp_path / "wide.onnx")
    monkeypatch.chdir(tmp_path)
    spec = look("wide.onnx", folder).spec
    assert [data.file for data in spec.weights.data] == ["wide.onnx.data"]
    monkeypatch.chdir(folder)
    assert np.allclose(load(spec, folder).run(TENSOR).output, 0.25)


def test_a_file_replaced_after_its_inspection_is_not_run(tmp_path: Path, folder: Path) -> None:
    spec = look(graphs.brightness(tmp_path / "own.onnx"), folder).spec
    graphs.brightness_logits(tmp_path / "own.onnx")
    with pytest.raises(WeightsError, match=r"The weights of own could not be .*own\.onnx on this disk is damaged"):
        load(spec, folder)


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("nothing", RegistryError, "There is no model 'nothing'. Choose one of u2netp"),
        ("nowhere.onnx", RegistryError, "There is no model 'nowhere.onnx'"),
        ("empty", WeightsError, "empty has no .onnx file"),
        ("notes.txt", WeightsError, "notes.txt is not an .onnx file"),
        ("zero.onnx", WeightsError, "zero.onnx cannot be used: it is empty"),
        ("scores.onnx", SessionError, "it is not a segmentation model"),
    ],
)
def test_a_path_that_is_no_model_gets_a_sentence(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: type[Exception], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("notes.txt").write_text("notes")
    Path("zero.onnx").write_bytes(b"")
    graphs.scores(Path("scores.onnx"))
    with pytest.raises(error, match=sentence):
        look(source, folder).usable_spec


# ------------------------------------------------------------------------------------------------- what is guessed


def test_a_guessed_contract_comes_with_a_note_and_a_given_one_without(hub: LoopbackHub, folder: Path) -> None:
    guessed = load(look("someone/bare", folder).spec, folder)
    assert guessed.notes[0] == "How to use bare was guessed. Check the mask."
    given = guessed.under("mean=0.5,0.5,0.5 std=0.5,0.5,0.5")
    assert given.notes == ()
    assert given.spec.input.mean == (0.5, 0.5, 0.5)
    assert load(look("someone/half_half", folder).spec, folder).notes == ()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("someone/scores", "."),
        ("Xenova/slimsam-77-uniform", "work together|prompt|several"),
        ("ZhengPeng7/BiRefNet", "onnx"),
        ("someone/nothing", "There is no model someone/nothing on the Hub"),
        ("someone/secret", "There is no model someone/secret on the Hub"),
        ("briaai/RMBG-2.0", "RMBG-2.0"),
        ("someone/rembg", "u2net.onnx"),
        ("someone/spoilt", "spoilt"),
        ("Xenova/modnet@v9", "v9"),
        ("Xenova/modnet:onnx/none.onnx", "none.onnx"),
    ],
)
def test_a_hub_model_that_cannot_be_used_gets_a_sentence(
    hub: LoopbackHub, folder: Path, name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((WeightsError, SessionError), match=sentence) as caught:
        look(name, folder).usable_spec
    assert "\n" not in str(caught.value)
    assert main(["inspect", name]) == 1
    printed = capsys.readouterr()
    assert re.search(sentence, (printed.out + printed.err).splitlines()[-1])


@pytest.mark.parametrize("make", [graphs.scores, graphs.words], ids=["classifier", "text"])
def test_a_network_that_is_no_segmentation_model_is_not_loaded(
    folder: Path, make: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder / "other.onnx")
    found = look("other.onnx", folder)
    assert found.proposal.problem
    with pytest.raises(SessionError, match="it is not a segmentation model"):
        ModelFinder.of(Config(models_folder=folder), load_offered(Config(models_folder=folder))).spec("other.onnx")
    with pytest.raises(SessionError, match="it is not a segmentation model"):
        load_session(load_offered(Config(models_folder=folder))["other.onnx"], folder=folder)
    assert main(["models", "add", "other.onnx"]) == 1
    assert capsys.readouterr().err == f"{found.proposal.problem}\n"


# ------------------------------------------------------------------------------------------------- once each


def finder_of(folder: Path) -> ModelFinder:
    config = Config(models_folder=folder)
    return ModelFinder(lambda: load_offered(config), folder, registered=load_registry().values())


def test_a_replaced_file_is_inspected_again(folder: Path) -> None:
    finder = finder_of(folder)
    graphs.brightness(folder / "own.onnx")
    first = finder.spec("own.onnx")
    assert finder.spec("own.onnx") == first
    graphs.background_first(folder / "own.onnx", softmax=False)
    again = finder.spec("own.onnx")
    assert again.output.activation == "softmax"
    assert again.weights.sha256 != first.weights.sha256
    assert finder.known("own.onnx") == again


@pytest.mark.parametrize("name", ["own.onnx", "Xenova/modnet"])
def test_concurrent_first_inspections_read_once(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    graphs.brightness(folder / "own.onnx")
    finder, reads, found, begun = finder_of(folder), [], [], threading.Barrier(4)

    def read(path: Path) -> Any:
        reads.append(path)
        return read_graph_apart(path)

    def inspect() -> None:
        begun.wait(10)
        found.append(finder.inspect(name))

    for module in ("segmentation.models.finder", "segmentation.models.local_models"):
        monkeypatch.setattr(f"{module}.read_graph_apart", read)
    threads = [threading.Thread(target=inspect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(reads) == 1
    assert all(each is found[0] for each in found)


def test_what_could_not_be_read_is_tried_again_and_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs.brightness(folder / "own.onnx")
    finder = finder_of(folder)

    def fail(path: Path) -> Any:
        raise SessionError(f"{path.name} cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("segmentation.models.local_models.read_graph_apart", fail)
        with pytest.raises(SessionError, match=r"own\.onnx cannot be read"):
            finder.inspect("own.onnx")
    assert finder._reading == {}
    assert finder.inspect("own.onnx").spec.id == "own.onnx"


def test_no_more_inspections_are_kept_than_a_hundred(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder_module, "_KEPT", 2)
    finder = finder_of(folder)
    for name in "abc":
        finder.inspect(graphs.brightness(folder / f"{name}.onnx").name)
    assert [finder.known(f"{name}.onnx") is not None for name in "abc"] == [False, True, True]


# ------------------------------------------------------------------------------------------------- kept as an entry


@pytest.mark.parametrize("name", ["someone/wide", "someone/half_half", "someone/labels"])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_saved_entry_gives_identical_bytes(
    hub: LoopbackHub, folder: Path, picture: Path, tmp_path: Path, name: str, place: str
) -> None:
    found = look(name, folder)
    mine = tmp_path / "registry"
    mine.mkdir()
    file = mine / f"{found.entry_id}.yaml"
    file.write_text(found.entry(), encoding="utf-8")
    entry = load_registry(extra=file if place == "file" else mine)[found.entry_id]
    assert entry.registered
    assert entry.weights.data == found.spec.weights.data
    assert bool(entry.weights.data) is (name == "someone/wide")
    session = load(entry, folder)
    assert not isinstance(session._engine, IsolatedEngine)
    assert cutout(picture, session, tmp_path / "a.png") == cutout(picture, load(found.spec, folder), tmp_path / "b.png")


def test_models_add_writes_a_new_file_into_the_folder_of_the_operators_registry(
    hub: LoopbackHub,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = tmp_path / "registry"
    mine.mkdir()
    monkeypatch.setenv("SEGMATTE_REGISTRY", str(mine))
    assert main(["models", "add", "someone/half_half"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{mine / 'half_half.yaml'}\n"
    assert "declared by its authors and consistent" in printed.err
    _loaded.cache_clear()  # as in another process
    assert main(["models"]) == 0
    assert any(line.startswith("half_half ") and " here " in line for line in capsys.readouterr().out.splitlines())
    hub.asked.clear()
    assert main(["cut", str(picture), "-m", "half_half", "-o", str(tmp_path / "out")]) == 0
    assert not hub.asked

    # the id is taken now, so that the same model of another revision does not replace it
    assert main(["models", "add", "someone/half_half"]) == 0
    assert (mine / "someone-half_half.yaml").is_file()


def test_models_add_writes_to_a_named_file_or_the_terminal_and_overwrites_nothing(
    hub: LoopbackHub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    assert main(["models", "add", "someone/bgr", "-o", str(file)]) == 0
    assert load_registry(extra=file)["bgr"].input.channels == "BGR"
    content = file.read_bytes()
    capsys.readouterr()
    assert main(["models", "add", "someone/half_half", "-o", str(file)]) == 1
    assert capsys.readouterr().err.endswith(f"{file} exists: name another file with -o.\n")
    assert file.read_bytes() == content
    assert main(["models", "add", "someone/bgr"]) == 0
    assert capsys.readouterr().out.encode() == content


def test_models_add_takes_a_file_of_the_models_folder_and_one_elsewhere(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs.brightness(folder / "inside.onnx")
    graphs.brightness(tmp_path / "outside.onnx")
    for source, name in (("inside.onnx", "inside"), (str(tmp_path / "outside.onnx"), "outside")):
        file = tmp_path / f"{name}.yaml"
        assert main(["models", "add", source, "-o", str(file)]) == 0
        assert np.allclose(load(load_registry(extra=file)[name], folder).run(TENSOR).output, 0.25)
    assert "guessed; check the mask" in capsys.readouterr().err
    assert main(["models", "add", "u2netp"]) == 1


def test_an_added_model_does_not_replace_one_of_ours(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert main(["models", "add", "Xenova/modnet", "-o", str(file)]) == 0
    both = load_registry(extra=file)
    assert both["modnet"] == load_registry()["modnet"]
    assert both["xenova-modnet"].weights.sources[0].type == "hub"


# ------------------------------------------------------------------------------------------------- cut


def test_cut_records_the_commit_and_file_and_is_repeatable_without_the_hub(
    hub: LoopbackHub,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit = hub.repositories["someone/wide"].main.id
    pinned = f"someone/wide@{commit}:onnx/model.onnx"
    assert main(["cut", str(picture), "-m", "someone/wide", "-o", str(tmp_path / "a"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == pinned
    assert report["error"] is None

    hub_known.forget()  # as in another process
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"model": pinned}), encoding="utf-8")
    assert main(["cut", str(picture), "-m", pinned, "-o", str(tmp_path / "b")]) == 0
    assert main(["cut", str(picture), "--settings", str(settings), "-o", str(tmp_path / "c")]) == 0
    assert not hub.asked
    first, *others = [(tmp_path / name / "scene-cutout.png").read_bytes() for name in "abc"]
    assert all(other == first for other in others)
    capsys.readouterr()
    assert main(["cut", str(picture), "-m", "someone/half_half", "-o", str(tmp_path / "d")]) == 1
    assert "the Hub is switched off" in capsys.readouterr().err


def test_cut_takes_a_path_and_warns_that_its_contract_was_guessed(
    folder: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = graphs.brightness(tmp_path / "own.onnx")
    assert main(["cut", str(picture), "-m", str(path), "-o", str(tmp_path / "a"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == str(path)
    assert report["warnings"][0] == "How to use own was guessed. Check the mask."


def test_inspect_prints_the_verdict_the_contract_with_its_sources_and_the_licence(
    hub: LoopbackHub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "someone/half_half"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "half_half"
    assert "Contract: declared by its authors and consistent" in lines
    assert any(line.split()[0] == "input.mean" and line.endswith("declared") for line in lines if line)
    assert any(line.startswith("Licence: ") for line in lines)
    assert main(["inspect", "someone/half_half", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["sources"]["input.mean"] == "declared"
    assert printed["source"]["repository"] == "someone/half_half"


def test_a_wrong_link_is_refused_with_an_example(hub: LoopbackHub, folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"is not a model on the Hub\. Copy the address of a model's page"):
        look("https://huggingface.co/datasets/a/b", folder)
