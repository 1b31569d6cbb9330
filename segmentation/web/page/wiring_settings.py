"""Connects the settings with one another: the model, the edges, and what the browser stores."""

from typing import Any

import gradio as gr

from segmentation.web.page.controls import AUTO, TEXT_FIELDS
from segmentation.web.page.edges import PARAMETERS
from segmentation.web.page.scripts import handler
from segmentation.web.page.wired import EACH, HIDDEN, LIVE, SELECTED, UNQUEUED, Wired


def connect_edges(wired: Wired) -> None:
    """The two sliders for the edges and the parameters that they write, each of which follows the other."""
    layout, by_name = wired.layout, wired.layout.controls.by_name
    own, trust = [by_name[name] for name in PARAMETERS], by_name["trust_mask"]
    in_browser: dict[str, Any] = {"queue": False, "api_visibility": "private"}
    for slider, controls, writes, reads in (
        (layout.softness, [*own, by_name[AUTO]], "edgesFor", "softnessOf"),
        (layout.follow, [trust], "followFor", "followOf"),
    ):
        slider.input(None, [layout.facts, slider], controls, js=handler(writes), **in_browser)
        gr.on([each.change for each in controls], None, [layout.facts, *controls], slider, js=handler(reads),
              **in_browser)  # fmt: skip


def connect_models(wired: Wired, running: list[Any]) -> None:
    """The chosen model, and all that depends on it."""
    layout, screen, visit, next_run = wired.layout, wired.screen, wired.handlers.visit, wired.handlers.next_run
    model, choice, other = layout.model, layout.choice, layout.other
    chips = layout.controls.by_name["classes"]
    for event in (model.change, *(run.then for run in running)):
        event(visit.show_model, model, [layout.card, choice.panel], **UNQUEUED)
    model.change(layout.controls.class_chips, [model, chips], chips, **UNQUEUED)
    for run in running:
        run.then(visit.order_classes, [model, screen.last_run], chips, **UNQUEUED)
    choosing = choice.panel.select(choice.choose, None, model, **EACH)
    for event in (model.input, choosing.then):
        event(next_run.model_selected, [model, screen.last_run], screen.status, **UNQUEUED)
    held = [layout.pictures.gallery, screen.last_run]
    looking = SELECTED | HIDDEN | {"concurrency_id": "look", "concurrency_limit": 2 * wired.limit}
    looks = [
        other.panel.submit(other.act, [screen.selected, other.looked, *held], other.outputs, **looking),
        model.input(other.unfold, model, layout.other_fold, **UNQUEUED).then(
            other.name, [screen.selected, model, other.looked, *held], other.outputs, **looking
        ),
        other.upload.upload(other.uploaded, [screen.selected, other.upload, *held], other.outputs, **looking),
    ]
    other.panel.stop(other.stop, other.looked, other.outputs, cancels=looks, **UNQUEUED)
    contract = layout.controls.by_name["contract"]
    choosing.then(other.contract_of, [other.looked, model], contract, **UNQUEUED)
    # a file may be added to the models folder later, and another model looked up
    on_disk = layout.service.offered.folder_state()
    for list_ in (model, layout.comparison.models):
        seen = gr.State([on_disk])
        list_.focus(choice.refreshed, [seen, model, layout.comparison.models], [list_, seen], **UNQUEUED)
    text_fields = [layout.controls.by_name[name] for name in TEXT_FIELDS]
    gr.on(
        [control.change for control in text_fields], next_run.text_changed, [screen.last_run, model, *text_fields],
        [layout.problems, screen.status], **UNQUEUED | {"trigger_mode": "always_last"},
    )  # fmt: skip
    model.change(next_run.field_problems, [model, *text_fields], layout.problems, **UNQUEUED)


def connect_storage(wired: Wired, demo: gr.Blocks) -> None:
    """What is kept in this browser, and what the page shows when it is loaded."""
    layout, screen, own, visit = wired.layout, wired.screen, wired.layout.own, wired.handlers.visit
    stored = wired.stored
    changes = [control.change for control in stored]
    gr.on(
        changes, None, [layout.facts, wired.settings, *stored], wired.settings, js=handler("keepSettings"), **UNQUEUED
    )
    triggers = [layout.code_fold.expand, layout.pictures.gallery.change, *changes]
    layout.code.follow(triggers, layout.pictures, screen.last_run)
    loaded = demo.load(visit.restore, wired.settings, [*stored, screen.status, own.waiting], **UNQUEUED)
    loaded.then(visit.show_model, layout.model, [layout.card, layout.choice.panel], **UNQUEUED)
    resumed = loaded.then(
        visit.resume, screen.run_id,
        [layout.pictures.gallery, screen.last_run, *screen.results, screen.run_id], **UNQUEUED,
    )  # fmt: skip
    resumed.then(wired.handlers.tuning.catch_up, screen.last_run, screen.results, **wired.tuning, **LIVE)
    resumed.then(own.show, [screen.selected, screen.last_run], own.outputs, **SELECTED, **UNQUEUED)
