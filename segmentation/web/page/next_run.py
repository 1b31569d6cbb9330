"""Settings that only running the network again can bring: the model, and what the network is given."""

from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.recipe import Recipe, write_value
from segmentation.web.page.controls import TEXT_FIELDS, Controls
from segmentation.web.page.screen import Screen
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import speaker

NEXT_RUN = Message("This setting takes effect the next time you press Cut out.")


class NextRun:
    """Tells which settings wait for a run, and which of them cannot work."""

    def __init__(self, service: Service, controls: Controls, screen: Screen, problems: Any) -> None:
        """Take what it works with; `problems` shows messages at fields."""
        self._service, self._controls, self._screen, self._problems = service, controls, screen, problems

    def needed_for(self, predictions: Predictions, recipe: Recipe) -> Message | None:
        """Why a recipe needs a new run; None if it does not."""
        if predictions.recipe.model != recipe.model:
            return self._selected(recipe.model)
        return None if predictions.is_reusable_for(recipe) else NEXT_RUN

    def model_selected(self, model: str, run: Run | None, request: gr.Request) -> dict[Any, Any]:
        """Tell the visitor that selecting another model does nothing until the next run."""
        if run is None or run.predictions.recipe.model == model:
            return self._screen.nothing()
        return self._screen.say(speaker(request)(self._selected(model)))

    def text_changed(self, run: Run | None, request: gr.Request, model: str, *texts: str) -> dict[Any, Any]:
        """Problems of the text fields; if there are none, the status that a change takes effect in the next run."""
        say = speaker(request)
        problems = self.field_problems(request, model, *texts)
        update = {self._problems: problems}
        if run is None or run.is_at_work or run.predictions.recipe.model != model:
            return update
        used = run.predictions.recipe.settings
        same = tuple(write_value(getattr(used, name)) for name in TEXT_FIELDS) == tuple(text.strip() for text in texts)
        return update | (self._screen.progress(run, say) if problems or same else self._screen.say(say(NEXT_RUN)))

    def field_problems(self, request: gr.Request, model: str, *texts: str) -> dict[str, str]:
        """Text fields whose values are invalid, in general or for this model: field -> message."""
        say = speaker(request)
        by_field = dict(zip(TEXT_FIELDS, texts, strict=True))
        return {name: say(text) for name, text in self._controls.problems(model, by_field)}

    def _selected(self, model: str) -> Message:
        spec = self._service.offered.named.known(model)
        return Message("{name} selected. Press Cut out to use it.", name=spec.title if spec else model[:60])
