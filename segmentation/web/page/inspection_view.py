"""An inspection, and the proof of a model's contract, as `other_model.js` shows them."""

import base64
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from segmentation.arrays import RGB, ProbabilityMap
from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.hub_search import HubHit
from segmentation.models.inspection.facts import GraphFacts
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.inspection.propose import IN_WORDS
from segmentation.models.inspection.verdict import as_message, looks_like, steps
from segmentation.models.spec import HubSource
from segmentation.models.variants import Variant
from segmentation.picture.encode import to_small_webp
from segmentation.picture.resize import resize
from segmentation.proof import Proof
from segmentation.recipe import write_value
from segmentation.web.page.status import COMMERCIAL
from segmentation.web.texts import Say, file_size

TILE_SIDE = 192  # pixels of the longer side of a cutout that is shown

_LIKELY = 0.005  # below this, the percentage would be 0

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
        }
        for hit in hits
    ]


def inspection_view(found: Inspection, say: Say) -> dict[str, Any]:
    """A model: what it is, how it would be used, and on what that rests."""
    spec, proposal = found.spec, found.proposal
    source = next((each for each in spec.weights.sources if isinstance(each, HubSource)), None)
    return {
        "id": spec.id,
        "title": spec.title,
        "url": spec.origin.url or None,
        "repository": source.repo_id if source else "",
        "size": file_size(spec.weights.total) if spec.weights.total else "",
        "confidence": _capital(say(Message("Cannot be used here") if proposal.problem else IN_WORDS[found.confidence])),
        "sure": not proposal.problem and found.confidence != "guessed",
        "usable": not proposal.problem,
        "about": _about(found, say),
        "doubts": [say(as_message(doubt)) for doubt in proposal.doubts],
        "notes": [say(as_message(note)) for note in found.notes],
        "licence": say(Message(spec.licence.name)),
        "licence_url": spec.licence.url or None,
        "commercial": say(COMMERCIAL[spec.licence.commercial]).strip("*"),
        "files": _files(found.files),
        "file": source.filename if source else spec.weights.file,
        "steps": [say(step) for step in steps(found.facts, proposal)],
        "contract": _contract(found, say),
        "facts": _facts(found.facts, say),
        "entry": _entry(found),
        "entry_name": f"{found.entry_id}.yaml",
    }


def readings_view(proof: Proof, rgb: RGB, say: Say) -> list[dict[str, Any]]:
    """The readings of a picture, the likeliest first, each with what it cuts out.

    Args:
        proof: The ranking.
        rgb: The picture.
        say: Translates into the visitor's language.
    """
    return [
        {
            "name": _capital(say(tried.candidate.name)),
            "cutout": _cutout(tried.probability, rgb),
            "about": say(
                Message("looks the same")
                if tried.same_as is not None
                else Message("proposed")
                if place == proof.proposed
                else Message("{share:.0%} likely", share=tried.share)
                if tried.share >= _LIKELY
                else Message("unlikely")
            ),
        }
        for place, tried in enumerate(proof.ranked)
    ]


def _about(found: Inspection, say: Say) -> list[str]:
    if found.proposal.problem:
        return [say(as_message(found.proposal.problem))]
    names = found.spec.output.class_names
    classes = Message("It tells {count} classes apart, which can be chosen above.", count=len(names))
    return [say(looks_like(found.facts, found.proposal)), *([say(classes)] if names else [])]


def _files(files: tuple[Variant, ...]) -> list[dict[str, str]]:
    """The variants by their precision, or by their paths where that does not tell them apart."""
    times = Counter(file.format for file in files)
    return [
        {
            "file": file.path,
            "name": file.format if times[file.format] == 1 else file.path,
            "size": file_size(file.size),
        }
        for file in files
    ]


def _contract(found: Inspection, say: Say) -> list[tuple[str, str, str]]:
    proposal = found.proposal
    values = {
        f"{section}.{key}": value
        for section in ("input", "output")
        for key, value in dict(getattr(proposal.contract, section)).items()
    }
    return [
        (key, write_value(value).replace(",", ", "), say(SOURCES[proposal.sources[key]]))
        for key, value in values.items()
        if key in proposal.sources and value not in (None, {})
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


def _entry(found: Inspection) -> str:
    try:
        return "" if found.proposal.problem or found.spec.registered else found.entry()
    except RegistryError:  # its size is open
        return ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cutout(probability: ProbabilityMap, rgb: RGB) -> str:
    """A data URL: such cutouts are a few kilobytes, and need no file that must be kept and deleted."""
    height, width = rgb.shape[:2]
    scale = min(1.0, TILE_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    alpha = np.rint(np.clip(resize(probability, size, "bilinear"), 0.0, 1.0) * 255.0).astype(np.uint8)
    tile = np.dstack([resize(rgb, size, "bilinear"), alpha])
    return f"data:image/webp;base64,{base64.b64encode(to_small_webp(tile)).decode()}"
