"""What every handler of Gradio's events needs: our errors as Gradio's, and a progress bar."""

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
    """Turn our errors into Gradio's, which carry their sentence to page and client. Anything else is a bug: logged.

    A handler of the page has the request among its arguments, and so its sentences in the visitor's language.
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
"""Called with what is going on, and how far it is (0..1), if that is known."""


def progress_bar(say: Say = str) -> OnProgress:
    """A progress bar of the running event. (A `gr.Progress` parameter is more than `gr.api` can take.)"""
    progress = gr.Progress()

    def on_progress(text: str, share: float | None) -> None:
        progress(0.0 if share is None else share, desc=say(text))

    return on_progress
