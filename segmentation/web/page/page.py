"""The page: its layout, then its event handlers."""

from functools import partial
from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.settings import NETWORK_SETTINGS
from segmentation.web.api import QUEUE_NAME, add_api
from segmentation.web.events import shown_errors
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.model_api import add_model_api
from segmentation.web.page.code_panel import CodePanel
from segmentation.web.page.comparison import Comparison
from segmentation.web.page.controls import TEXT_FIELDS, Controls, default_values, linked_correction
from segmentation.web.page.cutting import Cutting
from segmentation.web.page.download import Download
from segmentation.web.page.live_tuning import LiveTuning
from segmentation.web.page.model_choice import ModelChoice
from segmentation.web.page.next_run import NextRun
from segmentation.web.page.other_model import OtherModel
from segmentation.web.page.own_planes import Kind, OwnPlanes, Waiting
from segmentation.web.page.pictures import Pictures
from segmentation.web.page.screen import Screen
from segmentation.web.page.scripts import handler, messenger, scripted
from segmentation.web.page.status import card, line
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, i18n, speaker

EMPTY_VIEWER: dict[str, Any] = {"run": "", "since": 0, "items": [], "tuned": 0}
STORAGE_KEY, RUN_KEY = "segmatte-settings", "segmatte-run"


def build_page(service: Service) -> gr.Blocks:
    """The complete page with its public endpoints."""
    keep = service.config.keep_minutes * 60
    with gr.Blocks(title="Segmatte", delete_cache=(min(600, keep), keep), analytics_enabled=False) as demo:
        page = Page(service)
        page.wire(demo)
        add_api(demo, service)
        add_model_api(demo, service)
    built: gr.Blocks = demo
    return built


class Page:
    """The page's components and event handlers."""

    def __init__(self, service: Service) -> None:
        """Lay out the page in the current context."""
        self.service = service
        named = service.offered.named
        self.controls = controls = Controls(service.offered.registry, named.known, named.may_be_named)
        gr.Markdown(i18n("title"), elem_id="title")
        with gr.Row(elem_id="work"):
            with gr.Column(scale=2, min_width=320, elem_id="bring"):
                self.pictures = Pictures(service)
                with gr.Row(elem_id="begin"):
                    self.run_button = gr.Button(i18n("run"), variant="primary", elem_id="run", min_width=120)
                    self.stop_button = gr.Button(i18n("stop"), elem_id="stop", min_width=120)
                self.pictures.lay_out_other_sources()
            with gr.Column(scale=2, min_width=320, elem_id="settings"):
                self.choice = choice = ModelChoice(service.offered, controls)
                self.model = choice.model
                self.card = gr.Markdown(
                    self._card(service.offered.registry().default.id, speaker(None)), elem_id="card"
                )
                controls.classes()
                with gr.Accordion(i18n("section_other"), open=False, elem_id="section_other") as self.other_fold:
                    self.other = OtherModel(service, controls, self.model)
                controls.matting_switch()
                with gr.Accordion(i18n("section_matting"), open=False, elem_id="section_matting"):
                    controls.matting()
                    self.own = OwnPlanes(service, controls)
                with gr.Accordion(i18n("section_background"), open=False, elem_id="section_background"):
                    controls.background()
                with gr.Accordion(i18n("section_canvas"), open=False, elem_id="section_canvas"):
                    controls.canvas()
                with gr.Accordion(i18n("section_effects"), open=False, elem_id="section_effects"):
                    controls.effects()
                with gr.Accordion(i18n("section_output"), open=False, elem_id="section_output"):
                    controls.output()
                with gr.Accordion(i18n("section_network"), open=False, elem_id="section_network"):
                    controls.network()
                self.reset_button = gr.Button(i18n("reset"), elem_id="reset", size="sm")
                # below the settings, so that the picture stays visible beside them
                report = gr.HTML(elem_id="report")
            with gr.Column(scale=3, min_width=320, elem_id="results"), gr.Tabs(elem_id="tabs"):
                with gr.Tab(i18n("tab_cutouts"), elem_id="tab_cutouts"):
                    status = gr.HTML(line(""), elem_id="status")
                    viewer = scripted("viewer", EMPTY_VIEWER)
                    with gr.Row(elem_id="tuning"):
                        self.live = gr.Checkbox(
                            True, label=i18n("live"), info=i18n("live_info"), elem_id="live", scale=3, container=False
                        )
                        self.apply_button = gr.Button(
                            i18n("apply_all"), elem_id="apply_all", size="sm", scale=1, min_width=120
                        )
                        self.zip_button = gr.Button(
                            i18n("download_all"), elem_id="download", size="sm", scale=1, min_width=160
                        )
                    self.download = Download(service, controls, status)
                with gr.Tab(i18n("tab_compare"), elem_id="tab_compare"):
                    self.comparison = Comparison(service, controls)
                with gr.Tab(i18n("tab_code"), elem_id="tab_code") as self.code_tab:
                    self.code = CodePanel(service, controls)
        self.facts = scripted("page", self._facts(), elem_classes="unseen")
        self.problems, self.preview_data = messenger("problems"), messenger("preview")
        # they hold no secrets
        self.settings = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_KEY)
        run_id = gr.BrowserState("", storage_key=RUN_KEY, secret=RUN_KEY)
        self.screen = screen = Screen(status, viewer, report, gr.State(None, delete_callback=self._left), run_id,
                                      gr.Textbox("", visible=False))  # fmt: skip
        self.next_run = NextRun(service, controls, screen, self.problems)
        self.cutting = Cutting(service, controls, screen, self.next_run, self.own)
        self.tuning = LiveTuning(service, controls, screen, self.preview_data)
        refuse_addresses(controls.by_name["backdrop"])
        controls.hide_irrelevant()

    def _facts(self) -> dict[str, Any]:
        """What the browser must know before it sends anything."""
        config = self.service.config
        limits = {"most": config.max_pictures, "mostBytes": config.max_upload_mb << 20}
        return limits | {"stored": self.controls.stored_names, "defaults": default_values()}

    def wire(self, demo: gr.Blocks) -> None:
        """Connect events and handlers. All are private: scripts use the public endpoints."""
        limit = self.service.config.concurrency
        runs, screen, download = self.service.config.runs, self.screen, self.download
        values = self.controls.all
        unqueued: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        live: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
        queued: dict[str, Any] = {
            "concurrency_id": QUEUE_NAME,
            "concurrency_limit": runs,
            "show_progress_on": screen.status,
            "api_visibility": "private",
        }
        # what the viewer shows comes with each event that is about it: one of its own could be overtaken
        selecting: dict[str, Any] = {"js": handler("addSelected")}
        results = screen.results

        running = [
            begin(
                shown_errors(self.cutting.run), [self.pictures.gallery, screen.last_run, self.own.waiting, *values],
                [*results, screen.last_run, screen.run_id], js=handler("beginRun"), **queued,
            )
            for begin in (self.run_button.click, self.pictures.example_chosen.then)
        ]  # fmt: skip
        for run in running:
            run.then(None, None, None, js=handler("endRun"), **unqueued)
        again = screen.viewer.submit(
            shown_errors(self.cutting.retry), [self.pictures.gallery, screen.last_run, *values], results, **queued
        )
        applying = self.apply_button.click(
            shown_errors(self.cutting.apply_to_all),
            [screen.last_run, *values],
            results,
            **queued | {"show_progress": "minimal"},
        )
        # settings that require running the network again are not tuned live
        tunable = [
            # chips also change with the model, which is not yet that of the cutouts
            control.input if name == "classes" else control.change
            for name, control in self.controls.by_name.items()
            if name not in ("model", *NETWORK_SETTINGS)
        ]
        stored = [self.controls.by_name[name] for name in self.controls.stored_names]
        resetting = self.reset_button.click(self.reset, self.model, stored, **unqueued)
        # Of two events in a row, Gradio would by default drop the second; `always_last` would send the first again
        each = unqueued | {"trigger_mode": "multiple"}
        corrected = screen.viewer.edit(self.tuning.correct, screen.last_run, screen.status, **each)
        own = self.own
        kinds: tuple[tuple[Kind, Any], ...] = ("mask", own.take_mask), ("trimap", own.take_trimap)
        planes = [
            own.uploads[kind].upload(
                take, [screen.selected, own.uploads[kind], self.pictures.gallery, screen.last_run, own.waiting],
                own.outputs, **selecting, concurrency_id="planes", concurrency_limit=limit, show_progress="hidden",
                api_visibility="private",
            )
            for kind, take in kinds
        ]  # fmt: skip
        planes.append(
            own.remove.click(
                own.drop,
                [screen.selected, self.pictures.gallery, screen.last_run, own.waiting],
                own.outputs,
                **selecting,
                **unqueued,
            )
        )
        for begin in (partial(gr.on, tunable), resetting.then, corrected.then, *(event.then for event in planes)):
            begin(
                self.tuning.preview, [screen.selected, screen.last_run, self.live, *values],
                [self.preview_data, screen.status],
                concurrency_id="preview", concurrency_limit=2 * limit, **selecting, **live,
            ).then(
                self.tuning.tune, [screen.last_run, self.live], results, concurrency_id="tune",
                concurrency_limit=2 * limit, **live,
            )  # fmt: skip
        screen.viewer.select(
            own.show, [screen.selected, screen.last_run], own.outputs, **selecting,
            **unqueued | {"trigger_mode": "always_last"},
        )  # fmt: skip
        for run in running:
            run.then(own.show, [screen.selected, screen.last_run], own.outputs, **selecting, **unqueued)
        packing: dict[str, Any] = {
            "concurrency_id": "pack", "concurrency_limit": limit, "show_progress_on": screen.status,
            "api_visibility": "private",
        }  # fmt: skip
        self.zip_button.click(  # with all strokes, even those of a moment ago
            self.tuning.catch_up, screen.last_run, results, concurrency_id="tune", concurrency_limit=2 * limit,
            show_progress="hidden", api_visibility="private",
        ).then(
            shown_errors(download.pack_or_ask), [screen.last_run, *values], download.outputs, **packing
        )  # fmt: skip
        download.as_is.click(shown_errors(download.pack), screen.last_run, download.outputs, **packing)
        download.apply.click(lambda: gr.update(visible=False), None, download.question, **unqueued)
        download.apply.click(
            shown_errors(self.cutting.apply_to_all), [screen.last_run, *values], results,
            **queued | {"show_progress": "minimal"},
        ).success(shown_errors(download.pack), screen.last_run, download.outputs, **packing)  # fmt: skip

        comparison = self.comparison
        comparing = comparison.button.click(
            shown_errors(comparison.compare),
            [screen.selected, screen.last_run, comparison.columns, self.pictures.gallery, comparison.models, *values],
            [comparison.panel, comparison.columns], **selecting, concurrency_id=QUEUE_NAME, concurrency_limit=runs,
            show_progress_on=comparison.panel, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        for judge in (comparing.then, comparison.truth.change):
            judge(
                shown_errors(comparison.judge), [comparison.columns, comparison.truth], comparison.panel,
                concurrency_id="judge", concurrency_limit=limit, show_progress="hidden", api_visibility="private",
            )  # fmt: skip
        comparison.panel.select(
            self.continue_with,
            [comparison.columns, screen.last_run],
            [self.model, self.controls.by_name["contract"], screen.last_run, *results],
            **unqueued,
        ).then(None, None, None, js=handler("showCutouts"), **unqueued)
        self.stop_button.click(
            self.cutting.stop,
            screen.last_run,
            [screen.status, screen.last_run],
            cancels=[*running, again, applying, comparing],
            **unqueued,
        ).then(None, None, None, js=handler("endRun"), **unqueued)

        chips = self.controls.by_name["classes"]
        for event in (self.model.change, *(run.then for run in running)):
            event(self.show_model, self.model, [self.card, self.choice.panel], **unqueued)
        self.model.change(self.controls.class_chips, [self.model, chips], chips, **unqueued)
        for run in running:
            run.then(self.order_classes, [self.model, screen.last_run], chips, **unqueued)
        choosing = self.choice.panel.select(self.choice.choose, None, self.model, **each)
        for event in (self.model.input, choosing.then):
            event(self.next_run.model_selected, [self.model, screen.last_run], screen.status, **unqueued)
        other, held = self.other, [self.pictures.gallery, screen.last_run]
        looking: dict[str, Any] = selecting | {
            "concurrency_id": "look", "concurrency_limit": 2 * limit, "show_progress": "hidden",
            "api_visibility": "private",
        }  # fmt: skip
        looks = [
            other.panel.submit(other.act, [screen.selected, other.looked, *held], other.outputs, **looking),
            self.model.input(other.unfold, self.model, self.other_fold, **unqueued).then(
                other.name, [screen.selected, self.model, other.looked, *held], other.outputs, **looking
            ),
            other.upload.upload(other.uploaded, [screen.selected, other.upload, *held], other.outputs, **looking),
        ]
        other.panel.stop(other.stop, other.looked, other.outputs, cancels=looks, **unqueued)
        choosing.then(other.contract_of, [other.looked, self.model], self.controls.by_name["contract"], **unqueued)
        # a file may be added to the models folder later, and another model looked up
        on_disk = self.service.offered.folder_state()
        for list_ in (self.model, self.comparison.models):
            seen = gr.State([on_disk])
            list_.focus(self.choice.refreshed, [seen, self.model, self.comparison.models], [list_, seen], **unqueued)
        text_fields = [self.controls.by_name[name] for name in TEXT_FIELDS]
        gr.on(
            [control.change for control in text_fields], self.next_run.text_changed,
            [screen.last_run, self.model, *text_fields],
            [self.problems, screen.status],
            **unqueued | {"trigger_mode": "always_last"},
        )  # fmt: skip
        self.model.change(self.next_run.field_problems, [self.model, *text_fields], self.problems, **unqueued)
        changes = [control.change for control in stored]
        gr.on(
            changes, None, [self.facts, self.settings, *stored], self.settings, js=handler("keepSettings"), **unqueued
        )
        triggers = [self.code_tab.select, self.pictures.gallery.change, *changes]
        self.code.follow(triggers, self.pictures, screen.last_run)
        loaded = demo.load(self.restore, self.settings, [*stored, screen.status, own.waiting], **unqueued)
        loaded.then(self.show_model, self.model, [self.card, self.choice.panel], **unqueued)
        resumed = loaded.then(
            self.resume, screen.run_id, [self.pictures.gallery, screen.last_run, *results, screen.run_id], **unqueued
        )
        resumed.then(
            self.tuning.catch_up, screen.last_run, results, concurrency_id="tune", concurrency_limit=2 * limit, **live
        )
        resumed.then(own.show, [screen.selected, screen.last_run], own.outputs, **selecting, **unqueued)

    def continue_with(
        self, columns: list[Any], last: Run | None, request: gr.Request, event: gr.EventData
    ) -> dict[Any, Any]:
        """Select the chosen model. Its cutout is shown and can be tuned, unless that would replace a batch."""
        say, screen = speaker(request), self.screen
        column, run = self.comparison.choose(columns, event, say)
        chosen = {self.model: column.model, self.controls.by_name["contract"]: run.recipe.settings.contract}
        if last and last.total > 1:
            text = Message(
                "{name} selected. Press Cut out to use it for all {total} pictures.",
                name=column.title, total=last.total,
            )  # fmt: skip
            return chosen | screen.say(say(text))
        if last and last is not run and not any(other.run is last for other in columns):
            self.service.shown.leave(last)
        run.view.reset()
        status = screen.say(say(Message("Continuing with {name}.", name=column.title)))
        return chosen | {screen.last_run: run} | status | screen.cutouts(run, say)

    def restore(self, saved: Any, request: gr.Request) -> list[Any]:
        """The settings in the page's link, or else those that this browser stored."""
        say = speaker(request)
        query = dict(request.query_params)
        recipe, warning = self.controls.from_link(query)
        said, problem = linked_correction(query)
        values = self.controls.values_of(recipe) if recipe else self.controls.restored(saved)
        # files may have been added to the models folder since the page was built
        values["classes"] = self.controls.class_chips(values["model"], values["classes"])
        values["model"] = gr.Dropdown(self.choice.choices(say, values["model"]), value=values["model"])
        # Plain values: for component updates, Gradio would create new components without our changes to them
        told = " ".join(map(say, filter(None, (warning, problem))))
        return [*(values[name] for name in self.controls.stored_names), line(told), Waiting(said)]

    def resume(self, run_id: Any, request: gr.Request) -> dict[Any, Any]:
        """The results that this browser had before the page was reloaded."""
        screen = self.screen
        if not run_id:
            return screen.nothing()
        say = speaker(request)
        run = self.service.shown.resume(run_id)
        if run is None:
            expired = Message("Your last results have expired: they are kept for {minutes} minutes.",
                              minutes=self.service.config.keep_minutes)  # fmt: skip
            return screen.say(say(expired)) | {screen.run_id: ""}
        run.view.reset()
        sources = [str(source) for source in run.predictions.sources if source.is_file()]
        held = {self.pictures.gallery: sources, screen.last_run: run}
        return held | screen.progress(run, say) | screen.cutouts(run, say)

    def reset(self, model: str) -> list[Any]:
        """Reset all settings except the model to their defaults."""
        values = self.controls.restored({"model": model})
        return [values[name] for name in self.controls.stored_names]

    def show_model(self, model_id: str, request: gr.Request) -> tuple[str, dict[str, Any]]:
        """Description and terms of the chosen model, and its place among the others."""
        say = speaker(request)
        return self._card(model_id, say), self.choice.shown(model_id, say)

    def order_classes(self, model_id: str, run: Run | None) -> Any:
        """The chips of a model's classes, those in the pictures of a run first. What is chosen stays as it is."""
        found = {name for each in run.predictions.by_picture.values() for name in each.maps} if run else ()
        return gr.update(choices=self.controls.class_choices(model_id, found))

    def _card(self, model_id: str, say: Say) -> str:
        return card(self.service.offered.offer(model_id), say)

    def _left(self, run: Run | None) -> None:
        if run:
            self.service.shown.leave(run)
