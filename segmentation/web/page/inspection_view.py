"""An inspection, and the proof of a model's contract, as `other_model.js` shows them."""

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np

from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.hub_search import HubHit
from segmentation.models.inspection.facts import GraphFacts
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.inspection.propose import IN_WORDS
from segmentation.picture.encode import to_small_jpeg
from segmentation.picture.resize import resize
from segmentation.proof import Proof
from segmentation.recipe import write_value
from segmentation.web.page.status import COMMERCIAL
from segmentation.web.texts import Say

MASK_SIDE = 192  # pixels of the longer side of a mask that is shown

SOURCES = {
    "given": Message("given by you"),
    "registry": Message("from the registry"),
    "declared": Message("declared by its authors"),
    "graph": Message("read in the graph"),
    "family": Message("usual for such models"),
    "guess": Message("guessed"),
}
"""Source of a value -> words that people see."""


def hits_view(hits: Iterable[HubHit], say: Say) -> list[dict[str, Any]]:
    """Models that a search found."""
    return [
        {
            "id": hit.repo_id,
            "about": say(
                Message(
                    "{downloads} downloads a month, licence {licence}",
                    downloads=f"{hit.downloads:,}",
                    licence=hit.licence or Message("not stated"),
                )
            ),
            "allowed": True,
        }
        for hit in hits
    ]


def inspection_view(found: Inspection, say: Say) -> dict[str, Any]:
    """A model: what it is, how it would be used, and on what that rests."""
    spec, proposal = found.spec, found.proposal
    values = {
        f"{section}.{key}": value
        for section in ("input", "output")
        for key, value in dict(getattr(proposal.contract, section)).items()
    }
    contract = [
        (key, write_value(value), say(SOURCES[proposal.sources[key]]))
        for key, value in values.items()
        if key in proposal.sources and value not in (None, {})
    ]
    return {
        "title": spec.title,
        "url": spec.origin.url or None,
        "confidence": say(Message("Cannot be used here") if proposal.problem else IN_WORDS[found.confidence]),
        "sure": not proposal.problem and found.confidence != "guessed",
        "verdict": [say(sentence) for sentence in found.verdict],
        "licence": say(Message(spec.licence.name)),
        "licence_url": spec.licence.url or None,
        "commercial": say(COMMERCIAL[spec.licence.commercial]).strip("*"),
        "files": [{"file": file.path, "about": f"{file.variant}, {_megabytes(file.size)}"} for file in found.files],
        "file": next((source.filename for source in spec.weights.sources if source.type == "hub"), spec.weights.file),
        "contract": contract,
        "facts": _facts(found.facts, say),
        "entry": _entry(found),
        "entry_name": f"{found.entry_id}.yaml",
    }


def readings_view(proof: Proof, say: Say) -> list[dict[str, Any]]:
    """The readings of a picture, the likeliest first."""
    return [
        {
            "name": say(tried.candidate.name),
            "mask": _mask(tried.probability),
            "about": say(
                Message("no visible difference from {name}", name=proof.ranked[tried.same_as].candidate.name)
                if tried.same_as is not None
                else Message("proposed")
                if place == proof.proposed
                else Message("{share:.0%} likely", share=tried.share)
            ),
        }
        for place, tried in enumerate(proof.ranked)
    ]


def _facts(facts: GraphFacts, say: Say) -> list[tuple[str, str]]:
    rows = [
        *((Message("Input"), f"{each.name}: {each.dtype} {_shape(each.shape)}") for each in facts.inputs),
        *((Message("Output"), f"{each.name}: {each.dtype} {_shape(each.shape)}") for each in facts.outputs),
        (Message("Parameters"), f"{facts.parameters:,}"),
        (Message("Operator set"), str(facts.opset)),
        (Message("Made by"), facts.producer),
        (Message("Data files"), ", ".join(facts.data_files)),
    ]
    return [(say(name), value) for name, value in rows if value]


def _shape(shape: tuple[int | str | None, ...] | None) -> str:
    return "?" if shape is None else " x ".join("?" if edge is None else str(edge) for edge in shape)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 10_000_000 else f"{size / 1e6:.0f} MB"


def _entry(found: Inspection) -> str:
    try:
        return "" if found.proposal.problem or found.spec.registered else found.entry()
    except RegistryError:  # its size is open
        return ""


def _mask(probability: Any) -> str:
    """A data URL: such masks are a few kilobytes, and need no file that must be kept and deleted."""
    height, width = probability.shape
    scale = min(1.0, MASK_SIDE / max(height, width))
    small = resize(probability, (max(1, round(height * scale)), max(1, round(width * scale))), "bilinear")
    grey = np.rint(np.clip(small, 0.0, 1.0) * 255.0).astype(np.uint8)
    return f"data:image/jpeg;base64,{base64.b64encode(to_small_jpeg(grey)).decode()}"
