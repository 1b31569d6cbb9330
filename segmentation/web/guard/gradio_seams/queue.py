"""Gradio's queue: a separate limit for each kind of event, and shutdown."""

import inspect
from typing import Any

import gradio as gr

from segmentation.messages import Message
from segmentation.web.guard.admission import FULL, SHUTTING_DOWN, Admission
from segmentation.web.texts import speaker

QUEUE_SECONDS, PROGRESS_SECONDS = 0.05, 0.05  # polling intervals for events to start, and for progress to report
MAX_WAITING = 60  # short events of one kind, such as previews, that may wait


def separate_queues(demo: gr.Blocks, runs: int, runs_id: str, admission: Admission | None = None) -> None:
    """Limit each kind of event in the queue separately, and refuse invalid events.

    Gradio applies one limit to all waiting events, so the previews of a few visitors could block everyone's runs, and
    vice versa. And it checks an event's number and values only when it is too late to answer with a message.

    Args:
        demo: The page.
        runs: How many runs there may be, running and waiting.
        runs_id: The concurrency id of runs.
        admission: Counts the runs that come beside the queue, which take places of it too.
    """
    queue = demo._queue  # noqa: SLF001
    admission = admission or Admission(runs)

    def runs_in_queue() -> int:
        kind = queue.event_queue_per_concurrency_id.get(runs_id)
        return len(kind.queue) + kind.current_concurrency if kind else 0

    admission.in_queue = runs_in_queue
    # Gradio polls for events a thousand times a second, and for progress a hundred times: 3 % of a core while idle
    queue.sleep_when_free, queue.progress_update_sleep_when_free = QUEUE_SECONDS, PROGRESS_SECONDS
    push = queue.push

    async def push_if_there_is_room(body: Any, request: Any, username: Any) -> Any:
        function = demo.fns.get(body.fn_index) if isinstance(body.fn_index, int) else None
        if function is None:
            return False, "There is no such event.", "error"
        if isinstance(body.data, list) and len(body.data) < len(function.inputs):
            return False, f"{len(function.inputs)} values were expected, but {len(body.data)} were sent.", "error"
        if not isinstance(body.event_data, dict) and _takes_event(function.fn):
            return False, "event_data must be an object.", "error"
        kind = queue.event_queue_per_concurrency_id.get(function.concurrency_id)
        is_run = function.concurrency_id == runs_id
        waiting = runs_in_queue() + admission.outside if is_run else len(kind.queue) if kind else 0
        if waiting >= (runs if is_run else MAX_WAITING):
            return False, speaker(request)(Message(FULL, waiting=waiting)), "queue_full"
        return await push(body, request, username)

    queue.push = push_if_there_is_room  # type: ignore[method-assign]


def _takes_event(work: Any) -> bool:
    """Whether a handler reads the event's data, which must be an object then."""
    parameters = inspect.signature(work).parameters.values() if work else ()
    return any(isinstance(p.annotation, type) and issubclass(p.annotation, gr.EventData) for p in parameters)


def refuse_events(demo: gr.Blocks) -> None:
    """Refuse new events; those waiting or running continue."""

    async def refuse(body: Any, request: Any, username: Any) -> Any:  # noqa: ARG001  # Gradio's names
        return False, speaker(request)(SHUTTING_DOWN), "queue_full"

    demo._queue.push = refuse  # type: ignore[method-assign]  # noqa: SLF001


def is_busy(demo: gr.Blocks) -> bool:
    """Whether any event is waiting or running."""
    queue = demo._queue  # noqa: SLF001
    return len(queue) > 0 or any(queue.active_jobs)
