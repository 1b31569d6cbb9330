"""The server's default model, decided once at start."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from segmentation.config import Config, names
from segmentation.models.choice import DEFAULT_SECONDS, default_candidates
from segmentation.models.reach import Answer, ask_hub, is_hub_off
from segmentation.models.registry import Registry
from segmentation.models.spec import HubSource, ModelSpec
from segmentation.models.weights import where_available
from segmentation.network.machine import available_memory

HUB_SECONDS = 1.0  # the start of the server waits no longer for the Hub


@dataclass(frozen=True, slots=True)
class Decision:
    """The default model, and what was learned."""

    model: ModelSpec
    reason: str
    """For the log."""
    hub: Answer | None
    """The Hub's last answer, "silent" if it is switched off; None if it was not asked."""


def decide(
    config: Config,
    registry: Registry,
    seconds: Callable[[ModelSpec], float],
    ask: Callable[[HubSource, float], Answer] = ask_hub,
) -> Decision:
    """The best general model that takes under three seconds here and whose weights can be had, or else the first one.

    The operator's choice comes first: with SEGMATTE_MODELS it is the first model named there.

    Args:
        config: The operator's configuration.
        registry: The models on offer.
        seconds: Returns what a model takes for a picture.
        ask: Asks the Hub for a file, with the seconds that may take.
    """
    first, unasked = registry.default, _unasked()
    if names(config.models):
        return Decision(first, "the first of SEGMATTE_MODELS", unasked)
    deadline = time.monotonic() + HUB_SECONDS
    answer: Answer | None = None
    missed: list[str] = []
    for spec in default_candidates(registry.values(), seconds, available_memory()):
        reason = f"the best general one in under {DEFAULT_SECONDS:.0f} s a picture"
        if where_available(spec, config.models_folder) is not None:
            return Decision(spec, _except(reason, missed), answer or unasked)
        left = deadline - time.monotonic()
        for source in [source for source in spec.weights.sources if isinstance(source, HubSource)][:1]:
            if answer != "silent" and left > 0:
                answer = ask(source, left)
            if answer == "yes":
                return Decision(spec, _except(f"{reason}, downloaded on first use", missed), answer)
        missed.append(spec.id)
    return Decision(
        first, _except("the first of the registry", [name for name in missed if name != first.id]), answer or unasked
    )


def _unasked() -> Answer | None:
    return "silent" if is_hub_off() else None


def _except(reason: str, missed: list[str]) -> str:
    return f"{reason}; {', '.join(missed)} cannot be downloaded now" if missed else reason
