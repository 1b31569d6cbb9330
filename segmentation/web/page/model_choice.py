"""The choice of the model: fast, fine or best for a task, and below that, all models."""

from typing import Any

import gradio as gr

from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.choice import TASKS, by_tier
from segmentation.web.page.controls import Controls, named
from segmentation.web.page.scripts import scripted
from segmentation.web.page.status import ON_SERVER
from segmentation.web.runs.offer import Offer
from segmentation.web.runs.offered import OfferedModels
from segmentation.web.texts import Say, file_size, speaker


class ModelChoice:
    """The tiers (`panel`), whose `select` event means that a visitor chose one, and the list of all models (`model`).

    The list's value is the chosen model; the panel only shows it.
    """

    def __init__(self, offered: OfferedModels, controls: Controls) -> None:
        """Lay out both in the current context."""
        self._offered = offered
        self.panel = scripted("model_choice", self.shown(offered.registry().default.id, speaker(None)))
        self.model = controls.model()

    def shown(self, chosen: Any, say: Say) -> dict[str, Any]:
        """What the panel shows: by task the model of each tier, with seconds and download, and all models.

        Args:
            chosen: Id of the chosen model.
            say: Translates into the visitor's language.
        """
        offers = {offer.spec.id: offer for offer in self._offered.offers()}
        if chosen not in offers and isinstance(chosen, str) and (other := self._offered.offer(chosen)):
            offers[other.spec.id] = other
        specs = [offer.spec for offer in offers.values()]
        tiers = {
            task: [
                _tier(tier, offers[spec.id], say)
                for tier, spec in by_tier(specs, task, lambda spec: offers[spec.id].refusal is not None).items()
            ]
            for task in TASKS
        }
        models = [
            {
                "id": offer.spec.id,
                "title": offer.spec.title,
                "label": _label(offer, say),
                "tasks": list(offer.spec.tasks),
                "tier": offer.spec.tier,
                "refused": offer.refusal is not None,
            }
            for offer in offers.values()
        ]
        return {"chosen": chosen, "tasks": {task: found for task, found in tiers.items() if found}, "models": models}

    def choices(self, say: Say, *chosen: str) -> list[tuple[str, str]]:
        """All models as choices of a list, those that cannot be used with the reason; and those that are chosen.

        Args:
            say: Translates into the visitor's language.
            chosen: Ids of models, which may not be on offer.
        """
        choices = [(_label(offer, say), offer.spec.id) for offer in self._offered.offers()]
        known = {model_id for _, model_id in choices}
        others = [model_id for model_id in dict.fromkeys(chosen) if model_id and model_id not in known]
        return [*choices, *((self._named(model_id), model_id) for model_id in others)]

    def refreshed(
        self, seen: list[str], chosen: str, compared: list[str], request: gr.Request
    ) -> tuple[Any, list[str]]:
        """A list of models with those that are on offer now and those that are chosen, if either changed.

        Args:
            seen: What this function returned for that list before.
            chosen: Id of the chosen model, which may not be on offer.
            compared: Ids of the models to compare.
            request: The visitor's.
        """
        registry = self._offered.registry()
        others = [model_id for model_id in (chosen, *(compared or [])) if model_id not in registry]
        state = [self._offered.folder_state(), *others]
        if state == seen:
            return gr.skip(), seen
        return gr.update(choices=self.choices(speaker(request), *others)), state

    def _named(self, model_id: str) -> str:
        spec = self._offered.named.known(model_id)
        return named(spec) if spec else model_id.partition("@")[0]

    def choose(self, event: gr.EventData) -> str:
        """The id of the model that a visitor chose in the panel.

        Raises:
            gr.Error: There is no such model.
        """
        try:
            return self._offered.registry()[event.index].id  # not trusted: set by the client
        except RegistryError as error:
            raise gr.Error(str(error), print_exception=False) from error


def _tier(tier: str, offer: Offer, say: Say) -> dict[str, Any]:
    size = file_size(offer.download_bytes)
    place = ON_SERVER if offer.on_disk else Message("{size} to download", size=size)
    return {
        "tier": tier,
        "id": offer.spec.id,
        "seconds": say(_seconds(offer)),
        "place": say(offer.refusal or place),
        "refused": offer.refusal is not None,
    }


def _seconds(offer: Offer) -> Message:
    value = offer.seconds.value
    text = f"{max(value, 0.1):.1f}" if value < 10 else f"{value:.0f}"
    return (
        Message("{seconds} s", seconds=text) if offer.seconds.measured else Message("about {seconds} s", seconds=text)
    )


def _label(offer: Offer, say: Say) -> str:
    return f"{offer.label}: {say(offer.refusal)}" if offer.refusal else offer.label
