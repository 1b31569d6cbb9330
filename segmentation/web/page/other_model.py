"""Another model than those on offer: looked up by its name, inspected, tried on the visitor's picture, and used."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_search import HubHit
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.patch import as_text
from segmentation.proof import Proof, outcome
from segmentation.web.background import with_progress
from segmentation.web.events import OnProgress
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.uploads import uploaded_files
from segmentation.web.page.controls import Controls
from segmentation.web.page.inspection_view import hits_view, inspection_view, readings_view
from segmentation.web.page.pictures import GalleryValue, Pictures
from segmentation.web.page.scripts import scripted
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.texts import Say, i18n, speaker

Updates = Iterator[dict[Any, Any]]
T = TypeVar("T")

SURE = ("known", "consistent", "likely")
"""Levels of an outcome at which nothing needs checking."""


@dataclass(frozen=True)
class Looked:
    """What a page shows of another model."""

    hits: tuple[HubHit, ...] = ()
    found: Inspection | None = None
    proof: Proof | None = None
    readings: tuple[dict[str, Any], ...] = ()
    """As `readings_view` shows the proof."""
    picture: str = ""
    """Name of the picture of the proof."""
    chosen: int = 0
    """Index of the reading that is used."""
    status: str = ""
    failed: bool = False
    busy: bool = False
    share: float | None = None
    """Progress in 0..1 while it is busy; None if it is unknown."""

    @property
    def contract(self) -> str:
        """The chosen reading, as the setting of the same name."""
        if not self.found or not self.proof:
            return ""
        return as_text(self.proof.ranked[self.chosen].candidate.contract, self.found.spec.contract)


class OtherModel:
    """The panel, whose `submit` event has an action and its value: look, file, try, pick, use."""

    def __init__(self, service: Service, controls: Controls, model: Any) -> None:
        """Lay out the panel in the current context.

        Args:
            service: Finds and runs models.
            controls: The controls, of which the contract is set.
            model: The control of the model, laid out before.
        """
        self._service, self._controls, self._model = service, controls, model
        self._uploads = service.config.model_uploads
        self.panel = scripted("other_model", self._shown(Looked(), str))
        # the panel has a button for it
        self.upload = gr.UploadButton(
            i18n("upload_model"), file_types=[".onnx"], elem_id="upload_model", elem_classes="unseen",
            visible=self._uploads,
        )  # fmt: skip
        refuse_addresses(self.upload)
        self.looked = gr.State(Looked())

    @property
    def outputs(self) -> list[Any]:
        """What the handlers update."""
        return [self.panel, self.looked, self._model, self._controls.by_name["contract"]]

    def act(
        self,
        selected: str,
        looked: Looked,
        pictures: GalleryValue,
        run: Run | None,
        request: gr.Request,
        event: gr.EventData,
    ) -> Updates:
        """Do what the visitor asked for in the panel."""
        action, value = getattr(event, "action", None), getattr(event, "value", None)  # not trusted
        say, picture = speaker(request), _picture(pictures, run, selected)
        if action == "look":
            yield from self._look(str(value)[:500].strip(), picture, say)
        elif action == "file" and looked.found:
            reference = HubReference.parse(looked.found.spec.id)
            if reference is not None:
                yield from self._look(str(replace(reference, file=str(value)[:300])), picture, say, looked)
        elif action == "try" and looked.found:
            yield from self._try(looked, picture, say)
        elif action == "pick" and looked.proof and type(value) is int and 0 <= value < len(looked.proof.ranked):
            yield self._used(replace(looked, chosen=value), say)
        elif action == "use" and looked.found and not looked.found.proposal.problem:
            yield self._used(looked, say)
        else:
            yield {self.panel: gr.skip()}

    def unfold(self, model: str) -> Any:
        """Open the panel for what the visitor typed into the list of models.

        This is an event of its own: Gradio lays out the panel when it is opened, which an update would disturb.
        """
        known = not isinstance(model, str) or self._service.offered.named.known(model)
        return gr.skip() if known else gr.Accordion(open=True)

    def name(
        self, selected: str, model: str, looked: Looked, pictures: GalleryValue, run: Run | None, request: gr.Request
    ) -> Updates:
        """Look up what the visitor typed into the list of models, unless it is in the list."""
        if not isinstance(model, str) or self._service.offered.named.known(model):
            yield {self._controls.by_name["contract"]: self.contract_of(looked, model)}
            return
        yield from self._look(model.strip()[:500], _picture(pictures, run, selected), speaker(request))

    def uploaded(
        self, selected: str, file: Any, pictures: GalleryValue, run: Run | None, request: gr.Request
    ) -> Updates:
        """Take a visitor's own model."""
        say = speaker(request)
        try:
            (path,) = uploaded_files([file], 1)
            spec = self._service.offered.named.add_upload(path, path.name)
        except SegmentationError as error:
            yield self._update(_failed(Looked(), error, say), say)
            return
        yield from self._look(spec.id, _picture(pictures, run, selected), say)

    def stop(self, looked: Looked, request: gr.Request) -> dict[Any, Any]:
        """Show that the visitor cancelled what was going on."""
        say = speaker(request)
        stopped = Looked(found=looked.found, status=say(Message("Stopped.")))
        return self._update(stopped, say)

    @staticmethod
    def contract_of(looked: Looked, model: Any) -> str:
        """The contract that belongs to a model which the visitor chose: that of another would not fit."""
        return looked.contract if looked.found and looked.found.spec.id == model else ""

    def _look(self, text: str, picture: str | None, say: Say, before: Looked | None = None) -> Updates:
        """Look up a name or words.

        Args:
            text: What the visitor entered.
            picture: Path of the picture to try the model on, if there is one.
            say: Translates into the visitor's language.
            before: What is shown meanwhile.
        """
        named = self._service.offered.named
        waiting = replace(before or Looked(), status=say(Message("Looking up the model…")), failed=False, busy=True)
        yield self._update(waiting, say)
        try:
            if not named.is_name(text):
                hits = yield from self._waiting(waiting, lambda _: named.search(text), say)
                none = Message("No model was found for these words. Try others, or enter owner/name.")
                yield self._update(Looked(hits, status="" if hits else say(none)), say)
                return
            found = yield from self._waiting(waiting, lambda report: self._service.offered.inspect(text, report), say)
        except SegmentationError as error:
            yield self._update(_failed(before or Looked(), error, say), say)
            return
        looked = Looked(found=found)
        if found.proposal.problem:
            yield self._update(looked, say)
        elif picture and not found.spec.registered:
            yield self._used(replace(looked, busy=True), say)
            yield from self._try(looked, picture, say)
        else:
            yield self._used(looked, say)

    def _try(self, looked: Looked, picture: str | None, say: Say) -> Updates:
        found = looked.found
        assert found is not None
        if picture is None:
            yield self._update(replace(looked, status=say(Message("Add a picture first."))), say)
            return
        waiting = replace(looked, status=say(Message("Trying it on your picture…")), failed=False, busy=True)
        yield self._update(waiting, say)

        def prove(report: OnProgress) -> Looked:
            loaded = self._service.picture(picture)
            proof = self._service.prove(found, loaded, report)
            readings = readings_view(proof, loaded.rgb, say)
            return Looked(found=found, proof=proof, readings=tuple(readings), picture=Path(picture).name)

        try:
            proven = yield from self._waiting(waiting, prove, say)
        except SegmentationError as error:
            yield self._update(_failed(looked, error, say), say)
            return
        yield self._used(proven, say)

    def _waiting(
        self, waiting: Looked, work: Callable[[OnProgress], T], say: Say
    ) -> Generator[dict[Any, Any], None, T]:
        """Show the progress of some work until it is done, or the visitor cancels it."""
        going_on = with_progress(work)
        while True:
            try:
                progress = next(going_on)
            except StopIteration as done:
                result: T = done.value
                return result
            if progress is None:
                yield {self.panel: gr.skip()}
            else:
                yield self._update(replace(waiting, status=say(progress[0]), share=progress[1]), say)

    def _used(self, looked: Looked, say: Say) -> dict[Any, Any]:
        """The model is chosen, with the chosen reading."""
        assert looked.found is not None
        return self._update(looked, say) | {
            self._model: self._controls.model_update(looked.found.spec),
            self._controls.by_name["contract"]: looked.contract,
        }

    def _update(self, looked: Looked, say: Say) -> dict[Any, Any]:
        return {self.panel: self._shown(looked, say), self.looked: looked}

    def _shown(self, looked: Looked, say: Say) -> dict[str, Any]:
        found, proof = looked.found, looked.proof
        known = outcome(proof, found.proposal) if proof and found else None
        return {
            "status": looked.status,
            "failed": looked.failed,
            "busy": looked.busy,
            "share": looked.share,
            "uploads": self._uploads,
            "hits": hits_view(looked.hits, say),
            "model": inspection_view(found, say) if found else None,
            "readings": list(looked.readings),
            "picture": looked.picture,
            "chosen": looked.chosen,
            "proof": say(known.sentence) if known else "",
            "proven": known is not None and known.level in SURE,
        }


def _failed(looked: Looked, error: SegmentationError, say: Say) -> Looked:
    return replace(looked, status=say(error.message), failed=True, busy=False)


def _picture(pictures: GalleryValue, run: Run | None, key: str) -> str | None:
    """The picture to try a model on: the selected one, or else the first."""
    selected = run.outcomes.selected(key) if run else None
    if run and selected:
        return str(run.predictions.sources[selected[0]])
    return next(iter(Pictures.names(pictures)), None)
