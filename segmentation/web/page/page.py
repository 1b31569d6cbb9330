"""The page: its layout, what it remembers, and its event handlers."""

import gradio as gr

from segmentation.web.api import add_api
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.model_api import add_model_api
from segmentation.web.page.cutting import Cutting
from segmentation.web.page.layout import Layout
from segmentation.web.page.live_tuning import LiveTuning
from segmentation.web.page.next_run import NextRun
from segmentation.web.page.screen import Screen
from segmentation.web.page.visit import Visit
from segmentation.web.page.wired import Handlers, Wired
from segmentation.web.page.wiring_runs import connect_autostart, connect_changes, connect_downloads, connect_runs
from segmentation.web.page.wiring_settings import connect_edges, connect_models, connect_storage
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service

STORAGE_KEY, RUN_KEY = "segmatte-settings", "segmatte-run"


def build_page(service: Service) -> gr.Blocks:
    """The complete page with its public endpoints."""
    keep = service.config.keep_minutes * 60
    with gr.Blocks(title="Segmatte", delete_cache=(min(600, keep), keep), analytics_enabled=False) as demo:
        wired = _lay_out(service)
        connect_autostart(wired, demo)
        running = connect_runs(wired)
        connect_changes(wired)
        connect_edges(wired)
        connect_downloads(wired)
        connect_models(wired, running)
        connect_storage(wired, demo)
        add_api(demo, service)
        add_model_api(demo, service)
    built: gr.Blocks = demo
    return built


def _lay_out(service: Service) -> Wired:
    """The page's components, and what is to be connected."""
    layout = Layout(service)
    # they hold no secrets
    settings = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_KEY)
    run_id = gr.BrowserState("", storage_key=RUN_KEY, secret=RUN_KEY)

    def left(run: Run | None) -> None:
        if run:
            service.shown.leave(run)

    screen = Screen(layout.status, layout.viewer, layout.report, gr.State(None, delete_callback=left), run_id,
                    gr.Textbox("", visible=False))  # fmt: skip
    controls = layout.controls
    next_run = NextRun(service, controls, screen, layout.problems)
    cutting = Cutting(service, controls, screen, next_run, layout.own)
    tuning = LiveTuning(service, controls, screen, layout.preview_data)
    refuse_addresses(controls.by_name["backdrop"])
    controls.hide_irrelevant()
    return Wired(layout, screen, Handlers(Visit(layout, screen), cutting, tuning, next_run), settings)
