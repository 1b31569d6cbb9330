"""The page: what it looks like, then what its controls do."""

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
from segmentation.web.page.controls import TYPED, Controls, choices_of, default_values
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import handler, messenger, scripted
from segmentation.web.page.status import card, line, progress, table
from segmentation.web.page.viewer import preview_value, viewer_value
from segmentation.web.runs.results import MadeBy
from segmentation.web.runs.run import NOTHING_YET, Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, i18n, speaker

ASKED_WITH = ("model", *TYPED)  # what only the network can change
NOTHING: dict[str, Any] = {"run": "", "since": 0, "items": [], "tuned": 0}
UNCHANGED = gr.skip(), gr.skip(), gr.skip()
REST = 0.35  # seconds without a change after which the hand is taken to rest, and the full size begins
STORAGE_KEY, RUN_KEY = "segmatte-settings", "segmatte-run"
WAITS = Message("This setting is used the next time you press Cut out.")


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
        self.controls = controls = Controls(service.offered.registry)
        gr.Markdown(i18n("title"), elem_id="title")
        with gr.Row(elem_id="work"):
            with gr.Column(scale=2, min_width=320, elem_id="bring"):
                self.pictures = Pictures(service)
                with gr.Row(elem_id="begin"):
                    self.run_button = gr.Button(i18n("run"), variant="primary", elem_id="run", min_width=120)
                    self.stop_button = gr.Button(i18n("stop"), elem_id="stop", min_width=120)
                self.pictures.further_ways()
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
                # below the settings, so that the picture stays in sight beside them
                self.report = gr.HTML(elem_id="report")
            with gr.Column(scale=3, min_width=320, elem_id="results"), gr.Tabs(elem_id="tabs"):
                with gr.Tab(i18n("tab_cutouts"), elem_id="tab_cutouts"):
                    self.status = gr.HTML(line(""), elem_id="status")
                    self.viewer = scripted("viewer", NOTHING)
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
        self.draft = messenger("draft")
        self.archive = messenger("archive")
        self.problems = messenger("problems")
        self.last_run = gr.State(None, delete_callback=self._left)
        # nothing secret in them
        self.settings = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_KEY)
        self.run_id = gr.BrowserState("", storage_key=RUN_KEY, secret=RUN_KEY)
        refuse_addresses(controls.by_name["backdrop"])
        controls.show_what_matters()

    def _facts(self) -> dict[str, Any]:
        """What the browser must know before anything is sent."""
        config = self.service.config
        caps = {"most": config.max_pictures, "mostBytes": config.max_upload_mb << 20}
        return caps | {"stored": self.controls.stored_names, "defaults": default_values()}

    def wire(self, demo: gr.Blocks) -> None:
        """Connect events and handlers. All are private: scripts have the public endpoints."""
        limit = self.service.config.concurrency
        runs = limit + self.service.config.queue  # all at once: they take turns by picture
        values = self.controls.all
        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        tuned: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
        heavy: dict[str, Any] = {
            "concurrency_id": QUEUE_NAME,
            "concurrency_limit": runs,
            "show_progress_on": self.status,
            "api_visibility": "private",
        }
        results = [self.status, self.viewer, self.report]

        running = [
            begin(
                shown_errors(self.run), [self.pictures.gallery, self.last_run, *values],
                [*results, self.last_run, self.run_id], **heavy,
            )
            for begin in (self.run_button.click, self.pictures.example_chosen.then)
        ]  # fmt: skip
        again = self.viewer.submit(
            shown_errors(self.retry), [self.pictures.gallery, self.last_run, *values], results, **heavy
        )
        applying = self.apply_button.click(
            shown_errors(self.apply_to_all), [self.last_run, *values], results, **heavy | {"show_progress": "minimal"}
        )
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
        # the last one counts: of two in a row Gradio would drop the second
        self.viewer.select(self.select, self.last_run, None, **quick | {"trigger_mode": "always_last"})
        packing: dict[str, Any] = {
            "concurrency_id": "pack", "concurrency_limit": limit, "show_progress_on": self.status,
            "api_visibility": "private",
        }  # fmt: skip
        packed = [self.archive, self.status, self.zip_question, self.zip_text]
        self.zip_button.click(shown_errors(self.pack_or_ask), [self.last_run, *values], packed, **packing)
        self.zip_as_is.click(shown_errors(self.pack), self.last_run, packed, **packing)
        self.zip_apply.click(lambda: gr.update(visible=False), None, self.zip_question, **quick)
        self.zip_apply.click(
            shown_errors(self.apply_to_all), [self.last_run, *values], results, **heavy | {"show_progress": "minimal"}
        ).success(shown_errors(self.pack), self.last_run, packed, **packing)

        comparison = self.comparison
        comparing = comparison.button.click(
            shown_errors(comparison.compare),
            [self.last_run, comparison.columns, self.pictures.gallery, comparison.models, *values],
            [comparison.panel, comparison.columns], concurrency_id=QUEUE_NAME, concurrency_limit=runs,
            show_progress_on=comparison.panel, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        comparison.panel.select(
            self.go_on_with, [comparison.columns, self.last_run], [self.model, self.last_run, *results], **quick
        ).then(None, None, None, js=handler("showCutouts"), **quick)
        self.stop_button.click(
            self.stop,
            self.last_run,
            [self.status, self.last_run],
            cancels=[*running, again, applying, comparing],
            **quick,
        )

        for event in (self.model.change, *(run.then for run in running)):
            event(self.show_card, self.model, self.card, **quick)
        self.model.input(self.chosen, [self.model, self.last_run], self.status, **quick)
        typed = [self.controls.by_name[name] for name in TYPED]
        gr.on(
            [control.change for control in typed], self.typed, [self.last_run, self.model, *typed],
            [self.problems, self.status],
            **quick | {"trigger_mode": "always_last"},
        )  # fmt: skip
        self.model.change(self.misfits, [self.model, *typed], self.problems, **quick)
        stored = [self.controls.by_name[name] for name in self.controls.stored_names]
        changes = [control.change for control in stored]
        gr.on(changes, None, [self.facts, self.settings, *stored], self.settings, js=handler("keepSettings"), **quick)
        self.reset_button.click(self.reset, self.model, stored, **quick)
        self.code.follow([self.code_tab.select, self.pictures.gallery.change, *changes], self.pictures)
        loaded = demo.load(self.remember, self.settings, [*stored, self.status], **quick)
        loaded.then(self.show_card, self.model, self.card, **quick)
        loaded.then(self.come_back, self.run_id, [self.pictures.gallery, self.last_run, *results, self.run_id], **quick)

    # ----------------------------------------------------------------------------------------------------- handlers

    def run(
        self, pictures: GalleryValue, last: Run | None, request: gr.Request, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Cut out every picture, or what is missing of the last run; each appears when it is done."""
        say = speaker(request)
        recipe, backdrop = self.controls.read(values)
        names, on_progress = Pictures.names(pictures), progress_bar(say)
        if last:
            last.pause()  # what it has not done yet is done with what was added
            if self.service.is_complete(last, names, recipe):  # then only the settings can be others
                have, of = last.results.share_of(
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
        run.take_place_of(last)  # whose results stay until there are others
        yield line(say(Message("Starting"))), gr.skip(), gr.skip(), run, gr.skip()
        # Gradio's progress bar goes with the first answer, so from here on the status line is one itself
        for finished_one in self.service.process(run, for_page=True):
            if finished_one:
                run_id = gr.skip()
                if len(run.results) == 1:
                    run_id = self.service.show(run)
                    if replaced := run.take_replaced():
                        self.service.leave(replaced)
                yield progress(run, say), *_shown(run, say), gr.skip(), run_id
            else:
                yield progress(run, say), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        if not run.stop.is_set():
            yield progress(run, say), gr.skip(), gr.skip(), gr.skip(), gr.skip()

    def retry(
        self, pictures: GalleryValue, run: Run | None, request: gr.Request, event: gr.EventData, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """A picture that failed once more."""
        number, say = event.index, speaker(request)  # of the client's making
        if run is None or type(number) is not int or number not in dict(run.results.failed):
            raise SettingsError(NOTHING_YET)
        recipe, backdrop = self.controls.read(values)
        part = self.service.rest(run, Pictures.names(pictures), recipe, backdrop, [number], progress_bar(say))
        if part is None:
            raise SettingsError(Message("Press Cut out: these settings or pictures need a new run."))
        yield from self._do(run, part, say)

    def _do(self, run: Run, part: Run, say: Say) -> Iterator[tuple[Any, Any, Any]]:
        """Do a part of a run and take over what comes of it."""
        run.do_part(part)
        adopted = set[int]()
        for finished_one in self.service.process(part, for_page=True):
            for index in part.results.outcomes.keys() - adopted:
                adopted.add(index)
                run.adopt(part, index)
            changed = _shown(run, say) if finished_one else (gr.skip(), gr.skip())
            yield progress(run, say, part), *changed
        if not part.stop.is_set():
            yield progress(run, say, part), *_shown(run, say)

    @staticmethod
    def stop(run: Run | None, request: gr.Request) -> tuple[str, Any]:
        """End what is running; what is finished stays, and so do earlier results until there are others."""
        say = speaker(request)
        if run and run.halt():
            if len(run.results):
                return line(say(Message("Stopped. What was finished is kept. Cut out does the rest."))), gr.skip()
            earlier = run.replaced or gr.skip()
            return line(say(Message("Stopped before anything was finished."))), earlier
        return line(say(Message("Nothing is running."))), gr.skip()

    @staticmethod
    def select(run: Run | None, event: gr.EventData) -> None:
        """Another cutout is looked at."""
        if run:
            run.select(event.key)  # of the client's making

    def chosen(self, model: str, run: Run | None, request: gr.Request) -> Any:
        """Another model does nothing by itself."""
        if run is None or run.predictions.recipe.model == model:
            return gr.skip()
        return line(speaker(request)(Message("{name} is chosen: press Cut out to use it.", name=self._title(model))))

    def typed(self, run: Run | None, request: gr.Request, model: str, *texts: str) -> tuple[dict[str, str], Any]:
        """What is wrong with a field, for that field; what is right waits for the next run."""
        say = speaker(request)
        problems = self.misfits(request, model, *texts)
        if run is None or run.is_at_work:
            return problems, gr.skip()
        asked = run.predictions.recipe.settings
        same = tuple(write_value(getattr(asked, name)) for name in TYPED) == tuple(text.strip() for text in texts)
        if problems or same or run.predictions.recipe.model != model:
            return problems, gr.skip() if run.predictions.recipe.model != model else progress(run, say)
        return problems, line(say(WAITS))

    def misfits(self, request: gr.Request, model: str, *texts: str) -> dict[str, str]:
        """What of the typed fields makes no sense, or not for this model: field -> sentence."""
        say = speaker(request)
        return {name: say(text) for name, text in self.controls.typed(model, dict(zip(TYPED, texts, strict=True)))}

    def preview(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> tuple[Any, Any]:
        """The selected picture at screen size with the settings under the hand."""
        if run is None or not live:
            return gr.skip(), gr.skip()
        say = speaker(request)
        run.tuning.begin()  # whatever is being done for an earlier position of the hand is stale
        try:
            recipe, backdrop = self.controls.read(values)
            if self._is_made(run, recipe, backdrop):  # a page that was loaded again, or a hand that went back
                return None, gr.skip()
            preview = self.service.preview(run, recipe, backdrop)
        except SegmentationError as error:  # a hand on its way may pass values that make no sense
            return gr.skip(), line(say(error.message))
        if preview is None:
            return gr.skip(), gr.skip()
        notes = [say(Message("Preview in {seconds:.2f} s.", seconds=preview.seconds)), *map(say, preview.warnings)]
        return preview_value(run, preview), line(" ".join(notes))

    def tune(self, run: Run | None, live: bool, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The selected picture in full size, once the hand rests; ends as soon as it moves again."""
        yield UNCHANGED  # of a generator that yields nothing Gradio makes an empty page
        looked_at = run.looked_at if run else None
        if run is None or not live or looked_at is None or run.tuning.current.is_done:
            return
        say = speaker(request)
        token, (index, _) = run.tuning.current, looked_at
        rested = time.monotonic() + REST
        while time.monotonic() < rested:
            if token.is_stale:
                return
            time.sleep(0.02)
        start = time.perf_counter()
        try:
            recipe, backdrop = self.controls.read(values)
            if self._is_made(run, recipe, backdrop):
                token.finish()
                yield gr.skip(), viewer_value(run, say), gr.skip()  # a preview of the same may have come meanwhile
                return
            again = self.service.refinement(run.predictions, recipe, backdrop, [index])
            for _ in self.service.process(again, for_page=True):
                if token.is_stale:
                    again.stop.set()
                    again.delete()
                    return
                yield UNCHANGED
        except SegmentationError as error:
            yield line(say(error.message)), gr.skip(), gr.skip()
            return
        failed = run.adopt(again, index)
        token.finish()
        updated = Message(
            "{name} is updated, in {seconds:.1f} s.",
            name=run.predictions.sources[index].name, seconds=time.perf_counter() - start,
        )  # fmt: skip
        yield line(say(failed or updated)), *_shown(run, say)

    def _made_by(self, run: Run, recipe: Recipe, backdrop: Any) -> MadeBy:
        """What the pictures of a run would be made by now."""
        return run.predictions.refined(recipe), self.service.backdrop(recipe, backdrop)

    def _is_made(self, run: Run, recipe: Recipe, backdrop: Any) -> bool:
        """Whether the picture that is looked at was made by these settings."""
        looked_at = run.looked_at
        if looked_at is None:
            return False
        return run.results.made_by.get(looked_at[0]) == self._made_by(run, recipe, backdrop)

    def apply_to_all(self, run: Run | None, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Every picture of the run with the settings of now, without the network."""
        say = speaker(request)
        if run is None or not len(run.results):
            raise SettingsError(NOTHING_YET)
        if run.is_at_work:
            raise SettingsError(Message("The run is still under way: apply the settings when it is done."))
        recipe, backdrop = self.controls.read(values)
        again = self.service.refinement(run.predictions, recipe, backdrop, on_progress=progress_bar(say))
        run.do_part(again)
        run.tuning.begin().finish()
        before, adopted = run.results.outcomes, set[int]()
        sentences: list[str] = []
        for finished_one in self.service.process(again, for_page=True):
            for index in again.results.outcomes.keys() - adopted:
                adopted.add(index)
                if run.results.outcomes.get(index) is before.get(index):  # else a hand was quicker, and newer
                    sentences += [say(failed) for failed in (run.adopt(again, index),) if failed]
            changed = _shown(run, say) if finished_one else (gr.skip(), gr.skip())
            yield progress(run, say, again), *changed
        if again.stop.is_set():
            return
        have, of = run.results.share_of((again.recipe, again.backdrop))
        # what was said to be on all pictures must be all that was chosen
        sentences.append(
            say(
                _applied(have, of)
                if run.predictions.asks_the_same(recipe)
                else self._waits(run.predictions.recipe, recipe)
            )
        )
        yield line(" ".join(sentences)), viewer_value(run, say), gr.skip()

    def _waits(self, asked: Recipe, recipe: Recipe) -> Message:
        """What of the settings only a new run can bring."""
        if asked.model != recipe.model:
            return Message("{name} is chosen: press Cut out to use it.", name=self._title(recipe.model))
        return WAITS

    def pack_or_ask(self, run: Run | None, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Everything in one ZIP; where pictures have different settings, the visitor is asked first."""
        if run is not None and run.results.is_mixed:
            recipe, backdrop = self.controls.read(values)
            have, of = run.results.share_of(self._made_by(run, recipe, backdrop))
            question = Message("These settings are on {have} of {of} pictures: apply them to all?", have=have, of=of)
            yield gr.skip(), gr.skip(), gr.update(visible=True), speaker(request)(question)
            return
        yield from self.pack(run, request)

    def pack(self, run: Run | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Everything in one ZIP, as it is."""
        if run is None:
            raise SettingsError(NOTHING_YET)
        self.service.in_use(run)
        archive = run.archive()
        count = len(run.results.cutouts)
        packed = (
            Message("{count} cutouts are in {file}.", count=count, file=archive.name)
            if count > 1
            else Message("1 cutout is in {file}.", file=archive.name)
        )
        told = line(speaker(request)(packed))
        # the time makes it another value, which the browser acts upon
        sent = {"file": str(archive), "name": archive.name, "at": time.time_ns()}
        yield sent, told, gr.update(visible=False), gr.skip()

    def go_on_with(
        self, columns: list[Any], last: Run | None, request: gr.Request, event: gr.EventData
    ) -> tuple[Any, ...]:
        """The chosen model is selected; its cutout is shown and can be tuned, where no batch is lost by that."""
        say = speaker(request)
        model, run = self.comparison.choose(columns, event, say)
        if last and last.total > 1:
            text = Message(
                "{name} is chosen: press Cut out to use it for all {total} pictures.",
                name=model["title"], total=last.total,
            )  # fmt: skip
            return model["id"], gr.skip(), line(say(text)), gr.skip(), gr.skip()
        if last and last is not run and not any(column.run is last for column in columns):
            self.service.leave(last)
        run.show_anew()
        status = line(say(Message("Continuing with {name}.", name=model["title"])))
        return model["id"], run, status, *_shown(run, say)

    def remember(self, saved: Any, request: gr.Request) -> list[Any]:
        """The settings of the link that was followed, else those that this browser kept."""
        models = self.service.offered.registry()
        recipe, warning = self.controls.from_link(dict(request.query_params))
        values = self.controls.values_of(recipe) if recipe else self.controls.remembered(saved)
        # files may have come into the models folder since the page was built
        values["model"] = gr.Dropdown(choices_of(models), value=values["model"])
        # Values, not updates of components: of those Gradio would make new ones, without what was changed on them
        return [*(values[name] for name in self.controls.stored_names), line(speaker(request)(warning))]

    def come_back(self, run_id: Any, request: gr.Request) -> tuple[Any, ...]:
        """The results that this browser had before the page was loaded again."""
        if not run_id:
            return (gr.skip(),) * 6
        say = speaker(request)
        run = self.service.come_back(run_id)
        if run is None:
            gone = Message("Your last results are gone: they are kept for {minutes} minutes.",
                           minutes=self.service.config.keep_minutes)  # fmt: skip
            return gr.skip(), gr.skip(), line(say(gone)), gr.skip(), gr.skip(), ""
        run.show_anew()
        sources = [str(source) for source in run.predictions.sources if source.is_file()]
        return sources, run, progress(run, say), *_shown(run, say), gr.skip()

    def reset(self, model: str) -> list[Any]:
        """All settings as they are at first, but for the model."""
        values = self.controls.remembered({"model": model})
        return [values[name] for name in self.controls.stored_names]

    def show_card(self, chosen: str, request: gr.Request) -> str:
        """What a model is and under which terms."""
        return self._card(chosen, speaker(request))

    def _card(self, chosen: str, say: Say) -> str:
        return card(next((entry for entry in self.service.offered.as_json() if entry["id"] == chosen), None), say)

    def _title(self, model_id: str) -> str:
        models = self.service.offered.registry()
        return models[model_id].title if model_id in models else model_id[:60]

    def _left(self, run: Run | None) -> None:
        if run:
            self.service.leave(run)


def _shown(run: Run, say: Say) -> tuple[Any, Any]:
    return viewer_value(run, say), table(run.results.reports, say)


def _applied(have: int, of: int) -> Message:
    if have == of:
        return (
            Message("All pictures have these settings now.")
            if of > 1
            else Message("The picture has these settings now.")
        )
    return Message("{have} of {of} pictures have these settings. Cut out again for the others.", have=have, of=of)
