"""Which model a newcomer gets: fast, fine or best for a task, and the default."""

from collections.abc import Callable, Iterable, Mapping
from typing import get_args

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.models.spec import ModelSpec, Task, Tier

TASKS: tuple[Task, ...] = tuple(task for task in get_args(Task) if task != "local")
TIERS: tuple[Tier, ...] = get_args(Tier)  # from the quickest

DEFAULT_SECONDS = 3.0
"""The default model takes less for a picture."""

_MEMORY_OF_WEIGHTS = 8  # IS-Net (179 MB) holds 1.35 GB after a run, BiRefNet (973 MB) needs about 8 GB


def by_tier(
    models: Iterable[ModelSpec], task: Task, is_refused: Callable[[ModelSpec], bool]
) -> Mapping[Tier, ModelSpec]:
    """The model to offer for each tier of a task; tiers without any are left out.

    Of several, the first is taken that can be used, preferably under a licence that needs no acceptance.

    Args:
        models: The models, preferred ones first.
        task: The task.
        is_refused: Whether a model cannot be used here.
    """
    fitting = [spec for spec in models if task in spec.tasks]
    offered: dict[Tier, ModelSpec] = {}
    for tier in TIERS:
        if candidates := [spec for spec in fitting if spec.tier == tier]:
            offered[tier] = min(candidates, key=lambda spec: (is_refused(spec), spec.licence.needs_acceptance))
    return offered


def default_candidates(
    models: Iterable[ModelSpec], seconds: Callable[[ModelSpec], float], memory: int
) -> list[ModelSpec]:
    """General models that may be the default, the best first: by tier, then the one that computes longest.

    They are quick and small enough for this machine, and their licences need no acceptance. Whether their weights can
    be had is for the caller to find out, as that takes time.

    Args:
        models: The models.
        seconds: Returns what a model takes for a picture.
        memory: Bytes of memory of this machine.
    """
    fitting = [
        spec
        for spec in models
        if "general" in spec.tasks
        and not spec.licence.needs_acceptance
        and _MEMORY_OF_WEIGHTS * spec.weights.total <= memory
        and seconds(spec) < DEFAULT_SECONDS
    ]
    return sorted(fitting, key=lambda spec: (TIERS.index(spec.tier), seconds(spec)), reverse=True)


def promptable_of(models: Mapping[str, ModelSpec], model_id: str) -> ModelSpec:
    """The model of this id, if it is promptable.

    Args:
        models: By id.
        model_id: The setting `prompt_model`.

    Raises:
        RegistryError: There is no such model.
        SettingsError: It is not promptable.
    """
    spec = models[model_id]
    if spec.prompt is None:
        others = ", ".join(other.id for other in models.values() if other.prompt)
        raise SettingsError(
            Message(
                "{title} does not take clicks. Choose one of these models for them: {models}.",
                title=spec.title, models=others or "-",
            )
        )  # fmt: skip
    return spec
