"""Models named by their repository on a loopback Hub: looked up, chosen, pinned, fetched, verified."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from segmentation import Registry, Session
from segmentation.errors import WeightsError
from segmentation.models.hub_known import forget, look_up, remember
from segmentation.models.hub_licence import licence_of, read_card
from segmentation.models.hub_model import find_model, hub_model, registered_twin, with_data
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import HubRepository
from segmentation.models.spec import InputSpec, ModelSpec
from segmentation.models.weights import fetch_weights, where_available
from tests.hub import TOKEN, LoopbackHub


def found(text: str) -> HubRepository:
    reference = HubReference.parse(text)
    assert reference is not None
    return look_up(reference)


def model(text: str) -> ModelSpec:
    reference = HubReference.parse(text)
    assert reference is not None
    repository = look_up(reference)
    return hub_model(repository, repository.choose(reference.file).variant.path)


def runs(spec: ModelSpec, path: Path) -> bool:
    session = Session(spec.model_copy(update={"input": InputSpec(size=64)}), path, "cpu")
    answer = session.run(np.ones((1, 3, 64, 64), np.float32))
    return bool(np.isfinite(answer.output).all())


# ------------------------------------------------------------------------------------------------- looked up


def test_a_repository_is_pinned_at_once_with_its_files_licence_and_configuration(hub: LoopbackHub) -> None:
    repository = found("Xenova/modnet")
    commit = hub.repositories["Xenova/modnet"].main
    assert repository.commit == commit.id
    graph = repository.file("onnx/model.onnx")
    content = commit.files["onnx/model.onnx"]
    assert (graph.size, graph.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert repository.licence.id == "apache-2.0"
    assert not repository.gated
    assert not repository.private
    declared = repository.declared("onnx/model.onnx")
    assert declared.preprocessor_config is not None
    assert declared.preprocessor_config["image_mean"] == [0.5] * 3
    assert declared.config == {"model_type": "modnet"}
    assert repository.notes == ()


def test_a_branch_means_its_own_commit(hub: LoopbackHub) -> None:
    branch = hub.repositories["Xenova/modnet"].branches["v2"]
    assert found("Xenova/modnet@v2").commit == branch.id
    assert found(f"Xenova/modnet@{branch.id}").commit == branch.id
    assert found("Xenova/modnet").commit != branch.id


def test_configuration_beside_the_graph_comes_before_that_above(hub: LoopbackHub) -> None:
    declared = found("mattmdjaga/segformer_b2_clothes").declared("onnx/model.onnx")
    assert declared.preprocessor_config is not None
    assert declared.config is not None
    assert set(declared.config["id2label"].values()) >= {"Hair", "Skin"}
    files = {
        "onnx/a.onnx": b"x", "config.json": b'{"here": "above"}', "onnx/config.json": b'{"here": "beside"}',
        "unrelated/config.json": b'{"here": "elsewhere"}',
    }  # fmt: skip
    hub.add("someone/two-configs", files)
    repository = found("someone/two-configs")
    assert repository.declared("onnx/a.onnx").config == {"here": "beside"}
    assert set(repository.configs) == {"config.json", "onnx/config.json"}


@pytest.mark.parametrize(
    "content", [b"not JSON", b"[1, 2]", b"[" * 100_000, b'{"a": "' + b"x" * (1 << 20) + b'"}', b"\xff\xfe", b"NaN"]
)
def test_configuration_that_cannot_be_read_is_named_and_ignored(hub: LoopbackHub, content: bytes) -> None:
    hub.add("someone/odd-config", {"model.onnx": b"x", "config.json": content})
    repository = found("someone/odd-config")
    assert repository.declared("model.onnx").config is None
    assert repository.notes == ("config.json of someone/odd-config is not readable and was ignored.",)


def test_a_repository_that_moved_is_found_under_its_new_name(hub: LoopbackHub) -> None:
    hub.moved["former/modnet"] = "Xenova/modnet"
    assert found("former/modnet").repo_id == "Xenova/modnet"


def test_a_commit_is_looked_up_once_and_then_without_the_hub(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = found("Xenova/modnet")
    asked = hub.asked.total()
    assert found("Xenova/modnet") is repository
    assert found(f"Xenova/modnet@{repository.commit}") is repository
    assert hub.asked.total() == asked
    remember(repository)
    forget()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert found(f"Xenova/modnet@{repository.commit}") == repository
    with pytest.raises(WeightsError, match=r"Xenova/modnet could not be looked up: the Hub is switched off"):
        found("Xenova/modnet")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Xenova/nothing", r"There is no model Xenova/nothing on the Hub, or it is private\."),
        ("someone/secret", r"There is no model someone/secret on the Hub, or it is private\."),
        ("Xenova/modnet@v9", r"Xenova/modnet has no branch, tag or commit v9 on the Hub\."),
        ("briaai/RMBG-2.0", r"briaai/RMBG-2\.0 is gated: the operator must accept its terms at http://.*/briaai/RMBG-2\.0"),
    ],
)  # fmt: skip
def test_what_the_hub_does_not_give_gets_a_sentence(hub: LoopbackHub, text: str, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        found(text)


def test_a_hub_that_is_down_or_gone_gets_a_sentence(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "down", True)
    with pytest.raises(
        WeightsError, match=r"^Xenova/modnet could not be looked up: the Hub answered 503 for Xenova/mod"
    ):
        found("Xenova/modnet")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(WeightsError, match=r"^Xenova/modnet could not be looked up: the Hub cannot be reached \("):
        found("Xenova/modnet")


def test_the_operators_token_opens_what_is_private_or_gated(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    found("Xenova/modnet")
    assert hub.tokens == set()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert found("someone/secret").private
    assert found("briaai/RMBG-2.0").gated
    spec = model("briaai/RMBG-2.0")
    assert fetch_weights(spec, accepted_licences={"cc-by-nc-4.0"}).is_file()
    assert hub.tokens == {f"Bearer {TOKEN}"}


# ------------------------------------------------------------------------------------------------- chosen


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Xenova/modnet", "onnx/model.onnx"),
        ("Xenova/modnet:onnx/model_fp16.onnx", "onnx/model_fp16.onnx"),
        ("opencv/human_segmentation_pphumanseg", "human_segmentation_pphumanseg_2023mar.onnx"),
        ("someone/rembg:isnet.onnx", "isnet.onnx"),
    ],
)
def test_the_file_is_the_named_one_or_the_network_in_full_precision(hub: LoopbackHub, text: str, path: str) -> None:
    spec = model(text)
    assert spec.id == f"{text.partition(':')[0]}@{found(text).commit}:{path}"
    assert HubReference.parse(spec.id) == found(text).reference(path)


def test_the_largest_format_within_the_limit_is_taken_and_told(hub: LoopbackHub) -> None:
    repository = found("onnx-community/huge-ONNX")
    assert repository.choose(None, None).variant.path == "onnx/model.onnx"
    variant, note = repository.choose(None, 1 << 30)
    assert (variant.path, variant.format) == ("onnx/model_fp16.onnx", "fp16")
    assert note == "onnx/model_fp16.onnx is used: onnx/model.onnx has 2001 MB, more than is allowed here."


@pytest.mark.parametrize(
    ("text", "most", "sentence"),
    [
        ("onnx-community/huge-ONNX:onnx/model.onnx", 1 << 30, r"onnx/model\.onnx of .* has 2001 MB; at most 1024 MB"),
        ("onnx-community/huge-ONNX", 100, r"onnx/model_fp16\.onnx of onnx-community/huge-ONNX has 1 MB; at most 1 MB"),
        ("Xenova/modnet:onnx/model_q4.onnx", None, r"Xenova/modnet has no file onnx/model_q4\.onnx\. It has: onnx/"),
        ("ZhengPeng7/BiRefNet", None, r"has no \.onnx file, only weights in other formats \(model\.safetensors\)"),
        ("Xenova/slimsam-77-uniform", None, r"consists of several networks .*prompt_encoder_mask.*need points"),
        ("someone/rembg", None, r"has several models: isnet\.onnx, u2net\.onnx\. Name one .* someone/rembg:isnet"),
    ],
)  # fmt: skip
def test_where_nothing_can_be_chosen_there_is_a_sentence(
    hub: LoopbackHub, text: str, most: int | None, sentence: str
) -> None:
    reference = HubReference.parse(text)
    assert reference is not None
    with pytest.raises(WeightsError, match=sentence):
        look_up(reference).choose(reference.file, most)


def test_a_repository_without_any_model_lists_what_there_is(hub: LoopbackHub) -> None:
    hub.add("someone/texts", {"a.txt": b"a", "b.txt": b"b"})
    with pytest.raises(WeightsError, match=r"someone/texts has no \.onnx file\. It has: a\.txt, b\.txt\."):
        found("someone/texts").choose()


# ------------------------------------------------------------------------------------------------- fetched


def test_a_model_is_fetched_as_the_hub_lists_it_and_found_again(hub: LoopbackHub, tmp_path: Path) -> None:
    spec = model("Xenova/modnet")
    assert not spec.registered
    assert where_available(spec, tmp_path) is None
    path = fetch_weights(spec, tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == spec.weights.sha256
    assert where_available(spec, tmp_path) == path
    assert fetch_weights(spec, tmp_path) == path
    assert hub.downloads("onnx/model.onnx") == 1


def test_a_model_by_its_pinned_id_is_the_same_after_the_branch_moved(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("someone/moving", {"onnx/model.onnx": b"first"})
    spec = model("someone/moving")
    hub.add("someone/moving", {"onnx/model.onnx": b"second"}, branch="main")
    hub.add("someone/moving", {"onnx/model.onnx": b"first"}, branch="old")
    forget()
    assert model(spec.id) == spec
    assert fetch_weights(spec, tmp_path).read_bytes() == b"first"


def test_other_bytes_than_listed_are_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"someone/spoilt is damaged \(its sha256 is not the pinned one\)"):
        fetch_weights(model("someone/spoilt"), tmp_path)


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_file_outside_lfs_is_checked_by_its_git_hash(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    monkeypatch.setattr("tests.hub._LFS", (".never",))
    hub.repositories.pop("someone/small", None)
    hub.add("someone/small", {"model.onnx": b"small network"}, spoilt={"model.onnx"} if spoilt else set())
    repository = found("someone/small")
    assert repository.file("model.onnx").sha256 is None
    if spoilt:
        with pytest.raises(WeightsError, match=r"model\.onnx of someone/small is not the file that the Hub lists"):
            hub_model(repository, "model.onnx")
    else:
        spec = hub_model(repository, "model.onnx")
        assert spec.weights.sha256 == hashlib.sha256(b"small network").hexdigest()
        assert fetch_weights(spec, tmp_path).read_bytes() == b"small network"


def test_data_beside_a_graph_is_fetched_verified_and_loads_from_the_hubs_cache(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    repository = found("onnx-community/BiRefNet-ONNX")
    alone = hub_model(repository, "onnx/model.onnx")
    assert alone.weights.data == ()
    spec = with_data(alone, repository, ["model.onnx.data", "model.onnx.data"])
    calls: list[tuple[str, int, int]] = []
    fetch_weights(alone, tmp_path)
    assert where_available(spec, tmp_path) is None
    path = fetch_weights(spec, tmp_path, on_progress=lambda *call: calls.append(call))
    data = hub.repositories[repository.repo_id].main.files["onnx/model.onnx.data"]
    assert (path.parent / "model.onnx.data").read_bytes() == data
    assert hub.downloads("onnx/model.onnx") == 1  # the graph was there
    assert {call[2] for call in calls} == {spec.weights.total} == {len(data) + (alone.weights.size or 0)}
    assert calls[-1][1] == spec.weights.total
    assert runs(spec, path)


def test_damaged_or_missing_data_is_fetched_again(hub: LoopbackHub, tmp_path: Path) -> None:
    repository = found("onnx-community/BiRefNet-ONNX")
    spec = with_data(hub_model(repository, "onnx/model.onnx"), repository, ["model.onnx.data"])
    data = fetch_weights(spec, tmp_path).parent / "model.onnx.data"
    right = data.read_bytes()
    data.resolve().write_bytes(right[:-1] + b"x")
    assert (fetch_weights(spec, tmp_path).parent / "model.onnx.data").read_bytes() == right
    data.unlink()
    assert (fetch_weights(spec, tmp_path).parent / "model.onnx.data").read_bytes() == right


def test_data_in_the_hubs_shared_store_becomes_the_repositorys_own(hub: LoopbackHub, tmp_path: Path) -> None:
    repository = found("onnx-community/BiRefNet-ONNX")
    spec = with_data(hub_model(repository, "onnx/model.onnx"), repository, ["model.onnx.data"])
    path = fetch_weights(spec, tmp_path)
    for number, file in enumerate((path, path.parent / "model.onnx.data")):  # as another program leaves them there
        blob = file.parent / file.readlink()
        shared = Path(constants.HF_HUB_CACHE) / "blobs" / str(number) / blob.name
        shared.parent.mkdir(parents=True)
        blob.rename(shared)
        blob.symlink_to(shared)
    assert runs(spec, fetch_weights(spec, tmp_path))


@pytest.mark.parametrize("name", ["elsewhere.data", "../config.json", "/etc/passwd", "sub/model.data", "", "x" * 300])
def test_data_that_is_not_beside_the_graph_is_refused(hub: LoopbackHub, name: str) -> None:
    repository = found("onnx-community/BiRefNet-ONNX")
    with pytest.raises(
        WeightsError, match=r"BiRefNet-ONNX keeps data in .*, which is not beside it in onnx-community/"
    ):
        with_data(hub_model(repository, "onnx/model.onnx"), repository, [name])


def test_data_that_makes_a_model_too_large_is_refused(hub: LoopbackHub) -> None:
    repository = found("onnx-community/huge-ONNX")
    with pytest.raises(WeightsError, match=r"huge-ONNX has 2001 MB; at most 1024 MB are allowed here"):
        with_data(hub_model(repository, "onnx/model.onnx"), repository, ["model.onnx_data"], most=1 << 30)


def test_a_model_is_found_with_all_that_is_known_of_it(hub: LoopbackHub) -> None:
    found_model = find_model(HubReference("onnx-community/huge-ONNX"), most=1 << 30)
    assert found_model.spec.title == "huge-ONNX (fp16)"
    assert [note.partition(":")[0] for note in found_model.notes] == ["onnx/model_fp16.onnx is used"]
    assert find_model(HubReference("Xenova/modnet")).declared.config == {"model_type": "modnet"}
    assert hub.downloads(".onnx") == 0


ELSEWHERE = """
import sys
from segmentation.models.hub_model import find_model
from segmentation.models.hub_reference import HubReference
from segmentation.models.weights import fetch_weights

print(fetch_weights(find_model(HubReference.parse(sys.argv[1])).spec).read_bytes())
"""


def test_another_process_finds_the_hub_by_its_environment(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("someone/tiny", {"model.onnx": b"tiny"})
    command = [sys.executable, "-c", ELSEWHERE, "someone/tiny"]
    environment = os.environ | hub.environment(tmp_path / "home")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.stdout.strip() == "b'tiny'", done.stderr


def test_two_repositories_may_have_files_of_the_same_name(hub: LoopbackHub, tmp_path: Path) -> None:
    first, second = model("Xenova/modnet"), model("mattmdjaga/segformer_b2_clothes")
    paths = {fetch_weights(spec, tmp_path).read_bytes() for spec in (first, second)}
    assert len(paths) == 2
    assert first.weights.file == "Xenova/modnet/onnx/model.onnx"


# ------------------------------------------------------------------------------------------------- licences


@pytest.mark.parametrize(
    ("card", "id_", "commercial", "asks"),
    [
        ({"license": "apache-2.0"}, "apache-2.0", "yes", False),
        ({"license": "MIT"}, "mit", "yes", False),
        ({"license": ["mit"]}, "mit", "yes", False),
        ({"license": ["mit", "cc-by-nc-4.0"]}, "other", "unknown", False),
        ({"license": "cc-by-nc-sa-4.0"}, "cc-by-nc-sa-4.0", "no", True),
        ({"license": "agpl-3.0"}, "agpl-3.0", "conditional", False),
        ({"license": "cc-by-nc-4.0"}, "cc-by-nc-4.0", "no", True),
        ({"license": "other", "license_name": "bria-rmbg-1.4"}, "bria-rmbg-1.4", "no", True),
        ({"license": "other", "license_name": "My Non-Commercial"}, "my-non-commercial", "no", True),
        ({"license": "other", "license_name": "Whatever 1.0"}, "whatever-1.0", "unknown", False),
        ({"license": "other"}, "other", "unknown", False),
        ({"license": "acme"}, "acme", "unknown", False),
        ({}, "not-stated", "unknown", False),
        ({"license": "unknown"}, "not-stated", "unknown", False),
        ({"license": 7}, "not-stated", "unknown", False),
        ({"license": "é\u202e"}, "not-stated", "unknown", False),
    ],
)
def test_the_stated_licence_is_read(
    registry: Registry, card: dict[str, object], id_: str, commercial: str, asks: bool
) -> None:
    licence = licence_of(read_card(card), {model.licence.id: model.licence for model in registry.values()})
    assert (licence.id, licence.commercial, licence.needs_acceptance) == (id_, commercial, asks)


def test_only_a_safe_link_to_a_licence_is_taken() -> None:
    card = {"license": "other", "license_name": "Acme", "license_link": "https://acme.example/terms"}
    assert licence_of(read_card(card), {}).url == "https://acme.example/terms"
    assert licence_of(read_card({**card, "license_link": "javascript:alert(1)"}), {}).url == ""
    assert licence_of(read_card({**card, "license_link": "LICENSE"}), {}).url == ""


def test_a_licence_of_the_registry_holds_for_the_same_file_and_repository(hub: LoopbackHub, registry: Registry) -> None:
    repository = found("briaai/RMBG-1.4")
    spec = hub_model(repository, "onnx/model.onnx", registry.values())
    assert spec.licence == registry["rmbg-1.4"].licence
    with pytest.raises(WeightsError, match=r"licence that must be accepted first \(BRIA RMBG-1\.4"):
        fetch_weights(spec)
    known = registry["u2netp"].model_copy(
        update={"weights": registry["u2netp"].weights.model_copy(update={"sha256": spec.weights.sha256})}
    )
    assert hub_model(repository, "onnx/model.onnx", [known]).licence == known.licence
    assert registered_twin(spec, [known]) == known
    assert registered_twin(spec, registry.values()) is None
