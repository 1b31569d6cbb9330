"""The public endpoints `/segment`, `/refine` and `/score`: typed for clients, checked in the core."""

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.recipe import DEFAULTS, Recipe
from segmentation.score.board import Board
from segmentation.settings import FIELDS, help_text
from segmentation.web.events import OnProgress, progress_bar, shown_errors
from segmentation.web.guard.gradio_seams.endpoints import add_endpoint, describe, events_named, reader_keys
from segmentation.web.guard.gradio_seams.files import refuse_addresses
from segmentation.web.guard.readers import is_gone
from segmentation.web.guard.uploads import named_path, named_paths
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.run import Run
from segmentation.web.runs.said import PARAMETERS, said_about
from segmentation.web.runs.scoring import as_json, checked, fill
from segmentation.web.runs.service import Service

# No `from __future__ import annotations` here: Gradio reads these signatures to describe the API.

log = logging.getLogger(__name__)

QUEUE_NAME = "segment"  # page and API share one queue

# JSON types of settings whose Python types JSON cannot express
_TYPES: dict[str, Any] = {
    "alpha_matting_erode_size": int | str,
    "classes": str | list[str],
    "mean": float | list[float] | None,
    "std": float | list[float] | None,
    "size": int | list[int] | None,
    "background": str,
    "canvas": str,
    "canvas_margin": float | list[float],
}
_FILE = {"path": "/path/that/the/upload/returned/cat.jpg", "meta": {"_type": "gradio.FileData"}}
_EXAMPLES: dict[str, Any] = {
    "images": [_FILE], "backdrop": None, "run": "`run` from the report of /segment", "pictures": [0],
}  # fmt: skip
_FILES = list[gr.FileData | None] | gr.FileData | None
_STROKES = """\
For each picture a list of strokes, or null: [[{"kind": "keep", "radius": 8, "points": [[x, y], ...]}], null], with
"remove" for background and "solve" for hair, in pixels of the picture. Send long ones as JSON text.
"""
_POINTS = """\
For each picture a list of clicks, or null: [[{"x": 120, "y": 80, "keep": true}], null]. Only the subjects under them
stay, or all without those under clicks with keep false.
"""
_SAID: dict[str, tuple[Any, Any, str]] = {
    "strokes": (list[Any] | str | None, None, _STROKES),
    "points": (list[Any] | str | None, None, _POINTS),
    "box": (
        list[Any] | str | None,
        None,
        "For each picture a box, or null: [[left, top, right, bottom], null]. Only subjects mostly in it stay.",
    ),
    "candidate": (
        list[int | None] | int | None,
        None,
        "For each picture which answer of a model that is pointed at is taken; 1, its best, by default.",
    ),
    "mask": (_FILES, None, "For each picture its own mask, uploaded, or null: white is the subject. See mask_mode."),
    "trimap": (
        _FILES,
        None,
        "For each picture its own trimap, uploaded, or null: levels to 10 are background, from 245 foreground.",
    ),
}
"""Parameters about each picture: type, default and text."""
_AS_IN_SEGMENT = "As in /segment, with one entry for each of `pictures`."
_ANSWER = tuple[list[gr.FileData], list[dict[str, Any]]]


def add_api(demo: gr.Blocks, service: Service) -> None:
    """Add the public endpoints to a page. Call it inside the `Blocks` context."""

    def segment(
        images: Any, model: Any, backdrop: Any, settings: dict[str, Any], said: dict[str, Any]
    ) -> Iterator[Any]:
        """Cut the subjects out of pictures. Returns the files and a report with one entry per picture."""
        on_progress, paths = progress_bar(), named_paths(images)
        corrections = said_about(range(len(paths)), said)
        run = service.new_run(paths, Recipe.of(model, settings), named_path(backdrop), on_progress, corrections)
        yield from _files_and_reports(service, run, on_progress)

    def refine(run: Any, pictures: Any, backdrop: Any, settings: dict[str, Any], said: dict[str, Any]) -> Iterator[Any]:
        """Make new cutouts from the predictions of an earlier /segment, with other settings. The network is not run.

        Returns the same as /segment. Omitted settings take their defaults, not the values of that run, and omitted
        strokes, points, boxes, masks and trimaps are none; mean, std, size and contract keep the values of that run.
        """
        on_progress = progress_bar()
        predictions = service.predictions.get(run)
        recipe = Recipe.of(predictions.recipe.model, settings)
        indices = sorted(predictions.by_picture) if pictures is None else _numbers(pictures, predictions)
        corrections = said_about(indices, said)
        again = service.refinement(predictions, recipe, named_path(backdrop), indices, on_progress, corrections)
        yield from _files_and_reports(service, again, on_progress)

    def score(
        images: list[gr.FileData],
        truths: list[gr.FileData],
        models: list[str] | None = None,
        settings: list[dict[str, Any]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Measure models and settings on pictures whose true mattes or masks are known. Returns totals and pictures.

        Args:
            images: The pictures, uploaded to this server.
            truths: Their true mattes or masks, in the same order: grey pictures, or cutouts with transparency.
            models: Ids of models that /models lists; the default model by default.
            settings: Settings by name, as in /segment; every model is scored with each. The defaults by default.
        """
        on_progress = progress_bar()
        default = [service.offered.registry().default.id]
        wanted = checked(
            service,
            named_paths(images),
            named_paths(truths),
            default if models is None else models,
            [{}] if settings is None else settings,
        )
        start, keys = time.monotonic(), reader_keys()
        board = Board([candidate.name for candidate in wanted.candidates])
        for _ in fill(board, service, wanted, on_progress, lambda: bool(keys) and is_gone(keys, start)):
            yield {"totals": [], "pictures": []}  # a client that shows them would get each of them at every step
        yield as_json(wanted, board)

    required = inspect.Parameter.empty
    endpoints = [
        _endpoint(
            segment,
            {
                "images": (list[gr.FileData], required, "The pictures, uploaded to this server."),
                "model": (
                    str,
                    service.offered.registry().default.id,
                    "Id of a model that /models lists, or owner/name on the Hub.",
                ),
                **_SAID,
                "backdrop": (gr.FileData | None, None, "The background picture, also uploaded, for 'picture'."),
            },
        ),
        _endpoint(
            refine,
            {
                "run": (str, required, "`run` from the report of /segment."),
                "pictures": (list[int] | None, None, "Numbers of the pictures in that report, from 0; null for all."),
                **{name: (type_, default, _AS_IN_SEGMENT) for name, (type_, default, _) in _SAID.items()},
                "backdrop": (gr.FileData | None, None, "As in /segment."),
            },
        ),
    ]
    for endpoint in endpoints:
        limit = service.config.runs
        add_endpoint(endpoint, api_name=endpoint.__name__, concurrency_id=QUEUE_NAME, concurrency_limit=limit)
    add_endpoint(
        shown_errors(score), api_name="score", concurrency_id=QUEUE_NAME, concurrency_limit=service.config.runs
    )
    (scoring,) = events_named(demo, "score")
    describe(scoring, _EXAMPLES | {"truths": [_FILE], "models": ["u2netp"], "settings": [{}]}, ("The scores",))
    for component in scoring.inputs:
        refuse_addresses(component)
    for event in events_named(demo, "segment", "refine"):
        for component in event.inputs:
            refuse_addresses(component)
        describe(event, _EXAMPLES, ("The cutouts", "The report, one entry per picture"))


def _endpoint(work: Callable[..., Iterator[Any]], own: dict[str, tuple[Any, Any, str]]) -> Callable[..., Iterator[Any]]:
    """An endpoint with its own parameters plus one per setting, so that defaults and texts are defined once.

    Args:
        work: Called with the endpoint's own parameters by name, with all settings as one dict, and with what is said
            about each picture as another.
        own: Type, default and text of the endpoint's own parameters.
    """
    types = {name: field.annotation for name, field in FIELDS.items()} | _TYPES
    described = own | {name: (types[name], default, help_text(name)) for name, default in DEFAULTS.items()}
    required = {name: entry for name, entry in described.items() if entry[1] is inspect.Parameter.empty}
    # these last, since parameters that people set more often come first, and places stay what they were
    last = "backdrop", *PARAMETERS
    ordered = required | {name: described[name] for name in described if name not in (*required, *last)}
    ordered |= {name: described[name] for name in last}
    signature = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=type_)
            for name, (type_, default, _) in ordered.items()
        ],
        return_annotation=_ANSWER,  # a client gets the last value that the generator yields
    )

    def endpoint(*args: Any, **kwargs: Any) -> Iterator[Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = bound.arguments
        settings = {name: values.pop(name) for name in DEFAULTS}
        said = {name: values.pop(name) for name in PARAMETERS}
        yield from work(**{name: values[name] for name in own if name not in said}, settings=settings, said=said)

    endpoint = shown_errors(endpoint)
    lines = [f"    {name}: {' '.join(text.split())}" for name, (_, _, text) in ordered.items()]
    endpoint.__doc__ = f"{inspect.getdoc(work)}\n\nArgs:\n" + "\n".join(lines)
    endpoint.__name__ = endpoint.__qualname__ = work.__name__
    endpoint.__signature__ = signature  # type: ignore[attr-defined]
    endpoint.__annotations__ = {name: entry.annotation for name, entry in signature.parameters.items()} | {
        "return": _ANSWER
    }
    return endpoint


def _files_and_reports(service: Service, run: Run, on_progress: OnProgress) -> Iterator[Any]:
    start, keys = time.monotonic(), reader_keys()
    for _ in service.work.process(run, on_progress, is_gone=lambda: bool(keys) and is_gone(keys, start)):
        yield [], _reports(run)  # no files yet: clients would download them at every step
    yield files_of(run), _reports(run)


def _numbers(pictures: Any, predictions: Predictions) -> list[int]:
    known = sorted(predictions.by_picture)
    # 0.0 and False equal 0, but are not picture numbers
    if not isinstance(pictures, list) or not pictures or any(type(n) is not int or n not in known for n in pictures):
        listed = ", ".join(map(str, known))
        raise SettingsError(Message("pictures must be a list of picture numbers of this run: {listed}.", listed=listed))
    return pictures


def _reports(run: Run) -> list[dict[str, Any]]:
    return [report.as_json() for report in run.outcomes.reports]


def files_of(run: Run) -> list[gr.FileData]:
    """The cutouts as file objects that Gradio serves unchanged."""
    files = [cutout.file for _, cutout in run.outcomes.cutouts]
    return [gr.FileData(path=str(file), orig_name=file.name).model_dump() for file in files]  # type: ignore[misc]
