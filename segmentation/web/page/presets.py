"""Presets: what most people want for a kind of picture, as recipes; a chip each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.models.choice import TIERS
from segmentation.models.spec import Task
from segmentation.recipe import DEFAULTS
from segmentation.web.page.controls import AUTO, COLOUR, Controls
from segmentation.web.page.edges import parameters
from segmentation.web.page.scripts import scripted
from segmentation.web.runs.offered import OfferedModels
from segmentation.web.texts import Say


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe: the task of its model, and the settings that differ from the defaults."""

    task: Task
    settings: Mapping[str, Any]


PRESETS: dict[str, Preset] = {
    "portrait": Preset("people", {"alpha_matting_erode_size": "auto"}),
    "fur": Preset("hair", parameters(75)),
    "product": Preset(
        "products",
        parameters(25) | {"background": "#ffffff", "canvas": "1:1", "shadow": "contact", "format": "jpeg"},
    ),
    "drawing": Preset("drawings", parameters(10) | {"decontaminate": True}),
}
NAMES = tuple(dict.fromkeys(name for preset in PRESETS.values() for name in preset.settings))
"""All settings that presets change: choosing one takes back what another did."""
CONTROLS = (*NAMES, AUTO, COLOUR)
"""Names of the controls that presets change."""


class Presets:
    """The chips (`panel`), whose `select` event means that a visitor chose one, or took it back."""

    def __init__(self, offered: OfferedModels, controls: Controls) -> None:
        """Lay out the chips in the current context."""
        self._offered, self._controls = offered, controls
        self.panel = scripted("presets", {name: values_of(preset.settings) for name, preset in PRESETS.items()})
        self.note = gr.Markdown("", elem_id="preset_note")
        self.model_before = gr.State("")  # for "Reset all settings"

    def choose(self, name: Any, model: str, before: str, say: Say) -> dict[Any, Any]:
        """The settings of a preset, and a model on this server for its task.

        Args:
            name: Of the preset; anything else takes back what any of them changed.
            model: Id of the chosen model.
            before: Id of the model that was chosen before any preset; "" if none changed it.
            say: Speaks the visitor's language.
        """
        preset = PRESETS.get(str(name))
        settings = dict(preset.settings) if preset else {}
        values = {name: value for name, value in values_of(settings).items() if name != "model"}
        update = {self._controls.by_name[name]: value for name, value in values.items()}
        chosen = (self._on_disk(preset.task, model) if preset else before) or model
        update[self._controls.by_name["model"]] = chosen
        update[self.model_before] = (before or model) if preset else ""
        names = ", ".join(say(Message(name)) for name in settings)
        text = Message("Changed: {names}. “Reset all settings” takes it back.", names=names)
        return update | {self.note: say(text) if preset else ""}

    def _on_disk(self, task: Task, now: str) -> str:
        """A model for a task that needs no download, of the tier of the present one or else the nearest; "" if none."""
        offers = [offer for offer in self._offered.offers() if offer.on_disk and offer.refusal is None]
        tiers = {offer.spec.id: TIERS.index(offer.spec.tier) for offer in offers}
        fitting = [offer.spec.id for offer in offers if task in offer.spec.tasks]
        if now in fitting:
            return now
        return min(fitting, key=lambda each: abs(tiers[each] - tiers.get(now, 0)), default="")


def values_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the controls for the settings of a preset, by name; of all that presets change."""
    values = {name: DEFAULTS[name] for name in NAMES} | dict(settings)
    values[AUTO] = values["alpha_matting_erode_size"] == "auto"
    if values[AUTO]:
        values["alpha_matting_erode_size"] = DEFAULTS["alpha_matting_erode_size"]
    if str(values["background"]).startswith("#"):
        values |= {"background": COLOUR, COLOUR: values["background"]}
    return values
