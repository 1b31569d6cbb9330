"""A visit: what the page shows when it is loaded, and when a visitor changes everything at once."""

from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.web.page.controls import linked_correction
from segmentation.web.page.layout import Layout
from segmentation.web.page.own_planes import Waiting
from segmentation.web.page.screen import Screen
from segmentation.web.page.status import card, line
from segmentation.web.runs.run import Run
from segmentation.web.texts import speaker


class Visit:
    """Handlers of loading the page, of resetting it, and of another model."""

    def __init__(self, layout: Layout, screen: Screen) -> None:
        """Take what they work with."""
        self._layout, self._service, self._controls = layout, layout.service, layout.controls
        self._screen = screen

    def restore(self, saved: Any, request: gr.Request) -> list[Any]:
        """The settings in the page's link, or else those that this browser stored."""
        say, controls = speaker(request), self._controls
        query = dict(request.query_params)
        recipe, warning = controls.from_link(query)
        said, problem = linked_correction(query)
        values = controls.values_of(recipe) if recipe else controls.restored(saved)
        # files may have been added to the models folder since the page was built
        values["classes"] = controls.class_chips(values["model"], values["classes"])
        choices = self._layout.choice.choices(say, values["model"])
        values["model"] = gr.Dropdown(choices, value=values["model"])
        # Plain values: for component updates, Gradio would create new components without our changes to them
        told = " ".join(map(say, filter(None, (warning, problem))))
        return [*(values[name] for name in controls.stored_names), line(told), Waiting(said)]

    def resume(self, run_id: Any, request: gr.Request) -> dict[Any, Any]:
        """The results that this browser had before the page was reloaded."""
        screen = self._screen
        if not run_id:
            return screen.nothing()
        say = speaker(request)
        run = self._service.shown.resume(run_id)
        if run is None:
            expired = Message("Your last results have expired: they are kept for {minutes} minutes.",
                              minutes=self._service.config.keep_minutes)  # fmt: skip
            return screen.say(say(expired), "expired", say) | {screen.run_id: ""}
        run.view.reset()
        sources = [str(source) for source in run.predictions.sources if source.is_file()]
        held = {self._layout.pictures.gallery: sources, screen.last_run: run}
        return held | screen.progress(run, say) | screen.cutouts(run, say)

    def reset(self, model: str, before: str) -> list[Any]:
        """Reset all settings to their defaults. The model stays, unless a preset changed it."""
        values = self._controls.restored({"model": before or model})
        return [*(values[name] for name in self._controls.stored_names), "", ""]

    def choose_preset(self, model: str, before: str, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        """Choose a preset, or take it back."""
        return self._layout.presets.choose(event.index, model, before, speaker(request))

    def continue_with(
        self, columns: list[Any], last: Run | None, request: gr.Request, event: gr.EventData
    ) -> dict[Any, Any]:
        """Select the chosen model. Its cutout is shown and can be tuned, unless that would replace a batch."""
        say, screen, controls = speaker(request), self._screen, self._controls
        column, run = self._layout.comparison.choose(columns, event, say)
        contract = controls.by_name["contract"]
        chosen = {self._layout.model: column.model, contract: run.recipe.settings.contract}
        if last and last.total > 1:
            text = Message(
                "{name} selected. Press Cut out to use it for all {total} pictures.",
                name=column.title, total=last.total,
            )  # fmt: skip
            return chosen | screen.say(say(text))
        if last and last is not run and not any(other.run is last for other in columns):
            self._service.shown.leave(last)
        run.view.reset()
        status = screen.say(say(Message("Continuing with {name}.", name=column.title)), "done")
        return chosen | {screen.last_run: run} | status | screen.cutouts(run, say)

    def show_model(self, model_id: str, request: gr.Request) -> tuple[str, dict[str, Any]]:
        """Description and terms of the chosen model, and its place among the others."""
        say = speaker(request)
        return card(self._service.offered.offer(model_id), say), self._layout.choice.shown(model_id, say)

    def order_classes(self, model_id: str, run: Run | None) -> Any:
        """The chips of a model's classes, those in the pictures of a run first. What is chosen stays as it is."""
        found = {name for each in run.predictions.by_picture.values() for name in each.maps} if run else ()
        return gr.update(choices=self._controls.class_choices(model_id, found))
