"""Helpers for all event handlers: our errors as Gradio's, and a progress bar."""

import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import gradio as gr

from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.web.texts import Say, speaker

P = ParamSpec("P")
T = TypeVar("T")


def shown_errors(run: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Turn our errors into Gradio's, which carry their message to page and client. Anything else is a bug, and logged.

    Handlers of the page take the request as an argument, so their messages are in the visitor's language.
    """

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from run(*args, **kwargs)
        except SegmentationError as error:
            request = next((arg for arg in args if isinstance(arg, gr.Request)), None)
            sentence = speaker(request)(error.message) if request else str(error)
            title = speaker(request)(Message("Error"))
            raise gr.Error(sentence, title=title, print_exception=False) from error

    return wrapped


OnProgress = Callable[[str, float | None], None]
"""Called with the current activity and its progress (0..1), or None if that is unknown."""


def progress_bar(say: Say = str) -> OnProgress:
    """A progress bar of the running event. (`gr.api` does not support a `gr.Progress` parameter.)"""
    progress = gr.Progress()

    def on_progress(text: str, share: float | None) -> None:
        progress(0.0 if share is None else share, desc=say(text))

    return on_progress
