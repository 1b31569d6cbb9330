"""The page: its layout, then its event handlers."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.recipe import Recipe, write_value
from segmentation.web.api import QUEUE_NAME, add_api
from segmentation.web.events import progress_bar, shown_errors
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.page.code_panel import CodePanel
from segmentation.web.page.comparison import Comparison
from segmentation.web.page.controls import TEXT_FIELDS, Controls, choices_of, default_values
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import handler, messenger, scripted
from segmentation.web.page.status import card, line, progress, table
from segmentation.web.page.viewer import preview_value, viewer_value
from segmentation.web.runs.archive import write_archive
from segmentation.web.runs.outcomes import MadeBy
from segmentation.web.runs.run import NOTHING_YET, Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.work import keep_alive
from segmentation.web.texts import Say, i18n, speaker

NETWORK_SETTINGS = ("model", *TEXT_FIELDS)  # changing them requires running the network again
EMPTY_VIEWER: dict[str, Any] = {"run": "", "since": 0, "items": [], "tuned": 0}
UNCHANGED = gr.skip(), gr.skip(), gr.skip()
SETTLE_SECONDS = 0.35  # without a change, before the full size is computed
STORAGE_KEY, RUN_KEY = "segmatte-settings", "segmatte-run"
NEXT_RUN = Message("This setting takes effect the next time you press Cut out.")


def build_page(service: Service) -> gr.Blocks:
    """The complete page with its public endpoints."""
    keep = service.config.keep_minutes * 60
    with gr.Blocks(title="Segmatte", delete_cache=(min(600, keep), keep), analytics_enabled=False) as demo:
        page = Page(service)
        page.wire(demo)
        add_api(demo, service)
    built: gr.Blocks = demo
    return built


class Page:
    """The page's components and event handlers."""

    def __init__(self, service: Service) -> None:
        """Lay out the page in the current context."""
        self.service = service
        self.controls = controls = Controls(service.offered.registry)
        gr.Markdown(i18n("title"), elem_id="title")
        with gr.Row(elem_id="work"):
            with gr.Column(scale=2, min_width=320, elem_id="bring"):
                self.pictures = Pictures(service)
                with gr.Row(elem_id="begin"):
                    self.run_button = gr.Button(i18n("run"), variant="primary", elem_id="run", min_width=120)
                    self.stop_button = gr.Button(i18n("stop"), elem_id="stop", min_width=120)
                self.pictures.lay_out_other_sources()
            with gr.Column(scale=2, min_width=320, elem_id="settings"):
                self.model = controls.model()
                self.card = gr.Markdown(
                    self._card(service.offered.registry().default.id, speaker(None)), elem_id="card"
                )
                controls.matting_switch()
                with gr.Accordion(i18n("section_matting"), open=False, elem_id="section_matting"):
                    controls.matting()
                with gr.Accordion(i18n("section_background"), open=False, elem_id="section_background"):
                    controls.background()
                with gr.Accordion(i18n("section_network"), open=False, elem_id="section_network"):
                    controls.network()
                self.reset_button = gr.Button(i18n("reset"), elem_id="reset", size="sm")
                # below the settings, so that the picture stays visible beside them
                self.report = gr.HTML(elem_id="report")
            with gr.Column(scale=3, min_width=320, elem_id="results"), gr.Tabs(elem_id="tabs"):
                with gr.Tab(i18n("tab_cutouts"), elem_id="tab_cutouts"):
                    self.status = gr.HTML(line(""), elem_id="status")
                    self.viewer = scripted("viewer", EMPTY_VIEWER)
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
                    with gr.Column(visible=False, elem_id="zip_question") as self.zip_question:
                        self.zip_text = gr.Markdown("")
                        with gr.Row():
                            self.zip_apply = gr.Button(i18n("zip_apply"), elem_id="zip_apply", size="sm")
                            self.zip_as_is = gr.Button(i18n("zip_as_is"), elem_id="zip_as_is", size="sm")
                with gr.Tab(i18n("tab_compare"), elem_id="tab_compare"):
                    self.comparison = Comparison(service, controls)
                with gr.Tab(i18n("tab_code"), elem_id="tab_code") as self.code_tab:
                    self.code = CodePanel(service, controls)
        self.facts = scripted("page", self._facts(), elem_classes="unseen")
        self.preview_data = messenger("preview")
        self.archive = messenger("archive")
        self.problems = messenger("problems")
        self.last_run = gr.State(None, delete_callback=self._left)
        # they hold no secrets
        self.settings = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_KEY)
        self.run_id = gr.BrowserState("", storage_key=RUN_KEY, secret=RUN_KEY)
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
        runs = self.service.config.runs
        values = self.controls.all
        unqueued: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        live: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
        queued: dict[str, Any] = {
            "concurrency_id": QUEUE_NAME,
            "concurrency_limit": runs,
            "show_progress_on": self.status,
            "api_visibility": "private",
        }
        results = [self.status, self.viewer, self.report]

        running = [
            begin(
                shown_errors(self.run), [self.pictures.gallery, self.last_run, *values],
                [*results, self.last_run, self.run_id], **queued,
            )
            for begin in (self.run_button.click, self.pictures.example_chosen.then)
        ]  # fmt: skip
        again = self.viewer.submit(
            shown_errors(self.retry), [self.pictures.gallery, self.last_run, *values], results, **queued
        )
        applying = self.apply_button.click(
            shown_errors(self.apply_to_all), [self.last_run, *values], results, **queued | {"show_progress": "minimal"}
        )
        # settings that require running the network again are not tuned live
        tunable = [control.change for name, control in self.controls.by_name.items() if name not in NETWORK_SETTINGS]
        previewing = gr.on(
            tunable, self.preview, [self.last_run, self.live, *values], [self.preview_data, self.status],
            concurrency_id="preview", concurrency_limit=2 * limit, **live,
        )  # fmt: skip
        previewing.then(
            self.tune, [self.last_run, self.live, *values], results, concurrency_id="tune",
            concurrency_limit=2 * limit, **live,
        )  # fmt: skip
        # by default, Gradio would drop the second of two selections in a row
        self.viewer.select(self.select, self.last_run, None, **unqueued | {"trigger_mode": "always_last"})
        packing: dict[str, Any] = {
            "concurrency_id": "pack", "concurrency_limit": limit, "show_progress_on": self.status,
            "api_visibility": "private",
        }  # fmt: skip
        packed = [self.archive, self.status, self.zip_question, self.zip_text]
        self.zip_button.click(shown_errors(self.pack_or_ask), [self.last_run, *values], packed, **packing)
        self.zip_as_is.click(shown_errors(self.pack), self.last_run, packed, **packing)
        self.zip_apply.click(lambda: gr.update(visible=False), None, self.zip_question, **unqueued)
        self.zip_apply.click(
            shown_errors(self.apply_to_all), [self.last_run, *values], results, **queued | {"show_progress": "minimal"}
        ).success(shown_errors(self.pack), self.last_run, packed, **packing)

        comparison = self.comparison
        comparing = comparison.button.click(
            shown_errors(comparison.compare),
            [self.last_run, comparison.columns, self.pictures.gallery, comparison.models, *values],
            [comparison.panel, comparison.columns], concurrency_id=QUEUE_NAME, concurrency_limit=runs,
            show_progress_on=comparison.panel, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        comparison.panel.select(
            self.continue_with, [comparison.columns, self.last_run], [self.model, self.last_run, *results], **unqueued
        ).then(None, None, None, js=handler("showCutouts"), **unqueued)
        self.stop_button.click(
            self.stop,
            self.last_run,
            [self.status, self.last_run],
            cancels=[*running, again, applying, comparing],
            **unqueued,
        )

        for event in (self.model.change, *(run.then for run in running)):
            event(self.show_card, self.model, self.card, **unqueued)
        self.model.input(self.model_selected, [self.model, self.last_run], self.status, **unqueued)
        text_fields = [self.controls.by_name[name] for name in TEXT_FIELDS]
        gr.on(
            [control.change for control in text_fields], self.text_changed, [self.last_run, self.model, *text_fields],
            [self.problems, self.status],
            **unqueued | {"trigger_mode": "always_last"},
        )  # fmt: skip
        self.model.change(self.field_problems, [self.model, *text_fields], self.problems, **unqueued)
        stored = [self.controls.by_name[name] for name in self.controls.stored_names]
        changes = [control.change for control in stored]
        gr.on(
            changes, None, [self.facts, self.settings, *stored], self.settings, js=handler("keepSettings"), **unqueued
        )
        self.reset_button.click(self.reset, self.model, stored, **unqueued)
        self.code.follow([self.code_tab.select, self.pictures.gallery.change, *changes], self.pictures)
        loaded = demo.load(self.restore, self.settings, [*stored, self.status], **unqueued)
        loaded.then(self.show_card, self.model, self.card, **unqueued)
        loaded.then(self.resume, self.run_id, [self.pictures.gallery, self.last_run, *results, self.run_id], **unqueued)

    # ----------------------------------------------------------------------------------------------------- handlers

    def run(
        self, pictures: GalleryValue, last: Run | None, request: gr.Request, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Cut out every picture, or those the last run has not done; each appears when it is done."""
        say = speaker(request)
        recipe, backdrop = self.controls.read(values)
        names, on_progress = Pictures.names(pictures), progress_bar(say)
        if last:
            last.pause()  # its missing pictures are done together with those that were added
            if self.service.is_complete(last, names, recipe):  # then only the other settings can differ
                have, of = last.outcomes.share_of(
                    (last.predictions.refined(recipe), self.service.backdrop(recipe, backdrop))
                )
                if have == of:
                    yield progress(last, say), gr.skip(), gr.skip(), gr.skip(), gr.skip()
                    return
                for status, viewer, report in self.apply_to_all(last, request, *values):
                    yield status, viewer, report, gr.skip(), gr.skip()
                return
        part = self.service.rest(last, names, recipe, backdrop, on_progress=on_progress) if last else None
        if last and part:
            yield line(say(Message("Starting"))), viewer_value(last, say), gr.skip(), last, gr.skip()
            for changed in self._do(last, part, say):
                yield *changed, gr.skip(), gr.skip()
            return
        run = self.service.new_run(names, recipe, backdrop, on_progress)
        run.view.replaced = last
        yield line(say(Message("Starting"))), gr.skip(), gr.skip(), run, gr.skip()
        # Gradio removes its progress bar after the first answer, so from here on the status line shows its own
        for finished_one in self.service.work.process(run, for_page=True):
            if finished_one:
                run_id = gr.skip()
                if len(run.outcomes) == 1:
                    run_id = self.service.shown.show(run)
                    if replaced := run.view.take_replaced():
                        self.service.shown.leave(replaced)
                yield progress(run, say), *_results(run, say), gr.skip(), run_id
            else:
                yield progress(run, say), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        if not run.stop.is_set():
            yield progress(run, say), gr.skip(), gr.skip(), gr.skip(), gr.skip()

    def retry(
        self, pictures: GalleryValue, run: Run | None, request: gr.Request, event: gr.EventData, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Retry a picture that failed."""
        number, say = event.index, speaker(request)  # not trusted: set by the client
        if run is None or type(number) is not int or number not in dict(run.outcomes.failed):
            raise SettingsError(NOTHING_YET)
        recipe, backdrop = self.controls.read(values)
        part = self.service.rest(run, Pictures.names(pictures), recipe, backdrop, [number], progress_bar(say))
        if part is None:
            raise SettingsError(Message("These settings or pictures need a new run. Press Cut out."))
        yield from self._do(run, part, say)

    def _do(self, run: Run, part: Run, say: Say) -> Iterator[tuple[Any, Any, Any]]:
        """Process a part of a run and take over its results."""
        run.do_part(part)
        adopted = set[int]()
        for finished_one in self.service.work.process(part, for_page=True):
            for index in part.outcomes.by_picture.keys() - adopted:
                adopted.add(index)
                run.adopt(part, index)
            changed = _results(run, say) if finished_one else (gr.skip(), gr.skip())
            yield progress(run, say, part), *changed
        if not part.stop.is_set():
            yield progress(run, say, part), *_results(run, say)

    @staticmethod
    def stop(run: Run | None, request: gr.Request) -> tuple[str, Any]:
        """Stop the run. Finished pictures stay, and so do earlier results until there are new ones."""
        say = speaker(request)
        if run and run.halt():
            if len(run.outcomes):
                stopped = Message("Stopped. Finished pictures are kept. Press Cut out to do the rest.")
                return line(say(stopped)), gr.skip()
            earlier = run.view.replaced or gr.skip()
            return line(say(Message("Stopped before any picture was finished."))), earlier
        return line(say(Message("Nothing is running."))), gr.skip()

    @staticmethod
    def select(run: Run | None, event: gr.EventData) -> None:
        """Select another cutout."""
        if run:
            run.view.select(event.key)  # not trusted: set by the client

    def model_selected(self, model: str, run: Run | None, request: gr.Request) -> Any:
        """Tell the visitor that selecting another model does nothing until the next run."""
        if run is None or run.predictions.recipe.model == model:
            return gr.skip()
        return line(speaker(request)(Message("{name} selected. Press Cut out to use it.", name=self._title(model))))

    def text_changed(self, run: Run | None, request: gr.Request, model: str, *texts: str) -> tuple[dict[str, str], Any]:
        """Problems of the text fields; if there are none, the status that a change takes effect in the next run."""
        say = speaker(request)
        problems = self.field_problems(request, model, *texts)
        if run is None or run.is_at_work:
            return problems, gr.skip()
        used = run.predictions.recipe.settings
        same = tuple(write_value(getattr(used, name)) for name in TEXT_FIELDS) == tuple(text.strip() for text in texts)
        if problems or same or run.predictions.recipe.model != model:
            return problems, gr.skip() if run.predictions.recipe.model != model else progress(run, say)
        return problems, line(say(NEXT_RUN))

    def field_problems(self, request: gr.Request, model: str, *texts: str) -> dict[str, str]:
        """Text fields whose values are invalid, in general or for this model: field -> message."""
        say = speaker(request)
        by_field = dict(zip(TEXT_FIELDS, texts, strict=True))
        return {name: say(text) for name, text in self.controls.problems(model, by_field)}

    def preview(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> tuple[Any, Any]:
        """The selected picture at screen size with the current settings."""
        if run is None or not live:
            return gr.skip(), gr.skip()
        say = speaker(request)
        run.tuning.begin()  # makes work for earlier settings stale
        try:
            recipe, backdrop = self.controls.read(values)
            if self._is_up_to_date(run, recipe, backdrop):  # the page was reloaded, or a slider was moved back
                return None, gr.skip()
            preview = self.service.preview(run, recipe, backdrop)
        except SegmentationError as error:  # a moving slider may pass invalid values
            return gr.skip(), line(say(error.message))
        if preview is None:
            return gr.skip(), gr.skip()
        notes = [say(Message("Preview in {seconds:.2f} s.", seconds=preview.seconds)), *map(say, preview.warnings)]
        return preview_value(run, preview), line(" ".join(notes))

    def tune(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The selected picture in full size, once the settings have settled; ends as soon as they change again."""
        yield UNCHANGED  # Gradio clears the outputs of a generator that yields nothing
        selected = run.view.selected if run else None
        if run is None or not live or selected is None or run.tuning.current.is_done:
            return
        say = speaker(request)
        token, (index, _) = run.tuning.current, selected
        settled = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < settled:
            if token.is_stale:
                return
            time.sleep(0.02)
        start = time.perf_counter()
        try:
            recipe, backdrop = self.controls.read(values)
            if self._is_up_to_date(run, recipe, backdrop):
                token.finish()
                yield gr.skip(), viewer_value(run, say), gr.skip()  # replaces a preview shown in the meantime
                return
            again = self.service.refinement(run.predictions, recipe, backdrop, [index])
            for _ in self.service.work.process(again, for_page=True):
                if token.is_stale:
                    again.stop.set()
                    again.files.delete()
                    return
                yield UNCHANGED
        except SegmentationError as error:
            yield line(say(error.message)), gr.skip(), gr.skip()
            return
        failed = run.adopt(again, index)
        token.finish()
        updated = Message(
            "{name} updated in {seconds:.1f} s.",
            name=run.predictions.sources[index].name, seconds=time.perf_counter() - start,
        )  # fmt: skip
        yield line(say(failed or updated)), *_results(run, say)

    def _made_by(self, run: Run, recipe: Recipe, backdrop: Any) -> MadeBy:
        """Recipe and backdrop that refining the run's pictures would use now."""
        return run.predictions.refined(recipe), self.service.backdrop(recipe, backdrop)

    def _is_up_to_date(self, run: Run, recipe: Recipe, backdrop: Any) -> bool:
        """Whether the selected picture was made with these settings."""
        selected = run.view.selected
        if selected is None:
            return False
        return run.outcomes.made_by.get(selected[0]) == self._made_by(run, recipe, backdrop)

    def apply_to_all(self, run: Run | None, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Refine every picture of the run with the current settings, without running the network."""
        say = speaker(request)
        if run is None or not len(run.outcomes):
            raise SettingsError(NOTHING_YET)
        if run.is_at_work:
            raise SettingsError(Message("The run is still in progress. Apply the settings when it is done."))
        recipe, backdrop = self.controls.read(values)
        again = self.service.refinement(run.predictions, recipe, backdrop, on_progress=progress_bar(say))
        run.do_part(again)
        run.tuning.begin().finish()
        before, adopted = run.outcomes.by_picture, set[int]()
        sentences: list[str] = []
        for finished_one in self.service.work.process(again, for_page=True):
            for index in again.outcomes.by_picture.keys() - adopted:
                adopted.add(index)
                if run.outcomes.by_picture.get(index) is before.get(index):  # else live tuning made a newer one
                    sentences += [say(failed) for failed in (run.adopt(again, index),) if failed]
            changed = _results(run, say) if finished_one else (gr.skip(), gr.skip())
            yield progress(run, say, again), *changed
        if again.stop.is_set():
            return
        have, of = run.outcomes.share_of((again.recipe, again.backdrop))
        # do not report the settings as applied if some need a new run
        sentences.append(
            say(
                _applied(have, of)
                if run.predictions.is_reusable_for(recipe)
                else self._needs_new_run(run.predictions.recipe, recipe)
            )
        )
        yield line(" ".join(sentences)), viewer_value(run, say), gr.skip()

    def _needs_new_run(self, used: Recipe, recipe: Recipe) -> Message:
        """Which of the settings take effect only in a new run."""
        if used.model != recipe.model:
            return Message("{name} selected. Press Cut out to use it.", name=self._title(recipe.model))
        return NEXT_RUN

    def pack_or_ask(self, run: Run | None, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Everything in one ZIP; if the pictures have different settings, ask the visitor first."""
        if run is not None and run.outcomes.is_mixed:
            recipe, backdrop = self.controls.read(values)
            have, of = run.outcomes.share_of(self._made_by(run, recipe, backdrop))
            question = Message("{have} of {of} pictures have these settings. Apply them to all?", have=have, of=of)
            yield gr.skip(), gr.skip(), gr.update(visible=True), speaker(request)(question)
            return
        yield from self.pack(run, request)

    def pack(self, run: Run | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Everything in one ZIP, as it is."""
        if run is None:
            raise SettingsError(NOTHING_YET)
        keep_alive(run, self.service.predictions)
        archive = write_archive(run)
        count = len(run.outcomes.cutouts)
        packed = (
            Message("{count} cutouts are in {file}.", count=count, file=archive.name)
            if count > 1
            else Message("1 cutout is in {file}.", file=archive.name)
        )
        status = line(speaker(request)(packed))
        # the time makes each value different, so that the browser reacts to it
        download = {"file": str(archive), "name": archive.name, "at": time.time_ns()}
        yield download, status, gr.update(visible=False), gr.skip()

    def continue_with(
        self, columns: list[Any], last: Run | None, request: gr.Request, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Select the chosen model. Its cutout is shown and can be tuned, unless that would replace a batch."""
        say = speaker(request)
        model, run = self.comparison.choose(columns, event, say)
        if last and last.total > 1:
            text = Message(
                "{name} selected. Press Cut out to use it for all {total} pictures.",
                name=model["title"], total=last.total,
            )  # fmt: skip
            return model["id"], gr.skip(), line(say(text)), gr.skip(), gr.skip()
        if last and last is not run and not any(column.run is last for column in columns):
            self.service.shown.leave(last)
        run.view.reset()
        status = line(say(Message("Continuing with {name}.", name=model["title"])))
        return model["id"], run, status, *_results(run, say)

    def restore(self, saved: Any, request: gr.Request) -> list[Any]:
        """The settings in the page's link, or else those that this browser stored."""
        models = self.service.offered.registry()
        recipe, warning = self.controls.from_link(dict(request.query_params))
        values = self.controls.values_of(recipe) if recipe else self.controls.restored(saved)
        # files may have been added to the models folder since the page was built
        values["model"] = gr.Dropdown(choices_of(models), value=values["model"])
        # Plain values: for component updates, Gradio would create new components without our changes to them
        return [*(values[name] for name in self.controls.stored_names), line(speaker(request)(warning))]

    def resume(self, run_id: Any, request: gr.Request) -> tuple[Any, ...]:
        """The results that this browser had before the page was reloaded."""
        if not run_id:
            return (gr.skip(),) * 6
        say = speaker(request)
        run = self.service.shown.resume(run_id)
        if run is None:
            expired = Message("Your last results have expired: they are kept for {minutes} minutes.",
                              minutes=self.service.config.keep_minutes)  # fmt: skip
            return gr.skip(), gr.skip(), line(say(expired)), gr.skip(), gr.skip(), ""
        run.view.reset()
        sources = [str(source) for source in run.predictions.sources if source.is_file()]
        return sources, run, progress(run, say), *_results(run, say), gr.skip()

    def reset(self, model: str) -> list[Any]:
        """Reset all settings except the model to their defaults."""
        values = self.controls.restored({"model": model})
        return [values[name] for name in self.controls.stored_names]

    def show_card(self, model_id: str, request: gr.Request) -> str:
        """Description and terms of a model."""
        return self._card(model_id, speaker(request))

    def _card(self, model_id: str, say: Say) -> str:
        return card(next((entry for entry in self.service.offered.as_json() if entry["id"] == model_id), None), say)

    def _title(self, model_id: str) -> str:
        models = self.service.offered.registry()
        return models[model_id].title if model_id in models else model_id[:60]

    def _left(self, run: Run | None) -> None:
        if run:
            self.service.shown.leave(run)


def _results(run: Run, say: Say) -> tuple[Any, Any]:
    return viewer_value(run, say), table(run.outcomes.reports, say)


def _applied(have: int, of: int) -> Message:
    if have == of:
        return (
            Message("All pictures now have these settings.")
            if of > 1
            else Message("The picture now has these settings.")
        )
    return Message("{have} of {of} pictures have these settings. Cut out again for the others.", have=have, of=of)
