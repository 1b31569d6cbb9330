"""The public endpoints about models: `/models`, `/inspect` and `/find_models`."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.patch import as_text
from segmentation.proof import Proof, outcome
from segmentation.web.events import progress_bar, shown_errors
from segmentation.web.guard.gradio_seams.endpoints import add_endpoint, describe, events_named
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.uploads import named_path, uploaded_files
from segmentation.web.runs.service import Service

# No `from __future__ import annotations` here: Gradio reads these signatures to describe the API.

_FILE = {"path": "/path/that/the/upload/returned/cat.jpg", "meta": {"_type": "gradio.FileData"}}


def add_model_api(demo: gr.Blocks, service: Service) -> None:
    """Add the endpoints to a page. Call it inside the `Blocks` context."""
    offered = service.offered

    def models() -> list[dict[str, Any]]:
        """The models on offer: purpose, tier, seconds, licence, commercial use, size, and whether loaded."""
        return offered.as_json()

    def inspect(
        model: str = "", picture: gr.FileData | None = None, onnx_file: gr.FileData | None = None
    ) -> Iterator[dict[str, Any]]:
        """What a model is and how it would be used; with a picture, the ways to use it, the likeliest first.

        Args:
            model: owner/name of a model on the Hugging Face Hub, or the id of one that /models lists.
            picture: Uploaded to this server; the ways to use the model are tried on it.
            onnx_file: Instead of `model`: your own file, uploaded to this server, where that is allowed.
        """
        on_progress = progress_bar()
        # not called image and file: Gradio would take these for names of its own texts
        name, upload, path = model, named_path(onnx_file), named_path(picture)
        if upload:
            (file,) = uploaded_files([upload], 1)
            name = offered.named.add_upload(file, file.name).id
        if not name:
            raise SettingsError(Message("Name a model: owner/name on the Hub, or an id that /models lists."))
        found = offered.inspect(name, on_progress)
        proof = (
            service.prove(found, service.picture(path), on_progress) if path and not found.proposal.problem else None
        )
        yield found.as_json() | {"readings": _readings(found, proof) if proof else [], "proof": _said(found, proof)}

    def find_models(words: str = "") -> Iterator[list[dict[str, Any]]]:
        """Segmentation models in ONNX format on the Hugging Face Hub that may be used here, the most downloaded first.

        Args:
            words: What their names contain.
        """
        hits = offered.named.search(str(words))
        yield [{"model": hit.repo_id, "downloads": hit.downloads, "licence": hit.licence or None} for hit in hits]

    add_endpoint(models, api_name="models", queue=False)
    limit = 2 * service.config.concurrency
    for endpoint in (inspect, find_models):
        add_endpoint(shown_errors(endpoint), api_name=endpoint.__name__, concurrency_id="look", concurrency_limit=limit)
    (inspecting,) = events_named(demo, "inspect")
    for component in inspecting.inputs:
        refuse_addresses(component)
    describe(inspecting, {"model": "Xenova/modnet", "picture": _FILE, "onnx_file": None}, ("The inspection",))


def _readings(found: Inspection, proof: Proof) -> list[dict[str, Any]]:
    return [
        {
            "name": str(tried.candidate.name),
            "contract": as_text(tried.candidate.contract, found.spec.contract),
            "proposed": place == proof.proposed,
            "share": round(tried.share, 4),
            "same_as": tried.same_as,
            "coverage": round(tried.measures.area, 4),
        }
        for place, tried in enumerate(proof.ranked)
    ]


def _said(found: Inspection, proof: Proof | None) -> str:
    return str(outcome(proof, found.proposal).sentence) if proof else ""
