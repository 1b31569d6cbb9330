"""The page's layout: the pictures, the viewer, and the panel of settings beside it."""

from typing import Any

import gradio as gr

from segmentation.web.page.code_panel import CodePanel
from segmentation.web.page.comparison import Comparison
from segmentation.web.page.controls import Controls, default_values
from segmentation.web.page.download import Download
from segmentation.web.page.edges import MIDDLE, MOST, tables
from segmentation.web.page.model_choice import ModelChoice
from segmentation.web.page.other_model import OtherModel
from segmentation.web.page.own_planes import OwnPlanes
from segmentation.web.page.pictures import Pictures
from segmentation.web.page.presets import Presets
from segmentation.web.page.scripts import messenger, scripted
from segmentation.web.page.status import card, line
from segmentation.web.runs.service import Service
from segmentation.web.texts import i18n, speaker

EMPTY_VIEWER: dict[str, Any] = {"run": "", "since": 0, "items": [], "tuned": 0}


class Layout:
    """Everything that is on the page. Until there are pictures, `layout.css` shows the first screen."""

    def __init__(self, service: Service) -> None:
        """Lay out the page in the current context."""
        self.service = service
        named = service.offered.named
        self.controls = Controls(service.offered.registry, named.known, named.may_be_named)
        with gr.Row(elem_id="head"):
            gr.Markdown(i18n("title"), elem_id="title")
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="bring", min_width=0):
                self._bring()
            with gr.Column(elem_id="results", min_width=0):
                self.status = gr.HTML(line(""), elem_id="status")
                self.viewer = scripted("viewer", EMPTY_VIEWER)
            with gr.Column(elem_id="settings", min_width=0):
                self._panel()
        self.facts = scripted("page", self._facts(), elem_classes="unseen")
        self.problems, self.preview_data = messenger("problems"), messenger("preview")

    def _bring(self) -> None:
        self.pictures = Pictures(self.service)
        with gr.Row(elem_id="begin"):
            self.run_button = gr.Button(i18n("run"), variant="primary", elem_id="run", min_width=120)
            self.stop_button = gr.Button(i18n("stop"), elem_id="stop", min_width=120)
        self.pictures.lay_out_other_sources()
        self.autostart = gr.Checkbox(True, label=i18n("autostart"), elem_id="autostart", container=False)

    def _panel(self) -> None:
        service, controls = self.service, self.controls
        self.presets = Presets(service.offered, controls)
        self.choice = ModelChoice(service.offered, controls)
        self.model = self.choice.model
        self.card = gr.Markdown(card(service.offered.offer(service.offered.registry().default.id), speaker(None)),
                                elem_id="card")  # fmt: skip
        controls.classes()
        gr.Markdown(i18n("heading_edges"), elem_classes="heading")
        controls.matting_switch()
        self.softness, self.follow = (
            gr.Slider(0, MOST, MIDDLE, step=1, label=i18n(name), info=i18n(f"{name}_info"), elem_id=name)
            for name in ("softness", "follow")
        )
        with gr.Accordion(i18n("section_matting"), open=False, elem_id="section_matting"):
            controls.matting()
            self.own = OwnPlanes(service, controls)
        with gr.Accordion(i18n("section_background"), open=False, elem_id="section_background"):
            controls.background()
        with gr.Accordion(i18n("section_canvas"), open=False, elem_id="section_canvas"):
            controls.canvas()
            controls.effects()
        with gr.Accordion(i18n("section_output"), open=False, elem_id="section_output"):
            controls.output()
            self.export_zip_button = gr.Button(i18n("download_all"), elem_id="export_zip", size="sm")
        with gr.Accordion(i18n("section_network"), open=False, elem_id="section_network"):
            controls.network()
        with gr.Accordion(i18n("section_other"), open=False, elem_id="section_other") as self.other_fold:
            self.other = OtherModel(service, controls, self.model)
        with gr.Accordion(i18n("section_compare"), open=False, elem_id="section_compare"):
            self.comparison = Comparison(service, controls)
        with gr.Accordion(i18n("section_code"), open=False, elem_id="section_code") as self.code_fold:
            self.code = CodePanel(service, controls)
        self.reset_button = gr.Button(i18n("reset"), elem_id="reset", size="sm")
        with gr.Row(elem_id="tuning"):
            self.live = gr.Checkbox(
                True, label=i18n("live"), info=i18n("live_info"), elem_id="live", scale=3, container=False
            )
            self.apply_button = gr.Button(i18n("apply_all"), elem_id="apply_all", size="sm", scale=1, min_width=120)
            self.zip_button = gr.Button(i18n("download_all"), elem_id="download", size="sm", scale=1, min_width=160)
        self.download = Download(service, controls, self.status)
        # below the settings, so that the picture stays visible beside it
        self.report = gr.HTML(elem_id="report")

    def _facts(self) -> dict[str, Any]:
        """What the browser must know before it sends anything."""
        config = self.service.config
        limits = {"most": config.max_pictures, "mostBytes": config.max_upload_mb << 20}
        return limits | {"edges": tables()} | {"stored": self.controls.stored_names, "defaults": default_values()}
