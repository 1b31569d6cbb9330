"""Models side by side on one picture, to choose one and continue with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.recipe import DEFAULTS, Recipe
from segmentation.score.scores import Scores
from segmentation.settings import NETWORK_SETTINGS, with_values
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.uploads import uploaded_files
from segmentation.web.page.controls import Controls, choices_of
from segmentation.web.page.judging import EXPIRED, marked, scores_of
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import scripted
from segmentation.web.page.status import COMMERCIAL
from segmentation.web.runs.offer import Offer
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, i18n, speaker

MIN_MODELS, MAX_MODELS = 2, 4


@dataclass
class Column:
    """One model's column."""

    model: str
    """Its id."""
    offer: Offer | None = None
    """None if there is no such model."""
    run: Run | None = None
    error: str = ""
    scores: Scores | None = None
    """Against the truth, if there is one."""

    @property
    def title(self) -> str:
        """The model's name for people."""
        return self.offer.spec.title if self.offer else self.model


class Comparison:
    """The comparison tab. The `select` event of `panel` means that the visitor continues with one of the models."""

    def __init__(self, service: Service, controls: Controls) -> None:
        """Lay out the tab in the current context."""
        self._service, self._controls = service, controls
        models = service.offered.registry()
        on_disk = [offer.spec.id for offer in service.offered.offers() if offer.refusal is None and offer.on_disk]
        self.models = gr.Dropdown(
            choices_of(models), value=on_disk[:MIN_MODELS], multiselect=True, max_choices=MAX_MODELS,
            allow_custom_value=True, label=i18n("compare_models"), info=i18n("compare_models_info"),
            elem_id="compare_models",
        )  # fmt: skip
        self.button = gr.Button(i18n("compare"), variant="primary", elem_id="compare")
        with gr.Accordion(i18n("section_truth"), open=False, elem_id="section_truth"):
            gr.Markdown(i18n("truth_info"), elem_classes="quiet")
            self.truth = gr.Gallery(
                label=i18n("truth"), type="filepath", file_types=["image"], sources=["upload", "clipboard"],
                interactive=True, columns=2, height=150, object_fit="contain", fit_columns=False, allow_preview=False,
                elem_id="truth",
            )  # fmt: skip
        refuse_addresses(self.truth)
        self.panel = scripted("comparison", [])
        self.columns = gr.State([], delete_callback=self.forget)

    def compare(
        self,
        key: str,
        run: Run | None,
        earlier: list[Column],
        pictures: GalleryValue,
        models: list[str],
        request: gr.Request,
        *values: Any,
    ) -> Iterator[tuple[Any, list[Column]]]:
        """Cut out one picture with each model. If a model fails, its column shows the error."""
        if not MIN_MODELS <= len(models or []) <= MAX_MODELS:
            raise SettingsError(
                Message("Choose {fewest} to {most} models to compare.", fewest=MIN_MODELS, most=MAX_MODELS)
            )
        say = speaker(request)
        recipe, backdrop = self._controls.read(values)
        settings = with_values(recipe.settings, **{name: DEFAULTS[name] for name in NETWORK_SETTINGS})
        contracts = {recipe.model: recipe.settings.contract}
        selected = run.outcomes.selected(key) if run else None
        paths = [str(run.predictions.sources[selected[0]])] if run and selected else Pictures.names(pictures)[:1]
        said = {0: run.corrections.get(selected[0])} if run and selected else {}
        uploaded_files(paths, 1)  # report an invalid file once, not for each model
        columns = [Column(str(model).strip(), self._service.offered.offer(str(model).strip())) for model in models]
        self.forget([column for column in earlier if column.run is not run])
        yield _shown(columns, say), columns
        for column in columns:
            own = with_values(settings, contract=contracts.get(column.model, ""))
            try:
                new = self._service.new_run(paths, Recipe(column.model, own, recipe.export), backdrop, None, said)
                column.model = new.recipe.model  # a name on the Hub is pinned
                column.offer = self._service.offered.offer(column.model)
                for _ in self._service.work.process(new, for_page=True):
                    yield gr.skip(), gr.skip()
                (report,) = new.outcomes.reports
                column.error = report.error or ("" if new.outcomes.cutouts else " ".join(map(say, report.warnings)))
                column.run = new if new.outcomes.cutouts else None
            except SegmentationError as error:
                column.error = error.message
            yield _shown(columns, say), columns

    def judge(self, columns: list[Column], truth: GalleryValue, request: gr.Request) -> Iterator[Any]:
        """Score the cutouts against the truth that the visitor has added last; without one, show no scores."""
        say, limits = speaker(request), self._service.config.limits
        for column in columns:
            column.scores = None
        if truth:
            (path,) = uploaded_files(Pictures.names(truth)[-1:], 1)
            picture = load_image(path, **limits._asdict())
            for column in columns:
                if column.run:
                    column.scores = scores_of(column.run, picture, limits)
                    yield _shown(columns, say)
        yield _shown(columns, say)

    @staticmethod
    def choose(columns: list[Column], event: gr.EventData, say: Say = str) -> tuple[Column, Run]:
        """The chosen column and its run."""
        number = event.index  # not trusted: set by the client
        chosen = columns[number] if isinstance(number, int) and 0 <= number < len(columns) else None
        if chosen is None or chosen.run is None or chosen.run.stop.is_set():  # another run replaced it and its files
            raise gr.Error(say(EXPIRED), print_exception=False)
        return chosen, chosen.run

    def forget(self, columns: list[Column]) -> None:
        """Delete the runs of columns that are no longer shown."""
        for column in columns:
            if column.run:
                self._service.shown.drop(column.run)


def _shown(columns: list[Column], say: Say) -> list[dict[str, Any]]:
    marks = marked([column.scores for column in columns])
    return [_column(column, say) | {"scores": own} for column, own in zip(columns, marks, strict=True)]


def _column(column: Column, say: Say) -> dict[str, Any]:
    run, licence = column.run, column.offer.spec.licence if column.offer else None
    entry: dict[str, Any] = {
        "title": column.title,
        "error": say(column.error),
        "licence": say(Message(licence.name)) if licence else "",
        "licence_url": licence.url if licence else None,
        "commercial": say(COMMERCIAL[licence.commercial]).strip("*") if licence else "",
    }
    if run is None:
        return entry
    _, cutout = run.outcomes.cutouts[0]
    (report,) = run.outcomes.reports
    megabytes = report.network_mb
    return entry | {
        "thumbnail": str(cutout.thumbnail),
        "alpha": str(cutout.stages["alpha"]),
        "seconds": say(
            Message(
                "{all:.1f} ({network:.1f} for the network)",
                all=sum(report.seconds.values()),
                network=report.seconds.get("network", 0),
            )
        ),
        "memory": say(Message("about {megabytes} MB", megabytes=megabytes)) if megabytes else "",
    }
