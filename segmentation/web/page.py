"""The page: what it looks like, then what its controls do."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError, SettingsError
from segmentation.web.api import QUEUE_NAME, add_api
from segmentation.web.code_panel import CodePanel
from segmentation.web.comparison import Comparison
from segmentation.web.controls import Controls, choices_of
from segmentation.web.events import progress_bar, shown_errors
from segmentation.web.pictures import Pictures, Shown
from segmentation.web.report import card, line, progress, table
from segmentation.web.runs import NOTHING_YET, Run
from segmentation.web.scripts import DOWNLOAD, DRAFT, messenger, scripted
from segmentation.web.service import Service
from segmentation.web.texts import i18n
from segmentation.web.uploads import refuse_addresses
from segmentation.web.viewer import draft_value, viewer_value

ASKED_WITH = ("model", "mean", "std", "size")  # what only the network can change
NOTHING: dict[str, Any] = {"run": "", "since": 0, "items": [], "tuned": 0}
UNCHANGED = gr.skip(), gr.skip(), gr.skip()
REST = 0.35  # seconds without a change after which the hand is taken to rest, and the full size begins
STORAGE_KEY = "segmatte-settings"


def build_page(service: Service) -> gr.Blocks:
    """The whole page with its public endpoints."""
    keep = service.config.keep_minutes * 60
    with gr.Blocks(title="Segmatte", delete_cache=(min(600, keep), keep), analytics_enabled=False) as demo:
        page = Page(service)
        page.wire(demo)
        add_api(demo, service)
    built: gr.Blocks = demo
    return built


class Page:
    """Its components by name, and the handlers that connect them."""

    def __init__(self, service: Service) -> None:
        """Lay everything out where this is called."""
        self.service = service
        self.controls = controls = Controls(service.registry)
        gr.Markdown(i18n("title"), elem_id="title")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.pictures = Pictures(service)
                with gr.Row(elem_id="begin"):
                    self.run_button = gr.Button(i18n("run"), variant="primary", elem_id="run", min_width=120)
                    self.stop_button = gr.Button(i18n("stop"), elem_id="stop", min_width=120)
                self.pictures.further_ways()
                self.model = controls.model()
                self.card = gr.Markdown(self._card(service.registry().default.id), elem_id="card")
                controls.matting_switch()
                with gr.Accordion(i18n("section_matting"), open=False, elem_id="section_matting"):
                    controls.matting()
                with gr.Accordion(i18n("section_background"), open=False, elem_id="section_background"):
                    controls.background()
                with gr.Accordion(i18n("section_network"), open=False, elem_id="section_network"):
                    controls.network()
            with gr.Column(scale=3, min_width=320, elem_id="results"), gr.Tabs(elem_id="tabs"):
                with gr.Tab(i18n("tab_cutouts"), elem_id="tab_cutouts"):
                    self.status = gr.HTML(line(""), elem_id="status")
                    self.viewer = scripted("viewer", "viewer", NOTHING)
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
                with gr.Tab(i18n("tab_compare"), elem_id="tab_compare"):
                    self.comparison = Comparison(service, controls)
                with gr.Tab(i18n("tab_code"), elem_id="tab_code") as self.code_tab:
                    self.code = CodePanel(service, controls)
        self.report = gr.HTML(elem_id="report")
        self.draft = messenger("draft", DRAFT)
        self.archive = messenger("archive", DOWNLOAD)
        self.last_run = gr.State(None, delete_callback=self._forget)
        self.settings = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_KEY)  # nothing secret in it
        refuse_addresses(controls.by_name["backdrop"])
        controls.show_what_matters()

    def wire(self, demo: gr.Blocks) -> None:
        """Connect events and handlers. All are private: scripts have the public endpoints."""
        limit = self.service.config.concurrency
        values = self.controls.all
        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        tuned: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
        results = [self.status, self.viewer, self.report]

        running = [
            begin(
                shown_errors(self.run), [self.pictures.gallery, self.last_run, *values], [*results, self.last_run],
                concurrency_id=QUEUE_NAME, concurrency_limit=limit, show_progress_on=self.status,
                api_visibility="private",
            )
            for begin in (self.run_button.click, self.pictures.example_chosen.then)
        ]  # fmt: skip
        applying = self.apply_button.click(
            shown_errors(self.apply_to_all), [self.last_run, *values], results, concurrency_id=QUEUE_NAME,
            concurrency_limit=limit, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        # what only the network can change is not tuned
        turned = [control.change for name, control in self.controls.by_name.items() if name not in ASKED_WITH]
        drafting = gr.on(
            turned, self.preview, [self.last_run, self.live, *values], [self.draft, self.status],
            concurrency_id="preview", concurrency_limit=2 * limit, **tuned,
        )  # fmt: skip
        drafting.then(
            self.tune, [self.last_run, self.live, *values], results, concurrency_id="tune",
            concurrency_limit=2 * limit, **tuned,
        )  # fmt: skip
        self.viewer.select(self.select, self.last_run, None, **quick)
        self.zip_button.click(
            shown_errors(self.pack), self.last_run, [self.archive, self.status], concurrency_id="pack",
            concurrency_limit=limit, show_progress_on=self.status, api_visibility="private",
        )  # fmt: skip

        comparison = self.comparison
        comparing = comparison.button.click(
            shown_errors(comparison.compare),
            [self.last_run, comparison.columns, self.pictures.gallery, comparison.models, *values],
            [comparison.shown, comparison.columns], concurrency_id=QUEUE_NAME, concurrency_limit=limit,
            show_progress_on=comparison.shown, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        comparison.shown.select(
            self.go_on_with, [comparison.columns, self.last_run], [self.model, self.last_run, *results], **quick
        ).then(None, None, None, js="() => document.querySelector('#tabs button[role=tab]').click()", **quick)
        self.stop_button.click(self.stop, self.last_run, self.status, cancels=[*running, applying, comparing], **quick)

        for event in (self.model.change, *(run.then for run in running)):
            event(self._card, self.model, self.card, **quick)
        self.model.input(self.chosen, [self.model, self.last_run], self.status, **quick)
        kept = [self.controls.by_name[name] for name in self.controls.kept]
        names = ", ".join(f"{name}: values[{place}]" for place, name in enumerate(self.controls.kept))
        changes = [control.change for control in kept]
        # what a link brought is not this visitor's own choice
        script = f"(saved, ...values) => window.location.search ? saved : ({{{names}}})"
        gr.on(changes, None, [self.settings, *kept], self.settings, js=script, **quick)
        self.code.follow([self.code_tab.select, self.pictures.gallery.change, *changes], self.pictures)
        demo.load(self.remember, self.settings, [*kept, self.status], **quick)

    # ----------------------------------------------------------------------------------------------------- handlers

    def run(self, pictures: Shown, last: Run | None, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Cut out every picture; each appears when it is done."""
        recipe, backdrop = self.controls.read(values)
        run = self.service.start(Pictures.names(pictures), recipe, backdrop, progress_bar())
        if last:
            self.service.forget(last)
        yield line("Starting"), viewer_value(run), "", run
        # Gradio's progress bar goes with the first answer, so from here on the status line is one itself
        for finished_one in self.service.go_on(run, for_page=True):
            if finished_one:
                yield progress(run), viewer_value(run), table(run.reports), gr.skip()
            else:
                yield progress(run), gr.skip(), gr.skip(), gr.skip()
        if not run.stop.is_set():
            yield progress(run), gr.skip(), gr.skip(), gr.skip()

    @staticmethod
    def stop(run: Run | None) -> str:
        """End what is running; what is finished stays."""
        # not by whether it is running: what Gradio cancels may have ended already
        at_work = [part for part in (run, run.redoing if run else None) if part and len(part.outcomes) < part.total]
        for part in at_work:
            part.stop.set()
        patience = time.monotonic() + 2
        # what a run still sends on its end would stand over the answer
        while any(part.running for part in at_work) and time.monotonic() < patience:
            time.sleep(0.02)
        if run and at_work:
            return line(
                "Stopped. What was finished is kept." if run.outcomes else "Stopped before anything was finished."
            )
        return line("Nothing is running any more.")

    @staticmethod
    def select(run: Run | None, event: gr.EventData) -> None:
        """Another cutout is looked at."""
        if run:
            run.select(event.key)  # of the client's making

    @staticmethod
    def chosen(model: str, run: Run | None) -> Any:
        """Another model does nothing by itself."""
        if run is None or run.kept.recipe.model == model:
            return gr.skip()
        return line(f"{model} is chosen: press Cut out to use it.")

    def preview(self, run: Run | None, live: bool, *values: Any) -> tuple[Any, Any]:
        """The selected picture at screen size with the settings under the hand."""
        if run is None or not live:
            return gr.skip(), gr.skip()
        run.tuning += 1  # whatever is being done for an earlier position of the hand is stale
        try:
            recipe, backdrop = self.controls.read(values)
            draft = self.service.draft(run, recipe, backdrop)
        except SegmentationError as error:  # a hand on its way may pass values that make no sense
            return gr.skip(), line(str(error))
        if draft is None:
            return gr.skip(), gr.skip()
        said = " ".join(draft.warnings)
        return draft_value(run, draft), line(f"Preview in {draft.seconds:.2f} s. {said}")

    def tune(self, run: Run | None, live: bool, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The selected picture in full size, once the hand rests; ends as soon as it moves again."""
        yield UNCHANGED  # of a generator that yields nothing Gradio makes an empty page
        looked_at = run.looked_at if run else None
        if run is None or not live or looked_at is None or run.tuned >= run.tuning:
            return
        mine, (index, _) = run.tuning, looked_at
        rested = time.monotonic() + REST
        while time.monotonic() < rested:
            if run.tuning != mine:
                return
            time.sleep(0.02)
        start = time.perf_counter()
        try:
            recipe, backdrop = self.controls.read(values)
            again = self.service.again(run.kept, recipe, backdrop, [index])
            for _ in self.service.go_on(again, for_page=True):
                if run.tuning != mine:
                    again.stop.set()
                    again.delete()
                    return
                yield UNCHANGED
        except SegmentationError as error:
            yield line(str(error)), gr.skip(), gr.skip()
            return
        failed = run.adopt(again, index)
        run.tuned = mine
        seconds = time.perf_counter() - start
        said = failed or f"{run.kept.sources[index].name} is done anew in {seconds:.1f} s."
        yield line(said), viewer_value(run), table(run.reports)

    def apply_to_all(self, run: Run | None, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Every picture of the run with the settings of now, without the network."""
        if run is None or not run.outcomes:
            raise SettingsError(NOTHING_YET)
        if run.running:
            raise SettingsError("The run is still under way: apply the settings when it is done.")
        recipe, backdrop = self.controls.read(values)
        run.redoing = again = self.service.again(run.kept, recipe, backdrop, shown=progress_bar())
        run.tuning += 1
        run.tuned = run.tuning
        before, adopted = dict(run.outcomes), set[int]()
        failed: list[str] = []
        for finished_one in self.service.go_on(again, for_page=True):
            for index in again.outcomes.keys() - adopted:
                adopted.add(index)
                if run.outcomes.get(index) is before.get(index):  # else a hand was quicker, and newer
                    failed += filter(None, [run.adopt(again, index)])
            changed = (viewer_value(run), table(run.reports)) if finished_one else (gr.skip(), gr.skip())
            yield progress(again), *changed
        if not again.stop.is_set():
            lost = sum(1 for outcome in before.values() if outcome.cutouts) - again.total
            gone = f" {lost} of them are not kept any more: run again for those." if lost > 0 else ""
            yield (
                line(" ".join([*failed, "All pictures have these settings now."]) + gone),
                viewer_value(run),
                gr.skip(),
            )

    def pack(self, run: Run | None) -> Iterator[tuple[Any, str]]:
        """Everything in one ZIP."""
        if run is None:
            raise SettingsError(NOTHING_YET)
        self.service.in_use(run)
        archive = run.archive()
        yield {"file": str(archive), "name": archive.name}, line(f"{len(run.cutouts)} cutouts are in {archive.name}.")

    def go_on_with(self, columns: list[Any], last: Run | None, event: gr.EventData) -> tuple[Any, ...]:
        """The chosen model is selected; its cutout is shown and can be tuned, where no batch is lost by that."""
        model, run = self.comparison.choose(columns, event)
        if last and last.total > 1:
            said = line(f"{model['title']} is chosen: press Cut out to use it for all {last.total} pictures.")
            return model["id"], gr.skip(), said, gr.skip(), gr.skip()
        if last and last is not run and not any(column.run is last for column in columns):
            self.service.forget(last)
        run.shown_since = time.time_ns()
        said = line(f"Going on with {model['title']}.")
        return model["id"], run, said, viewer_value(run), table(run.reports)

    def remember(self, saved: Any, request: gr.Request) -> list[Any]:
        """The settings of the link that was followed, else those that this browser kept."""
        models = self.service.registry()
        recipe, said = self.controls.from_link(dict(request.query_params))
        values = self.controls.shown(recipe) if recipe else self.controls.remembered(saved)
        # files may have come into the models folder since the page was built
        values["model"] = gr.Dropdown(choices_of(models), value=values["model"])
        # Values, not updates of components: of those Gradio would make new ones, without what was changed on them
        return [*(values[name] for name in self.controls.kept), line(said)]

    def _card(self, chosen: str) -> str:
        return card(next((entry for entry in self.service.models() if entry["id"] == chosen), None))

    def _forget(self, run: Run | None) -> None:
        if run:
            self.service.forget(run)
