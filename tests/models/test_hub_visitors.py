"""What visitors may name on the Hub, how much of it, and what they find there."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from segmentation import Registry
from segmentation.config import Config
from segmentation.errors import SettingsError, WeightsError
from segmentation.models import hub_search
from segmentation.models.hub_disk import HubDisk
from segmentation.models.hub_downloads import DownloadTurns
from segmentation.models.hub_known import look_up
from segmentation.models.hub_model import hub_model, with_data
from segmentation.models.hub_policy import check_allowed, check_repository, is_allowed, nameable
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_search import HubHit, search_models
from segmentation.models.spec import HubSource, ModelSpec
from segmentation.models.weights import fetch_weights, where_available
from segmentation.settings import with_values
from tests.hub import TOKEN, LoopbackHub

# ------------------------------------------------------------------------------------------------- who may name what


@pytest.mark.parametrize(
    ("repo_id", "config", "allowed"),
    [
        ("Xenova/modnet", Config(), True),
        ("xenova/anything", Config(), True),
        ("tomjackson2023/rembg", Config(), True),  # of our registry
        ("tomjackson2023/other", Config(), True),
        ("stranger/model", Config(), False),
        ("stranger/Xenova", Config(), False),
        ("stranger/model", Config(hub_models="any"), True),
        ("Xenova/modnet", Config(hub_models="off"), False),
        ("stranger/model", Config(hub_listed="Stranger"), True),
        ("stranger/model", Config(hub_listed="stranger/model, other"), True),
        ("stranger/model-2", Config(hub_listed="stranger/model"), False),
        ("Xenova/modnet", Config(hub_listed="stranger"), False),
        ("Xenova/modnet", Config(models="u2netp"), False),  # the operator chose what to offer
        ("Xenova/modnet", Config(models="u2netp", hub_models="listed"), True),
        ("stranger/model", Config(models="u2netp", hub_models="any"), True),
    ],
)
def test_visitors_may_name_what_the_operator_lists(repo_id: str, config: Config, allowed: bool) -> None:
    reference = HubReference(repo_id)
    assert is_allowed(reference, config) is allowed
    if allowed:
        check_allowed(reference, config)
    else:
        with pytest.raises(SettingsError, match=r"not among the Hub models that|operator has switched that off"):
            check_allowed(reference, config)


def test_naming_the_models_switches_the_hub_off_however_the_configuration_was_made() -> None:
    environment = {"SEGMATTE_MODELS": "u2netp"}
    assert nameable(Config.from_environment(environment)) == "off"
    assert nameable(with_values(Config.from_environment(environment), device="cpu")) == "off"
    chosen = Config.from_environment(environment | {"SEGMATTE_HUB_MODELS": "listed"})
    assert nameable(with_values(chosen, device="cpu")) == "listed"
    assert nameable(Config()) == "listed"


def test_a_listed_name_that_moved_elsewhere_is_refused(hub: LoopbackHub) -> None:
    hub.moved["Xenova/gone"] = "someone/rembg"
    reference = HubReference("Xenova/gone")
    check_allowed(reference, Config())
    with pytest.raises(SettingsError, match="someone/rembg is not among the Hub models"):
        check_repository(look_up(reference), Config())


def test_what_only_the_operators_token_opens_must_be_listed(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    repository = look_up(HubReference("someone/secret"))
    with pytest.raises(SettingsError, match=r"^There is no model someone/secret on the Hub, or it is private\.$"):
        check_repository(repository, Config(hub_models="any"))
    check_repository(repository, Config(hub_listed="someone/secret"))


# ------------------------------------------------------------------------------------------------- one at a time


def test_a_visitor_downloads_one_model_at_a_time() -> None:
    turns = DownloadTurns()
    with turns.turn("ann"):
        with pytest.raises(WeightsError, match="already downloading a model"), turns.turn("ann"):
            pass
        with turns.turn("bob"):
            pass
    with turns.turn("ann"):
        pass


def test_all_visitors_together_download_few_models_at_a_time() -> None:
    turns = DownloadTurns(at_once=1)
    with turns.turn("ann"), pytest.raises(WeightsError, match="Other visitors are downloading"), turns.turn("bob"):
        pass
    with pytest.raises(ValueError, match="failed"), turns.turn("bob"):
        raise ValueError("failed")
    with turns.turn("bob"):
        pass


# ------------------------------------------------------------------------------------------------- room on the disk

SIZE = 1000


@pytest.fixture
def bring(hub: LoopbackHub, tmp_path: Path) -> Callable[..., ModelSpec]:
    """Names a model as a visitor would, holding it while it is fetched."""

    def named(disk: HubDisk, name: str, size: int = SIZE) -> ModelSpec:
        repo_id = f"someone/{name}"
        if repo_id not in hub.repositories:
            hub.add(repo_id, {"model.onnx": name.encode().ljust(size, b".")})
        spec = hub_model(look_up(HubReference(repo_id)), "model.onnx")
        with disk.holding(spec):
            fetch_weights(spec, tmp_path)
        return spec

    return named


def test_the_least_recently_used_model_makes_room(bring: Callable[..., ModelSpec], tmp_path: Path) -> None:
    disk = HubDisk(2 * SIZE)
    first, second = bring(disk, "first"), bring(disk, "second")
    assert disk.used() == 2 * SIZE
    bring(disk, "first")  # used again
    third = bring(disk, "third")
    assert [where_available(spec, tmp_path) is not None for spec in (first, second, third)] == [True, False, True]
    assert disk.used() == 2 * SIZE
    blobs = [path for path in Path(constants.HF_HUB_CACHE).glob("models--*/blobs/*") if path.stat().st_size == SIZE]
    assert len(blobs) == 2
    assert HubDisk(2 * SIZE).used() == 2 * SIZE  # another process counts the same


def test_a_model_in_use_stays(bring: Callable[..., ModelSpec], tmp_path: Path) -> None:
    loaded = list[str]()
    disk = HubDisk(2 * SIZE, loaded=lambda: loaded)
    first, second = bring(disk, "first"), bring(disk, "second")
    loaded.append(first.id)
    bring(disk, "third")
    assert where_available(first, tmp_path) is not None
    assert where_available(second, tmp_path) is None
    with disk.holding(look_up_spec("someone/third")), pytest.raises(WeightsError, match="There is no room for second"):
        bring(disk, "second")


def look_up_spec(repo_id: str) -> ModelSpec:
    return hub_model(look_up(HubReference(repo_id)), "model.onnx")


def test_a_model_larger_than_the_budget_is_refused_and_displaces_nothing(
    bring: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    disk = HubDisk(2 * SIZE)
    first = bring(disk, "first")
    with pytest.raises(WeightsError, match=r"There is no room for giant: models on the Hub may take 0 MB here"):
        bring(disk, "giant", 3 * SIZE)
    assert where_available(first, tmp_path) is not None


def test_what_was_there_before_and_what_the_registry_needs_is_never_deleted(
    hub: LoopbackHub, bring: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    for name in ("operators", "registered"):
        hub.add(f"someone/{name}", {"model.onnx": name.encode().ljust(SIZE, b".")})
    commit = hub.repositories["someone/operators"].main.id
    hf_hub_download("someone/operators", "model.onnx", revision=commit)
    source = HubSource(type="hub", repo_id="someone/registered", filename="model.onnx", revision="0" * 40)
    registered = look_up_spec("someone/registered")
    entry = registered.model_copy(update={"weights": registered.weights.model_copy(update={"sources": (source,)})})
    disk = HubDisk(SIZE, registry=[entry])
    operators = bring(disk, "operators")
    bring(disk, "registered")
    assert disk.used() == 0
    bring(disk, "first")
    bring(disk, "second")
    assert where_available(operators, tmp_path) is not None
    assert where_available(registered, tmp_path) is not None


def test_data_files_are_counted_and_deleted_and_other_commits_keep_what_they_share(
    hub: LoopbackHub, bring: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    hub.add("someone/wide", {"model.onnx": b"graph", "model.onnx_data": b"d" * SIZE})
    hub.add("someone/wide", {"model.onnx": b"graph", "other": b"x"}, branch="v2")
    repository = look_up(HubReference("someone/wide"))
    spec = with_data(hub_model(repository, "model.onnx"), repository, ["model.onnx_data"])
    later = hub_model(look_up(HubReference("someone/wide", "v2")), "model.onnx")
    disk = HubDisk(2 * SIZE)
    for model in (spec, later):
        with disk.holding(model):
            path = fetch_weights(model, tmp_path)
    assert disk.used() == SIZE + 2 * len(b"graph")
    bring(disk, "second", 2 * SIZE - 10)
    assert where_available(spec, tmp_path) is None
    assert path.read_bytes() == b"graph"
    assert not list(Path(constants.HF_HUB_CACHE).glob(f"models--someone--wide/blobs/{spec.weights.data[0].sha256}"))


def test_a_download_that_broke_off_leaves_nothing_behind_once_room_is_needed(
    hub: LoopbackHub, bring: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    disk = HubDisk(SIZE)
    hub.add("someone/broken", {"model.onnx": b"b" * SIZE})
    spec = look_up_spec("someone/broken")
    blobs = Path(constants.HF_HUB_CACHE) / "models--someone--broken" / "blobs"
    with disk.holding(spec):
        blobs.mkdir(parents=True)
        (blobs / f"{spec.weights.sha256}.incomplete").write_bytes(b"b" * 500)
    bring(disk, "first")
    assert list(blobs.iterdir()) == []


def test_many_visitors_at_once_stay_within_the_budget(bring: Callable[..., ModelSpec]) -> None:
    disk = HubDisk(3 * SIZE)
    threads = [threading.Thread(target=bring, args=(disk, f"model-{number}")) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disk.used() == 3 * SIZE
    bring(disk, "model-9")
    assert disk.used() == 3 * SIZE


# ------------------------------------------------------------------------------------------------- search


def test_models_are_found_by_words_the_most_downloaded_first(hub: LoopbackHub) -> None:
    hits = search_models("  RMBG ")
    assert [hit.repo_id for hit in hits] == ["briaai/RMBG-1.4", "briaai/RMBG-2.0"]
    assert hits[0] == HubHit("briaai/RMBG-1.4", 9000, "other")
    assert search_models("modnet") == (HubHit("Xenova/modnet", 5000, "apache-2.0"),)
    assert search_models("nothing of that name") == ()


def test_only_segmentation_models_in_onnx_are_found(hub: LoopbackHub) -> None:
    found = {hit.repo_id for hit in search_models("")}
    assert "Xenova/slimsam-77-uniform" not in found
    assert "ZhengPeng7/BiRefNet" not in found
    assert {"Xenova/modnet", "opencv/human_segmentation_pphumanseg"} <= found


def test_what_may_not_be_used_is_not_found(hub: LoopbackHub) -> None:
    config = Config(hub_listed="Xenova")
    hits = search_models("", allowed=lambda reference: is_allowed(reference, config))
    assert [hit.repo_id for hit in hits] == ["Xenova/modnet"]


def test_the_same_words_are_asked_once(hub: LoopbackHub) -> None:
    search_models("modnet")
    asked = hub.asked.total()
    search_models(" MODNET")
    assert hub.asked.total() == asked
    assert len(search_models("", most=2)) == 2


def test_a_search_without_the_hub_gets_a_sentence(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "down", True)
    with pytest.raises(WeightsError, match=r"^The search on the Hub failed: the Hub answered 503\.$"):
        search_models("modnet")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"^The search on the Hub failed: the Hub is switched off"):
        search_models("modnet")


@pytest.mark.parametrize(
    "entry", [None, "x", {}, {"id": "only-a-name"}, {"id": "a/b@c"}, {"id": "a/b", "private": True}, {"id": 7}]
)
def test_odd_entries_of_an_answer_are_left_out(entry: object) -> None:
    assert hub_search._hit(entry) is None


def test_the_registrys_owners_are_among_the_listed(registry: Registry) -> None:
    owners = {s.repo_id for m in registry.values() for s in m.weights.sources if isinstance(s, HubSource)}
    assert owners
    assert all(is_allowed(HubReference(owner), Config()) for owner in owners)
