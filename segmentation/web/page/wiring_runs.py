"""Connects what makes cutouts: runs, tuning, comparison, downloads."""

from functools import partial
from typing import Any

import gradio as gr

from segmentation.settings import NETWORK_SETTINGS
from segmentation.web.events import shown_errors
from segmentation.web.page.own_planes import Kind
from segmentation.web.page.presets import CONTROLS
from segmentation.web.page.scripts import handler
from segmentation.web.page.wired import EACH, HIDDEN, LIVE, SELECTED, UNQUEUED, Wired


def connect_autostart(wired: Wired, demo: gr.Blocks) -> None:
    """Pictures that a visitor adds are cut out at once, unless this browser remembers that they should not be."""
    layout = wired.layout
    in_browser: dict[str, Any] = {"queue": False, "api_visibility": "private"}
    demo.load(None, None, layout.autostart, js=handler("wantsAutostart"), **in_browser)
    layout.autostart.change(None, layout.autostart, None, js=handler("keepAutostart"), **in_browser)
    gallery = layout.pictures.gallery
    gallery.change(None, [gallery, layout.autostart], None, js=handler("tellPictures"), **in_browser)


def connect_runs(wired: Wired) -> list[Any]:
    """Cut out, try again, apply to all, stop."""
    layout, screen, cutting, own = wired.layout, wired.screen, wired.handlers.cutting, wired.layout.own
    gallery = layout.pictures.gallery
    # `multiple`: pictures may be added while others are cut out
    running = [
        begin(
            shown_errors(screen.told(cutting.run)), [gallery, screen.last_run, own.waiting, *wired.values],
            [*screen.results, screen.last_run, screen.run_id], js=handler("beginRun"), trigger_mode="multiple",
            **wired.queued,
        )
        for begin in (layout.run_button.click, layout.pictures.example_chosen.then)
    ]  # fmt: skip
    again = screen.viewer.submit(
        shown_errors(screen.told(cutting.retry)),
        [gallery, screen.last_run, *wired.values],
        screen.results,
        **wired.queued,
    )
    applying = layout.apply_button.click(
        shown_errors(screen.told(cutting.apply_to_all)), [screen.last_run, *wired.values], screen.results,
        **wired.queued | {"show_progress": "minimal"},
    )  # fmt: skip
    for run in running:
        run.then(own.show, [screen.selected, screen.last_run], own.outputs, **SELECTED, **UNQUEUED)
    for run in running:
        run.then(None, None, None, js=handler("endRun"), **UNQUEUED)
    for event in (*running, again, applying):
        event.then(None, None, None, js=handler("tellEnd"), queue=False, api_visibility="private")
    layout.stop_button.click(
        cutting.stop, screen.last_run, [screen.status, screen.last_run],
        cancels=[*running, again, applying, connect_compares(wired)], **UNQUEUED,
    ).then(None, None, None, js=handler("endRun"), **UNQUEUED)  # fmt: skip
    return running


def connect_compares(wired: Wired) -> Any:
    """Models side by side."""
    layout, screen, comparison = wired.layout, wired.screen, wired.layout.comparison
    comparing = comparison.button.click(
        shown_errors(comparison.compare),
        [screen.selected, screen.last_run, comparison.columns, layout.pictures.gallery, comparison.models,
         *wired.values],
        [comparison.panel, comparison.columns], **SELECTED,
        **wired.queued | {"show_progress_on": comparison.panel, "show_progress": "minimal"},
    )  # fmt: skip
    for judge in (comparing.then, comparison.truth.change):
        judge(
            shown_errors(comparison.judge), [comparison.columns, comparison.truth], comparison.panel,
            concurrency_id="judge", concurrency_limit=wired.limit, **HIDDEN,
        )  # fmt: skip
    comparison.panel.select(
        wired.handlers.visit.continue_with, [comparison.columns, screen.last_run],
        [layout.model, layout.controls.by_name["contract"], screen.last_run, *screen.results], **UNQUEUED,
    ).then(None, None, None, js=handler("showCutouts"), **UNQUEUED)  # fmt: skip
    return comparing


def connect_changes(wired: Wired) -> None:
    """Whatever changes the selected cutout: settings, strokes, masks of the visitor's own."""
    layout, screen, own, tuning = wired.layout, wired.screen, wired.layout.own, wired.handlers.tuning
    gallery = layout.pictures.gallery
    # settings that require running the network again are not tuned live
    tunable = [
        # chips also change with the model, which is not yet that of the cutouts
        control.input if name == "classes" else control.change
        for name, control in layout.controls.by_name.items()
        if name not in ("model", *NETWORK_SETTINGS)
    ]
    presets, model = layout.presets, layout.model
    touched = [layout.controls.by_name[name] for name in ("model", *CONTROLS)]
    presets.panel.select(
        wired.handlers.visit.choose_preset, [model, presets.model_before],
        [*touched, presets.model_before, presets.note], **EACH,
    )  # fmt: skip
    resetting = layout.reset_button.click(
        wired.handlers.visit.reset, [model, presets.model_before],
        [*wired.stored, presets.model_before, presets.note], **UNQUEUED,
    )  # fmt: skip
    corrected = screen.viewer.edit(tuning.correct, screen.last_run, screen.status, **EACH)
    kinds: tuple[tuple[Kind, Any], ...] = ("mask", own.take_mask), ("trimap", own.take_trimap)
    planes = [
        own.uploads[kind].upload(
            take, [screen.selected, own.uploads[kind], gallery, screen.last_run, own.waiting], own.outputs,
            concurrency_id="planes", concurrency_limit=wired.limit, **SELECTED, **HIDDEN,
        )
        for kind, take in kinds
    ]  # fmt: skip
    held = [screen.selected, gallery, screen.last_run, own.waiting]
    planes.append(own.remove.click(own.drop, held, own.outputs, **SELECTED, **UNQUEUED))
    for begin in (partial(gr.on, tunable), resetting.then, corrected.then, *(event.then for event in planes)):
        begin(
            tuning.preview, [screen.selected, screen.last_run, layout.live, *wired.values],
            [layout.preview_data, screen.status], concurrency_id="preview", concurrency_limit=2 * wired.limit,
            **SELECTED, **LIVE,
        ).then(tuning.tune, [screen.last_run, layout.live], screen.results, **wired.tuning, **LIVE)  # fmt: skip
    screen.viewer.select(
        own.show, [screen.selected, screen.last_run], own.outputs, **SELECTED,
        **UNQUEUED | {"trigger_mode": "always_last"},
    )  # fmt: skip


def connect_downloads(wired: Wired) -> None:
    """Everything in one ZIP, and the question before it."""
    layout, screen, download = wired.layout, wired.screen, wired.layout.download
    packing: dict[str, Any] = {
        "concurrency_id": "pack", "concurrency_limit": wired.limit, "show_progress_on": screen.status,
        "api_visibility": "private",
    }  # fmt: skip
    pack = shown_errors(download.pack)
    gr.on(  # with all strokes, even those of a moment ago
        [layout.zip_button.click, layout.export_zip_button.click],
        wired.handlers.tuning.catch_up,
        screen.last_run,
        screen.results,
        **wired.tuning,
        **HIDDEN,
    ).then(shown_errors(download.pack_or_ask), [screen.last_run, *wired.values], download.outputs, **packing)
    download.as_is.click(pack, screen.last_run, download.outputs, **packing)
    download.apply.click(lambda: gr.update(visible=False), None, download.question, **UNQUEUED)
    download.apply.click(
        shown_errors(screen.told(wired.handlers.cutting.apply_to_all)), [screen.last_run, *wired.values],
        screen.results, **wired.queued | {"show_progress": "minimal"},
    ).success(pack, screen.last_run, download.outputs, **packing)  # fmt: skip
