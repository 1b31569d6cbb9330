"""The public endpoints, `/segment` and `/models`: typed for clients, checked in the core, one place for errors."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from segmentation.errors import SegmentationError
from segmentation.settings import Settings
from segmentation.web.service import Run, Service
from segmentation.web.uploads import refuse_addresses

# No `from __future__ import annotations` here: Gradio reads these signatures to describe the API.

log = logging.getLogger(__name__)

DEFAULTS = Settings()
QUEUE_NAME = "segment"  # page and API share one queue

P = ParamSpec("P")
T = TypeVar("T")


def shown_errors(run: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Turn our errors into Gradio's, which carry their sentence to page and client. Anything else is a bug: logged."""

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from run(*args, **kwargs)
        except SegmentationError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped


def add_api(demo: gr.Blocks, service: Service) -> None:
    """Add the public endpoints to a page. Call it inside the `Blocks` context."""
    default_model = next(iter(service.registry()))

    @shown_errors
    def segment(
        images: list[gr.FileData],
        model: str = default_model,
        alpha_matting: bool = DEFAULTS.alpha_matting,
        alpha_matting_foreground_threshold: int = DEFAULTS.alpha_matting_foreground_threshold,
        alpha_matting_background_threshold: int = DEFAULTS.alpha_matting_background_threshold,
        alpha_matting_erode_size: int | str = DEFAULTS.alpha_matting_erode_size,
        matting_method: Literal["fast", "closed-form"] = DEFAULTS.matting_method,
        trust_mask: float = DEFAULTS.trust_mask,
        post_process_mask: bool = DEFAULTS.post_process_mask,
        mean: float | list[float] | None = None,
        std: float | list[float] | None = None,
        size: int | list[int] | None = None,
    ) -> Iterator[tuple[list[gr.FileData], list[dict[str, Any]]]]:
        """Cut the subjects out of pictures. Returns the PNG files and a report with an entry for each picture.

        Args:
            images: The pictures, uploaded to this server.
            model: Id of a model that /models lists.
            alpha_matting: Solve for the opacity of the pixels around the outline.
            alpha_matting_foreground_threshold: Mask values above it (0 to 255) are certainly subject.
            alpha_matting_background_threshold: Mask values below it (0 to 255) are certainly background.
            alpha_matting_erode_size: Pixels by which both certain regions shrink before matting, or "auto".
            matting_method: "fast", or "closed-form" for rembg's equations at every pixel.
            trust_mask: What the mask has to say where the outline is solved, 0 (nothing, classic matting) to 1.
            post_process_mask: Remove specks from the mask, smooth it and make it yes or no.
            mean: One number or three, subtracted from the scaled colours; null for the model's own.
            std: One number or three, the colours are divided by it; null for the model's own.
            size: The network's input in pixels, one number or height and width; null for the model's own.
        """
        settings = Settings(
            alpha_matting=alpha_matting,
            alpha_matting_foreground_threshold=alpha_matting_foreground_threshold,
            alpha_matting_background_threshold=alpha_matting_background_threshold,
            alpha_matting_erode_size=alpha_matting_erode_size,  # type: ignore[arg-type]
            matting_method=matting_method,
            trust_mask=trust_mask,
            post_process_mask=post_process_mask,
            mean=mean,  # type: ignore[arg-type]  # Settings checks it, whatever it is
            std=std,  # type: ignore[arg-type]
            size=size,  # type: ignore[arg-type]
        )
        shown = progress_bar()
        run = service.start(named_paths(images), model, settings, shown)
        for _ in service.go_on(run, shown):
            yield [], run.reports  # no files yet: clients would download them at every step
        yield files_of(run), run.reports

    def models() -> list[dict[str, Any]]:
        """The models on offer: what for, licence, commercial use, size, and whether on disk and loaded."""
        return service.models()

    # a generator stops when it is cancelled; for a client it is a call that returns the last of what it yields
    segment.__annotations__["return"] = tuple[list[gr.FileData], list[dict[str, Any]]]
    api(segment, api_name="segment", concurrency_id=QUEUE_NAME, concurrency_limit=service.config.concurrency)
    api(models, api_name="models", queue=False)
    for event in demo.fns.values():
        if event.api_name == "segment":
            for component in event.inputs:
                refuse_addresses(component)


def named_paths(images: Any) -> list[Any]:
    """The server paths that a client names; a malformed list names nothing that is an upload."""
    if not isinstance(images, list):
        images = [images]
    return [image.get("path") if isinstance(image, dict) else image for image in images if image]


def files_of(run: Run) -> list[gr.FileData]:
    """The cutouts as Gradio serves them: our own bytes."""
    return [gr.FileData(path=str(file), orig_name=file.name).model_dump() for file in run.files]  # type: ignore[misc]


def progress_bar() -> Callable[[str, float | None], None]:
    """A progress bar of the running event. (A `gr.Progress` parameter is more than `gr.api` can take.)"""
    progress = gr.Progress()

    def shown(text: str, share: float | None) -> None:
        progress(0.0 if share is None else share, desc=text)

    return shown
