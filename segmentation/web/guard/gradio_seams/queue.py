"""Gradio's queue: a line of its own for each kind of event, and an end to all of them."""

import inspect
from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.web.texts import speaker

QUEUE_SECONDS, PROGRESS_SECONDS = 0.05, 0.05  # between two looks for events to start, and for progress to report
MOMENTARY = 60  # events of one kind that may wait and take only a moment, such as previews
GOING_DOWN = Message("The server is going down. Try again in a minute.")


def keep_lines_apart(demo: gr.Blocks, runs: int, runs_line: str) -> None:
    """Give each kind of event a line of its own in the queue, and refuse impossible events.

    Gradio counts everything that waits as one line, so the previews of a few visitors would turn everybody's runs away,
    and vice versa. And it looks at an event's number and values only once it can no longer answer with a sentence.

    Args:
        demo: The page.
        runs: How many runs there may be, running and waiting.
        runs_line: The line they wait in.
    """
    queue = demo._queue  # noqa: SLF001
    # Gradio looks for events to start a thousand times a second, and for progress a hundred times: 3 % of an idle core
    queue.sleep_when_free, queue.progress_update_sleep_when_free = QUEUE_SECONDS, PROGRESS_SECONDS
    push = queue.push

    async def push_if_there_is_room(body: Any, request: Any, username: Any) -> Any:
        function = demo.fns.get(body.fn_index) if isinstance(body.fn_index, int) else None
        if function is None:
            return False, "There is no such event.", "error"
        if isinstance(body.data, list) and len(body.data) < len(function.inputs):
            return False, f"{len(function.inputs)} values are needed, and {len(body.data)} were sent.", "error"
        if not isinstance(body.event_data, dict) and _takes_event(function.fn):
            return False, "event_data must be an object.", "error"
        line = queue.event_queue_per_concurrency_id.get(function.concurrency_id)
        is_run = function.concurrency_id == runs_line
        waiting = (len(line.queue) + line.current_concurrency * is_run) if line else 0
        if waiting >= (runs if is_run else MOMENTARY):
            full = Message("Queue is full! {waiting} wait already: try again in a moment.", waiting=waiting)
            return False, speaker(request)(full), "queue_full"
        return await push(body, request, username)

    queue.push = push_if_there_is_room  # type: ignore[method-assign]


def _takes_event(work: Any) -> bool:
    """Whether a handler reads the data of its event, which is an object then."""
    parameters = inspect.signature(work).parameters.values() if work else ()
    return any(isinstance(p.annotation, type) and issubclass(p.annotation, gr.EventData) for p in parameters)


def take_no_more(demo: gr.Blocks) -> None:
    """Refuse further events; those that wait or run go on."""

    async def refused(body: Any, request: Any, username: Any) -> Any:  # noqa: ARG001  # Gradio names them
        return False, speaker(request)(GOING_DOWN), "queue_full"

    demo._queue.push = refused  # type: ignore[method-assign]  # noqa: SLF001


def is_busy(demo: gr.Blocks) -> bool:
    """Whether any event waits or runs."""
    queue = demo._queue  # noqa: SLF001
    return len(queue) > 0 or any(queue.active_jobs)
