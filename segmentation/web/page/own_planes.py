"""A visitor's own mask and trimap of the selected picture."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from segmentation.corrected import load_planes
from segmentation.corrections import NOTHING, Correction, check_inside
from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.uploads import touch_files, uploaded_files
from segmentation.web.page.controls import Controls
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.status import line
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, i18n, speaker

Kind = Literal["mask", "trimap"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is said before there is a run."""

    first: Correction = NOTHING
    """About the first picture, by the page's link."""
    by_path: tuple[tuple[Path, Correction], ...] = ()
    """About uploaded pictures."""

    def of(self, path: Path) -> Correction:
        """What is said about an uploaded picture."""
        return dict(self.by_path).get(path, NOTHING)

    def having(self, path: Path, correction: Correction) -> "Waiting":
        """The same, but this about an uploaded picture."""
        return replace(self, by_path=tuple((dict(self.by_path) | {path: correction}).items()))


class OwnPlanes:
    """The buttons that add and remove them, and their handlers."""

    def __init__(self, service: Service, controls: Controls) -> None:
        """Lay out the buttons in the current context."""
        self._service, self._controls = service, controls
        with gr.Row(elem_id="own_planes"):
            self.uploads: dict[Kind, Any] = {
                kind: gr.UploadButton(
                    i18n(f"own_{kind}"), file_types=["image"], size="sm", elem_id=f"own_{kind}", min_width=100
                )
                for kind in ("mask", "trimap")
            }
            self.remove = gr.Button(i18n("own_remove"), size="sm", elem_id="own_remove", min_width=100, visible=False)
        for upload in self.uploads.values():
            refuse_addresses(upload)
        self.status = gr.HTML(line(""), elem_id="own_status")
        self.waiting = gr.State(Waiting())

    @property
    def outputs(self) -> list[Any]:
        """What the handlers update."""
        return [self.status, self.remove, self._controls.by_name["mask_mode"], self.waiting]

    def take_mask(
        self, selected: str, file: Any, pictures: GalleryValue, run: Run | None, waiting: Waiting, request: gr.Request
    ) -> dict[Any, Any]:
        """Use an uploaded file as mask of the selected picture, or of the first one before there is a run."""
        return self._take("mask", selected, file, pictures, run, waiting, request)

    def take_trimap(
        self, selected: str, file: Any, pictures: GalleryValue, run: Run | None, waiting: Waiting, request: gr.Request
    ) -> dict[Any, Any]:
        """The same for a trimap."""
        return self._take("trimap", selected, file, pictures, run, waiting, request)

    def _take(
        self,
        kind: Kind,
        selected: str,
        file: Any,
        pictures: GalleryValue,
        run: Run | None,
        waiting: Waiting,
        request: gr.Request,
    ) -> dict[Any, Any]:
        say = speaker(request)
        try:
            (plane,) = uploaded_files([file], 1)
            index, path = self._picture(selected, pictures, run)
            # it is read now, so that the visitor learns at once if it does not fit
            size, limits = self._service.picture(str(path)).size, self._service.config.limits
            notes = load_planes(_with(kind, plane, NOTHING), size, limits).notes
        except SegmentationError as error:
            return {self.status: line(say(error.message))}
        touch_files([plane])
        if run:
            run.corrections.change(index, partial(_with, kind, plane))
        else:
            waiting = waiting.having(path, _with(kind, plane, waiting.of(path)))
        return self._shown(run, index, path, waiting, say, notes)

    def drop(
        self, selected: str, pictures: GalleryValue, run: Run | None, waiting: Waiting, request: gr.Request
    ) -> dict[Any, Any]:
        """Remove both from the selected picture."""
        say = speaker(request)
        try:
            index, path = self._picture(selected, pictures, run)
        except SegmentationError as error:
            return {self.status: line(say(error.message))}
        if run:
            run.corrections.change(index, lambda known: known.with_files(None, None))
        else:
            waiting = waiting.having(path, NOTHING)
        return self._shown(run, index, path, waiting, say)

    def show(self, selected: str, run: Run | None, request: gr.Request) -> dict[Any, Any]:
        """What the selected picture of a run has."""
        if run is None:
            return {self.status: gr.skip()}
        try:
            index = _index(selected, run)
        except SettingsError:  # the viewer will show another picture in a moment
            return {self.status: gr.skip()}
        return self._shown(run, index, run.predictions.sources[index], Waiting(), speaker(request))

    def _picture(self, selected: str, pictures: GalleryValue, run: Run | None) -> tuple[int, Path]:
        """Number and path of the picture that is meant.

        Raises:
            SegmentationError: There is none.
        """
        if run:
            index = _index(selected, run)
            return index, run.predictions.sources[index]
        return 0, uploaded_files(Pictures.names(pictures)[:1], 1)[0]

    def _shown(
        self, run: Run | None, index: int, path: Path, waiting: Waiting, say: Say, notes: tuple[str, ...] = ()
    ) -> dict[Any, Any]:
        said = list(run.corrections.snapshot().values()) if run else [each for _, each in waiting.by_path]
        own = run.corrections.get(index) if run else waiting.of(path)
        sentences = []
        if own.mask:
            sentences.append(Message("{name} is the own mask of {picture}.", name=own.mask.name, picture=path.name))
        if own.trimap:
            sentences.append(Message("{name} is the own trimap of {picture}.", name=own.trimap.name, picture=path.name))
        return {
            self.status: line(" ".join(map(say, [*sentences, *notes]))),
            self.remove: gr.update(visible=bool(own.mask or own.trimap)),
            self._controls.by_name["mask_mode"]: gr.update(visible=any(each.mask for each in said)),
            self.waiting: waiting,
        }

    def corrections(self, pictures: list[str], waiting: Waiting) -> tuple[dict[int, Correction], Message | None]:
        """What was said before there was a run, by number of the picture, and a sentence about what does not fit.

        Raises:
            SegmentationError: A picture is no upload, or the first one cannot be read.
        """
        sources = uploaded_files(pictures, self._service.config.max_pictures)
        said = {index: waiting.of(source) for index, source in enumerate(sources) if waiting.of(source)}
        if waiting.first:
            try:
                check_inside(waiting.first, self._service.picture(pictures[0]).size)
            except SegmentationError:
                return said, LINK_DOES_NOT_FIT
            own = said.get(0, NOTHING)
            said[0] = waiting.first.with_files(own.mask, own.trimap)
        return said, None


NOT_THERE = Message("The selected picture has not been cut out by the new run yet. Wait for it, then try again.")
LINK_DOES_NOT_FIT = Message("The strokes of the link do not fit this picture and were left out.")


def _with(kind: Kind, plane: Path, known: Correction) -> Correction:
    return known.with_files(*((plane, known.trimap) if kind == "mask" else (known.mask, plane)))


def _index(selected: str, run: Run) -> int:
    """Number of the picture that the viewer shows; the first before it shows any.

    Raises:
        SettingsError: The run has no such picture.
    """
    index = run.outcomes.picture_of(selected) if selected else 0  # not trusted: set by the client
    if index is None:
        raise SettingsError(NOT_THERE)
    return index
