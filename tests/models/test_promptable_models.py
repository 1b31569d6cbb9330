"""Models of several files: fetched whole, verified each, listed once, and never taken apart by accident."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from segmentation import Registry, SessionError, WeightsError, inspect_model, load_session
from segmentation.config import Config
from segmentation.corrections import Point, Prompt
from segmentation.doctor import examine
from segmentation.models.inspection.inspection import inspection_of
from segmentation.models.models_folder import folder_models
from segmentation.models.spec import DataFile, HubSource, ModelSpec
from segmentation.models.weights import fetch_weights, where_available
from segmentation.network.prompt.ask import ask, embed
from tests.graphs_prompt import promptable
from tests.hub import LoopbackHub

DECODER = "prompt_encoder_mask_decoder_quantized.onnx"


def on_hub(hub: LoopbackHub, folder: Path, repo_id: str = "someone/points") -> ModelSpec:
    """A promptable model whose files the loopback Hub serves."""
    spec, path = promptable(folder)
    files = {f"onnx/{file.name}": file.read_bytes() for file in path.parent.iterdir()}
    repository = hub.add(repo_id, files)
    source = HubSource(
        type="hub", repo_id=repo_id, filename=f"onnx/{path.name}", revision=repository.main.id
    )  # fmt: skip
    return spec.model_copy(update={"weights": spec.weights.model_copy(update={"sources": (source,)})})


def pinned(path: Path) -> DataFile:
    content = path.read_bytes()
    return DataFile(file=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def test_all_files_come_from_the_hub_and_progress_counts_them_together(hub: LoopbackHub, tmp_path: Path) -> None:
    spec, folder = on_hub(hub, tmp_path / "made"), tmp_path / "models"
    calls: list[tuple[int, int]] = []
    assert where_available(spec, folder) is None
    path = fetch_weights(spec, folder, on_progress=lambda _, done, total: calls.append((done, total)))
    assert where_available(spec, folder) == path
    assert (path.parent / DECODER).is_file()
    assert {total for _, total in calls} == {spec.weights.total}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == spec.weights.total
    session = load_session(spec, folder=folder, device="cpu")
    embedding = embed(np.zeros((48, 96, 3), np.uint8), session, session.input).embedding
    assert ask(session, embedding, Prompt((Point(5, 5),))) is not None
    assert hub.downloads(DECODER) == 1


def test_only_the_damaged_part_is_fetched_again(hub: LoopbackHub, tmp_path: Path) -> None:
    spec, folder = on_hub(hub, tmp_path / "made"), tmp_path / "models"
    path = fetch_weights(spec, folder)
    decoder = path.parent / DECODER
    content = decoder.read_bytes()
    decoder.resolve().write_bytes(content[:-1] + b"x")
    assert fetch_weights(spec, folder) == path
    assert decoder.read_bytes() == content
    assert (hub.downloads(path.name), hub.downloads(DECODER)) == (1, 2)


def test_a_folder_in_the_models_folder_is_taken_without_asking_anybody(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path)
    assert fetch_weights(spec, tmp_path) == path == tmp_path / "slimsam-77" / "vision_encoder_quantized.onnx"
    (path.parent / DECODER).unlink()
    assert where_available(spec, tmp_path) is None
    local = spec.model_copy(update={"weights": spec.weights.model_copy(update={"sources": ()})})
    with pytest.raises(WeightsError, match=f"lacks its decoder {DECODER}"):
        fetch_weights(local, tmp_path)
    (path.parent / DECODER).write_bytes(b"x" * local.weights.decoder.size)  # type: ignore[union-attr]
    with pytest.raises(WeightsError, match=f"has a decoder {DECODER} that is damaged"):
        fetch_weights(local, tmp_path)


def test_each_part_may_have_data_files_of_its_own(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path / "made")
    assert spec.weights.decoder is not None
    folder = tmp_path / "models" / "slimsam-77"
    folder.mkdir(parents=True)
    graphs, data = [], []
    for name in (path.name, DECODER):  # in the shape of SAM 2.1's export
        model = onnx.load(path.parent / name)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2000, np.float32), "ones"))
        model.graph.node.append(onnx.helper.make_node("Identity", ["ones"], ["same"]))
        place = f"{name}_data"
        onnx.save_model(model, folder / name, save_as_external_data=True, location=place, size_threshold=1024)
        graphs.append(pinned(folder / name))
        data.append(pinned(folder / place))
    decoder = spec.weights.decoder.model_copy(update={**dict(graphs[1]), "data": (data[1],)})
    own = {"size": graphs[0].size, "sha256": graphs[0].sha256, "data": (data[0],), "decoder": decoder}
    weights = spec.weights.model_copy(update=own)
    whole = spec.model_copy(update={"weights": weights})
    assert whole.weights.total == sum(file.stat().st_size for file in folder.iterdir())
    session = load_session(whole, folder=tmp_path / "models", device="cpu")
    assert session.prompt is not None
    (folder / f"{DECODER}_data").unlink()
    assert where_available(whole, tmp_path / "models") is None


def test_the_parts_of_a_registered_model_are_no_models_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec, path = promptable(tmp_path)
    registry = Registry([spec])
    assert list(registry.with_folder(tmp_path)) == ["slimsam-77"]
    assert "work together" not in caplog.text
    assert folder_models(tmp_path) == []  # without the entry, they are not usable
    assert "slimsam-77: its networks work together" in caplog.text
    (path.parent / DECODER).unlink()
    assert list(registry.with_folder(tmp_path)) == ["slimsam-77"]


def test_a_decoder_alone_is_told_for_what_it_is(tmp_path: Path) -> None:
    _, path = promptable(tmp_path)
    found = inspect_model(path.parent / DECODER, folder=tmp_path)
    assert found.proposal.problem == (
        "It is a promptable network, or a part of one: it needs points or boxes (input_points, input_labels, "
        "image_embeddings, image_positional_embeddings). Such models need a registry entry."
    )
    with pytest.raises(SessionError, match="Such models need a registry entry"):
        found.usable_spec


def test_a_registered_promptable_model_is_inspected_as_such(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path)
    facts = inspect_model(path, folder=tmp_path).facts
    found = inspection_of(spec, facts, registry=[spec])
    assert found.confidence == "registered"
    assert found.verdict[0] == "It is a promptable model: it cuts out what you point at."
    copy = inspect_model(path, folder=tmp_path)  # an encoder alone, nobody's
    assert copy.proposal.problem.startswith("It is the first part of a promptable network, which returns no mask.")


def test_the_doctor_loads_both_parts(tmp_path: Path) -> None:
    spec, path = promptable(tmp_path)
    config = Config(device="cpu", models_folder=tmp_path)
    (line,) = [line for line in examine(config, Registry([spec])).lines if line.startswith("slimsam-77")]
    assert "runs on CPU" in line
    (path.parent / DECODER).unlink()
    (line,) = [line for line in examine(config, Registry([spec])).lines if line.startswith("slimsam-77")]
    assert "not downloaded yet" in line
