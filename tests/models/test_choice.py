"""Which model a newcomer is offered, and which ones may be the default."""

import hashlib
from typing import Any

import pytest

from segmentation import Registry
from segmentation.models.choice import TASKS, TIERS, by_tier, default_candidates
from segmentation.models.spec import Licence, ModelSpec, Weights
from segmentation.network.speed import gmacs

FREE = Licence(id="free", name="Free", commercial="yes")
STRICT = Licence(id="strict", name="Ask first", commercial="no", needs_acceptance=True)


def spec(name: str, size: int = 1000, licence: Licence = FREE, **given: Any) -> ModelSpec:
    weights = Weights(file=f"{name}.onnx", size=size, sha256=hashlib.sha256(name.encode()).hexdigest())
    return ModelSpec(id=name, title=name, licence=licence, weights=weights, **{"tasks": ("general",)} | given)


def none_refused(_: ModelSpec) -> bool:
    return False


def test_each_tier_of_a_task_has_the_first_model_that_is_of_both() -> None:
    models = [
        spec("people", tasks=("people",), tier="fast"),
        spec("fine", tier="fine"),
        spec("fast", tier="fast", tasks=("people", "general")),
        spec("second", tier="fast"),
    ]
    offered = by_tier(models, "general", none_refused)
    assert list(offered) == ["fast", "fine"]
    assert {tier: model.id for tier, model in offered.items()} == {"fast": "fast", "fine": "fine"}
    assert by_tier(models, "clothes", none_refused) == {}


def test_a_model_that_can_be_used_comes_before_one_that_cannot() -> None:
    models = [spec("first", tier="best"), spec("second", tier="best")]
    assert by_tier(models, "general", lambda model: model.id == "first")["best"].id == "second"
    assert by_tier(models, "general", lambda _: True)["best"].id == "first"  # shown with the reason


def test_an_accepted_licence_does_not_put_a_model_before_free_ones() -> None:
    models = [spec("strict", licence=STRICT), spec("free")]
    assert by_tier(models, "general", none_refused)["fine"].id == "free"
    assert by_tier(models[:1], "general", none_refused)["fine"].id == "strict"


def test_the_best_tier_that_is_quick_enough_comes_first() -> None:
    seconds = {"fast": 0.3, "heavy": 1.0, "light": 0.9, "slow": 30.0}
    models = [
        spec("fast", tier="fast"), spec("light", tier="fine"), spec("heavy", tier="fine"), spec("slow", tier="best"),
    ]  # fmt: skip
    found = default_candidates(models, lambda model: seconds[model.id], 1 << 30)
    assert [model.id for model in found] == ["heavy", "light", "fast"]
    seconds["slow"] = 2.9
    assert default_candidates(models, lambda model: seconds[model.id], 1 << 30)[0].id == "slow"


@pytest.mark.parametrize(
    "unfit",
    [
        spec("people", tasks=("people",)),
        spec("own", tasks=("local",)),
        spec("strict", licence=STRICT),
        spec("large", size=(1 << 30) // 8 + 1),
    ],
    ids=lambda model: str(model.id),
)
def test_the_default_is_general_free_and_small_enough(unfit: ModelSpec) -> None:
    assert default_candidates([unfit, spec("fit")], lambda _: 1.0, 1 << 30) == [spec("fit")]


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_models_have_something_for_each_task(registry: Registry, task: Any) -> None:
    assert by_tier(registry.values(), task, none_refused)


def test_the_shipped_tiers_of_a_task_are_in_order_of_effort(registry: Registry) -> None:
    for task in TASKS:
        offered = by_tier(registry.values(), task, none_refused)
        efforts = [gmacs(offered[tier]) for tier in TIERS if tier in offered]
        assert efforts == sorted(efforts)


def test_newcomers_are_offered_these(registry: Registry) -> None:
    def ids(task: Any) -> list[str]:
        return [model.id for model in by_tier(registry.values(), task, none_refused).values()]

    assert ids("general") == ["u2netp", "isnet-general-use", "birefnet-general"]
    assert ids("people") == ["modnet", "ormbg", "birefnet-portrait"]
    assert ids("hair") == ["modnet", "ben2-base", "birefnet-matting"]
    assert ids("products") == ["u2netp", "isnet-general-use", "birefnet-general"]
    assert ids("drawings") == ["isnet-anime"]
    assert ids("clothes") == ["u2net_cloth_seg"]
    assert ids("prompt") == ["slimsam-77", "mobilesam"]
