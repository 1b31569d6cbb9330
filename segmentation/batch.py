"""Many pictures, decoded, segmented and encoded in parallel, each failing on its own; files, reports and ZIP."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.bases import Bases
from segmentation.corrected import NO_MODEL, Known, load_planes, needs_network, no_prediction, refined, sources_of
from segmentation.corrections import NOTHING, Correction, check_inside
from segmentation.cutout_files import Cutout, save_for_viewer, save_thumbnail
from segmentation.errors import ImageError, MattingError, SegmentationError, SessionError, WeightsError
from segmentation.messages import Message
from segmentation.network.watchdog import Cancelled
from segmentation.outputs import Destination, InTheWayError, Namer, cutout_names
from segmentation.parallel import Events, in_parallel
from segmentation.picture.export import save_export
from segmentation.picture.layout import layout_of
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture
from segmentation.prediction import Prediction, ignored_settings, nothing_found
from segmentation.predictor import Predictor
from segmentation.refinement import Result, numbered
from segmentation.report import Report, ReportDraft
from segmentation.settings import Export, Settings
from segmentation.stages import OnStage

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Step:
    """A picture enters a stage."""

    index: int
    name: str
    stage: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished picture: its cutouts (several if there are classes, none if it failed) and its report."""

    index: int
    name: str
    cutouts: tuple[Cutout, ...]
    report: Report
    prediction: Prediction | None = None
    """None if it failed before the prediction."""
    correction: Correction = NOTHING
    """What it was corrected by."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The cutouts' files."""
        return tuple(cutout.file for cutout in self.cutouts)


def run_batch(
    sources: Sequence[Path],
    predictor: Predictor,
    settings: Settings,
    folder: Path,
    export: Export | None = None,
    backdrop: Picture | None = None,
    *,
    thumbnails: int = 0,
    stages: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    workers: int | None = None,
    slots: AbstractContextManager[Any] | None = None,
    namer: Namer | None = None,
    outputs: Destination | None = None,
    indices: Collection[int] | None = None,
    corrections: Mapping[int, Correction] | None = None,
    bases: Bases | None = None,
) -> Generator[Step | Outcome | None, None, None]:
    """Steps as they begin and outcomes as they finish, in any order, while every picture is cut out.

    Each worker takes one picture from decoding to its PNG, so at most `workers` pictures are in memory, however long
    the batch. When nothing happens for a moment it yields None, so the caller is never blocked and can close it: then
    no further picture starts, and those in progress stop at their next stage.

    Args:
        sources: The pictures' files.
        predictor: Predicts the subject. Pictures that it does not know are left out.
        settings: The settings for every picture.
        folder: Where the files go; must exist.
        export: How the cutouts are written; as transparent PNGs if not given.
        backdrop: The picture behind the subject, if `export` needs one.
        thumbnails: Longer side in pixels of a small PNG to write beside each file; 0 for none.
        stages: Also write what a viewer needs: the planes of every stage as grey PNGs.
        limits: Limits for decoding one picture.
        workers: Pictures processed at the same time; the number of cores by default.
        slots: Shared by concurrent batches; a picture is processed only while holding it.
        namer: Names the files; `cutout_names` if not given.
        outputs: Checks each file before it is written to a user's folder, and records it afterwards.
        indices: Indices of the pictures to cut out; all if not given.
        corrections: What a person says about pictures, by index.
        bases: What is solved of the pictures already; pictures with strokes are added.
    """
    export = export or Export()
    job = _Job(
        predictor,
        settings,
        folder,
        export,
        backdrop,
        thumbnails,
        stages,
        limits,
        namer or cutout_names([source.name for source in sources], export.ending, settings.subjects == "each"),
        outputs,
        corrections or {},
        bases,
    )

    def work(index: int, events: Events[Step | Outcome]) -> None:
        def on_stage(stage: str) -> None:
            events.add(Step(index, sources[index].name, stage))

        on_stage("decode")
        events.add(job.cut_out(index, sources[index], on_stage, events.is_stopped))

    chosen = range(len(sources)) if indices is None else sorted(indices)
    return in_parallel(chosen, work, workers=workers, slots=slots)


def not_written(name: str, error: OSError) -> Message:
    """The sentence about a picture whose cutout could not be written."""
    reason = error.strerror or type(error).__name__
    return Message("The cutout of {name} could not be written ({reason}).", name=name, reason=reason)


@dataclass(frozen=True, slots=True)
class _Job:
    """What all pictures of a batch share."""

    predictor: Predictor
    settings: Settings
    folder: Path
    export: Export
    backdrop: Picture | None
    thumbnails: int
    stages: bool
    limits: Limits
    namer: Namer
    outputs: Destination | None
    corrections: Mapping[int, Correction]
    bases: Bases | None

    def cut_out(self, index: int, source: Path, on_stage: OnStage, cancelled: Cancelled) -> Outcome:
        """One picture, from its file to its cutouts. Errors go into the report."""
        correction = self.corrections.get(index, NOTHING)
        has_network = needs_network(correction, self.settings)
        about = (self.predictor.model, *self.predictor.provider(index)) if has_network else (NO_MODEL, NO_MODEL)
        draft = ReportDraft(Report(source.name, *about))
        cutouts: list[Cutout] = []
        prediction: Prediction | None = None
        is_lasting = False
        try:
            if self.outputs:  # before the work, not after
                self.outputs.check(index, [self._file(index, label) for label in self._labels(index, has_network)])
                self.outputs.begin(index)
            with draft.timed("decode"):
                picture = load_image(source, **self.limits._asdict())
            draft.read(picture.size, picture.notes)
            check_inside(correction, picture.size)
            planes = load_planes(correction, picture.size, self.limits)
            draft.add({}, "", planes.notes)
            if has_network:
                prediction = self.predictor.predict(index, picture, on_stage, cancelled, correction.prompt)
                draft.predicted(prediction)
                draft.add({}, "", ignored_settings(prediction, self.settings))
            else:
                prediction = no_prediction()
            sources = sources_of(prediction, self.settings, planes, picture.size, picture.name, for_viewer=self.stages)
            known = Known(self.bases, source) if self.bases else None
            for class_, result in refined(picture, sources, self.settings, correction, on_stage, known):
                draft.add(result.timings, class_, result.warnings)
                on_stage("encode")
                with draft.timed("encode"):
                    cutout, warnings = self._write(picture, result, index, result.label)
                cutouts.append(cutout)
                draft.wrote(cutout.file.relative_to(self.folder).as_posix(), class_, warnings)
            if not cutouts:
                draft.add({}, "", [nothing_found(prediction, self.settings)])
            is_lasting = True
        except SegmentationError as error:
            draft.failed(error.message, by_server=isinstance(error, SessionError | WeightsError))
            is_lasting = isinstance(error, ImageError | MattingError) and not isinstance(error, InTheWayError)
        except MemoryError:
            draft.failed(
                Message("{name} needs more memory than this machine has free. Make it smaller first.", name=source.name)
            )
        except OSError as error:
            draft.failed(not_written(source.name, error), by_server=True)
        if self.outputs and is_lasting:
            draft.add({}, "", self.outputs.finish(index, [each.file for each in cutouts], draft.report.error))
        return Outcome(index, source.name, tuple(cutouts), draft.report, prediction, correction)

    def _labels(self, index: int, has_network: bool) -> Sequence[str]:
        """Labels of the cutouts that a picture may have, as far as they are known before the work."""
        labels = self.predictor.labels(index) if has_network else [""]
        return [numbered(label, 1) for label in labels] if self.settings.subjects == "each" else labels

    def _file(self, index: int, label: str) -> Path:
        return self.folder / self.namer(index, label)

    def _write(self, picture: Picture, result: Result, index: int, label: str) -> tuple[Cutout, tuple[str, ...]]:
        file = self._file(index, label)
        with self.outputs.writing(index, file) if self.outputs else nullcontext(file) as path:
            warnings = save_export(picture, result.foreground, result.alpha, path, self.export, self.backdrop)
        layout = layout_of(result.alpha, self.export)
        small, screen, stages = None, None, dict[str, Path]()
        if self.thumbnails:
            small = save_thumbnail(picture, result, file, self.export, self.backdrop, self.thumbnails)
        if self.stages:
            screen, stages = save_for_viewer(picture, result, file, self.export, self.backdrop)
        return Cutout(
            label, file, layout.box, small, screen, stages, layout.size, layout.subject, layout.density
        ), warnings
