"""The server's default model, and what is told about each model before and after its first run."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation.config import Config
from segmentation.models.reach import Answer
from segmentation.models.registry import Registry, load_offered
from segmentation.models.spec import HubSource, ModelSpec
from segmentation.network.providers import CPU
from segmentation.prediction import Prediction
from segmentation.web.runs.default_model import HUB_SECONDS, Decision, decide
from segmentation.web.runs.offered import OfferedModels
from tests import graphs

QUICK: dict[str, float] = {"u2netp": 0.3, "u2net": 1.0, "isnet-general-use": 2.4, "birefnet-general": 18.0}


def seconds(spec: ModelSpec) -> float:
    return QUICK.get(spec.id, 100.0)


def asking(**answers: Answer) -> tuple[list[tuple[str, float]], Callable[[HubSource, float], Answer]]:
    """What was asked, and a Hub that gives these answers by file; "yes" to all others."""
    asked: list[tuple[str, float]] = []

    def ask(source: HubSource, limit: float) -> Answer:
        asked.append((source.filename, limit))
        return answers.get(source.filename.removesuffix(".onnx").replace("-", "_"), "yes")

    return asked, ask


def decided(folder: Path, ask: Callable[[HubSource, float], Answer], **config: Any) -> Decision:
    configured = Config(models_folder=folder, device="cpu", **config)
    return decide(configured, load_offered(configured), seconds, ask)


def test_the_best_quick_model_that_the_hub_gives_is_the_default(tmp_path: Path) -> None:
    asked, ask = asking()
    decision = decided(tmp_path, ask)
    assert (decision.model.id, decision.hub) == ("isnet-general-use", "yes")
    assert "downloaded on first use" in decision.reason
    assert [name for name, _ in asked] == ["isnet-general-use.onnx"]
    assert all(0 < limit <= HUB_SECONDS for _, limit in asked)


def test_what_the_hub_does_not_give_is_passed_over(tmp_path: Path) -> None:
    asked, ask = asking(isnet_general_use="no")
    decision = decided(tmp_path, ask)
    assert decision.model.id == "u2net"
    assert "isnet-general-use cannot be downloaded now" in decision.reason
    assert len(asked) == 2


def test_without_a_hub_the_first_model_is_the_default_and_it_is_asked_once(tmp_path: Path) -> None:
    asked, ask = asking(isnet_general_use="silent")
    decision = decided(tmp_path, ask)
    assert (decision.model.id, decision.hub) == ("u2netp", "silent")
    assert "isnet-general-use, u2net cannot be downloaded now" in decision.reason
    assert len(asked) == 1


def test_nobody_is_asked_about_what_is_on_this_disk(tmp_path: Path, registry: Registry) -> None:
    weights = registry["isnet-general-use"].weights
    assert weights.size is not None
    with (tmp_path / weights.file).open("wb") as file:
        file.truncate(weights.size)  # a hole: takes no space
    asked, ask = asking()
    decision = decided(tmp_path, ask)
    assert (decision.model.id, asked) == ("isnet-general-use", [])


def test_the_operators_first_model_is_the_default(tmp_path: Path) -> None:
    asked, ask = asking()
    decision = decided(tmp_path, ask, models="birefnet-general,u2netp")
    assert (decision.model.id, asked) == ("birefnet-general", [])
    assert "SEGMATTE_MODELS" in decision.reason


# ------------------------------------------------------------------------------------------------- on offer


@pytest.fixture
def offered(tmp_path: Path) -> OfferedModels:
    graphs.brightness(tmp_path / "bright.onnx")
    return OfferedModels(Config(models_folder=tmp_path, device="cpu"))


def test_the_default_is_logged(offered: OfferedModels, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        OfferedModels(Config(models_folder=tmp_path, device="cpu"))
    (record,) = [record for record in caplog.records if "default model" in record.message]
    assert record.message.startswith("u2netp is the default model: the first of the registry")
    assert "isnet-general-use" in record.message


def test_every_model_says_what_newcomers_ask(offered: OfferedModels) -> None:
    models = {entry["id"]: entry for entry in offered.as_json()}
    assert [name for name, entry in models.items() if entry["default"]] == ["u2netp"]
    assert models["birefnet-matting"]["tasks"] == ["hair"]
    assert models["birefnet-matting"]["tier"] == "best"
    assert models["birefnet-general"]["download_bytes"] == models["birefnet-general"]["bytes"] == 972666916
    assert models["bright.onnx"]["download_bytes"] == 0
    assert all(entry["seconds"] > 0 and entry["seconds_measured"] is False for entry in models.values())
    assert models["u2netp"]["seconds"] < models["isnet-general-use"]["seconds"] < models["birefnet-general"]["seconds"]


def test_a_model_that_cannot_be_used_says_why(offered: OfferedModels) -> None:
    refusals = {entry["id"]: entry["refusal"] for entry in offered.as_json()}
    assert refusals["rmbg-1.4"] == "licence not accepted"
    assert refusals["birefnet-general"] == "cannot be downloaded now"  # these tests run with HF_HUB_OFFLINE
    assert refusals["modnet"] is None  # from a wheel
    assert refusals["bright.onnx"] is None


def test_a_hub_that_is_switched_off_gives_nothing_even_if_it_was_not_asked(tmp_path: Path) -> None:
    offered = OfferedModels(Config(models_folder=tmp_path, models="u2net,u2netp", device="cpu"))
    assert {entry["id"]: entry["refusal"] for entry in offered.as_json()} == {
        "u2net": "cannot be downloaded now",
        "u2netp": None,
    }


def test_a_hub_that_answers_again_is_noticed(offered: OfferedModels, monkeypatch: pytest.MonkeyPatch) -> None:
    offered.look_for_hub()
    assert offered.offer("birefnet-general").refusal == "cannot be downloaded now"  # type: ignore[union-attr]
    monkeypatch.setattr("segmentation.web.runs.offered.ask_hub", lambda *_: "no")  # an answer all the same
    offered.look_for_hub()
    assert offered.offer("birefnet-general").refusal is None  # type: ignore[union-attr]


def prediction(model: str, seconds: float | None) -> Prediction:
    timings = {} if seconds is None else {"network": seconds}
    return Prediction(
        maps={}, model=model, provider=CPU, provider_note="", network_memory=0, network_size=(1, 1), timings=timings,
        peak=1.0, warnings=(),
    )  # fmt: skip


def test_a_run_replaces_the_estimate_and_corrects_the_others(offered: OfferedModels) -> None:
    before = offered.offer("isnet-general-use")
    estimate = offered.offer("u2netp")
    assert before is not None
    assert estimate is not None
    offered.ran(prediction("u2netp", 10 * estimate.seconds.value), pictures=1)
    models = {entry["id"]: entry for entry in offered.as_json()}
    assert models["u2netp"]["seconds_measured"] is True
    assert models["u2netp"]["seconds"] == pytest.approx(10 * estimate.seconds.value, rel=0.01)
    assert models["isnet-general-use"]["seconds"] == pytest.approx(10 * before.seconds.value, rel=0.01)


@pytest.mark.parametrize(
    ("model", "measured", "pictures"),
    [("u2netp", 5.0, 10_000), ("u2netp", None, 1), ("gone", 5.0, 1)],
    ids=["one of many", "from the cache", "no longer on offer"],
)
def test_what_is_no_measure_of_a_picture_is_left_out(
    offered: OfferedModels, model: str, measured: float | None, pictures: int
) -> None:
    offered.ran(prediction(model, measured), pictures)
    assert not any(entry["seconds_measured"] for entry in offered.as_json())


def test_a_default_that_cannot_be_loaded_gives_way_to_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = graphs.make_spec(graphs.brightness(tmp_path / "first.onnx")).weights.model_dump(
        include={"size", "sha256"}
    )
    (tmp_path / "damaged.onnx").write_bytes(bytes(weights["size"]))
    source = {"type": "hub", "repo_id": "me/models", "filename": "model.onnx", "revision": "a" * 40}
    entries = [
        {
            "id": model_id, "title": model_id, "tasks": ["general"], "tier": tier, "licence": "mit",
            "weights": weights | {"file": file, "sources": [source]}, "input": {"size": [64, 64]},
        }
        for model_id, tier, file in (("u2netp", "fast", "first.onnx"), ("better", "best", "damaged.onnx"))
    ]  # fmt: skip
    extra = tmp_path / "registry.yaml"
    extra.write_text(yaml.safe_dump({"schema_version": 1, "models": entries}))
    offered = OfferedModels(Config(models_folder=tmp_path, registry=str(extra), device="cpu"))
    assert offered.registry().default.id == "better"
    caplog.set_level(logging.INFO)
    offered.load_default()
    assert offered.registry().default.id == "u2netp"
    assert "u2netp is the default model instead" in caplog.text
    assert offered.is_default_loaded
