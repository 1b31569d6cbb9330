"""Another model than those on offer: looked up by its name, inspected, tried on the visitor's picture, and used."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_search import HubHit
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.patch import as_text
from segmentation.proof import Proof, outcome
from segmentation.web.events import progress_bar
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


@dataclass(frozen=True)
class Looked:
    """What a page shows of another model."""

    hits: tuple[HubHit, ...] = ()
    found: Inspection | None = None
    proof: Proof | None = None
    chosen: int = 0
    """Index of the reading that is used."""
    status: str = ""
    failed: bool = False
    busy: bool = False


class OtherModel:
    """The panel, whose `submit` event has an action and its value: look, file, try, pick."""

    def __init__(self, service: Service, controls: Controls, model: Any) -> None:
        """Lay out the panel in the current context.

        Args:
            service: Finds and runs models.
            controls: The controls, of which the contract is set.
            model: The control of the model, laid out before.
        """
        self._service, self._controls, self._model = service, controls, model
        self.panel = scripted("other_model", _shown(Looked(), False, str))
        self.upload = gr.UploadButton(
            i18n("upload_model"), file_types=[".onnx"], size="sm", elem_id="upload_model",
            visible=service.config.model_uploads,
        )  # fmt: skip
        refuse_addresses(self.upload)
        self.looked = gr.State(Looked())

    @property
    def outputs(self) -> list[Any]:
        """What the handlers update."""
        return [self.panel, self.looked, self._model, self._controls.by_name["contract"]]

    def act(
        self, looked: Looked, pictures: GalleryValue, run: Run | None, request: gr.Request, event: gr.EventData
    ) -> Updates:
        """Do what the visitor asked for in the panel."""
        action, value = getattr(event, "action", None), getattr(event, "value", None)  # not trusted
        say, picture = speaker(request), _picture(pictures, run)
        if action == "look":
            yield from self._look(str(value)[:500].strip(), picture, say)
        elif action == "file" and looked.found:
            reference = HubReference.parse(looked.found.spec.id)
            if reference is not None:
                yield from self._look(str(replace(reference, file=str(value)[:300])), picture, say)
        elif action == "try" and looked.found and picture:
            yield from self._try(looked, picture, say)
        elif action == "pick" and looked.proof and type(value) is int and 0 <= value < len(looked.proof.ranked):
            yield self._picked(replace(looked, chosen=value), bool(picture), say)
        else:
            yield {self.panel: gr.skip()}

    def name(self, model: str, pictures: GalleryValue, run: Run | None, request: gr.Request) -> Updates:
        """Look up what the visitor typed into the list of models, unless it is in the list."""
        if not isinstance(model, str) or self._service.offered.named.known(model):
            yield {self.panel: gr.skip()}
            return
        yield from self._look(model.strip(), _picture(pictures, run), speaker(request))

    def uploaded(self, file: Any, pictures: GalleryValue, run: Run | None, request: gr.Request) -> Updates:
        """Take a visitor's own model."""
        say, picture = speaker(request), _picture(pictures, run)
        try:
            (path,) = uploaded_files([file], 1)
            spec = self._service.offered.named.add_upload(path, path.name)
        except SegmentationError as error:
            yield self._update(Looked(status=say(error.message), failed=True), bool(picture), say)
            return
        yield from self._look(spec.id, picture, say)

    def _look(self, text: str, picture: str | None, say: Say) -> Updates:
        yield self._update(Looked(status=say(Message("Looking up the model…")), busy=True), bool(picture), say)
        offered = self._service.offered
        try:
            if not offered.named.is_name(text):
                hits = offered.named.search(text)
                none = Message("No model was found for these words. Try others, or enter owner/name.")
                yield self._update(Looked(hits, status="" if hits else say(none)), bool(picture), say)
                return
            found = offered.inspect(text, progress_bar(say))
        except SegmentationError as error:
            yield self._update(Looked(status=say(error.message), failed=True), bool(picture), say)
            return
        looked = Looked(found=found)
        if found.proposal.problem:
            yield self._update(looked, bool(picture), say)
            return
        yield self._picked(looked, bool(picture), say) | {self._model: self._controls.model_update(found.spec)}
        if picture and not found.spec.registered:
            yield from self._try(looked, picture, say)

    def _try(self, looked: Looked, picture: str, say: Say) -> Updates:
        assert looked.found is not None
        waiting = replace(looked, status=say(Message("Trying it on your picture…")), busy=True)
        yield self._update(waiting, True, say)
        try:
            proof = self._service.prove(looked.found, picture, progress_bar(say))
        except SegmentationError as error:
            yield self._update(replace(looked, status=say(error.message), failed=True), True, say)
            return
        yield self._picked(replace(looked, proof=proof, chosen=0, status="", busy=False), True, say)

    def _picked(self, looked: Looked, has_picture: bool, say: Say) -> dict[Any, Any]:
        """Use the chosen reading."""
        text = ""
        if looked.found and looked.proof:
            text = as_text(looked.proof.ranked[looked.chosen].candidate.contract, looked.found.spec.contract)
        return self._update(looked, has_picture, say) | {self._controls.by_name["contract"]: text}

    def _update(self, looked: Looked, has_picture: bool, say: Say) -> dict[Any, Any]:
        return {self.panel: _shown(looked, has_picture, say), self.looked: looked}


def _picture(pictures: GalleryValue, run: Run | None) -> str | None:
    """The picture to try a model on: the selected one, or else the first."""
    selected = run.view.selected if run else None
    if run and selected:
        return str(run.predictions.sources[selected[0]])
    return next(iter(Pictures.names(pictures)), None)


def _shown(looked: Looked, has_picture: bool, say: Say) -> dict[str, Any]:
    found, proof = looked.found, looked.proof
    return {
        "status": looked.status,
        "failed": looked.failed,
        "busy": looked.busy,
        "hits": hits_view(looked.hits, say),
        "model": inspection_view(found, say) if found else None,
        "has_picture": has_picture and bool(found and not found.proposal.problem),
        "readings": readings_view(proof, say) if proof else [],
        "chosen": looked.chosen,
        "proof": say(outcome(proof, found.proposal).sentence) if proof and found else "",
    }
