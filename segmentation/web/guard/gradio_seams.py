"""Every private touch of Gradio and uvicorn that guards the server; each has a test that fails when they change it."""

import contextlib
import contextvars
import inspect
import re
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.http_server
import gradio.queueing
import gradio.route_utils
import gradio.routes
import gradio.utils
import jinja2
from fastapi.exceptions import RequestValidationError
from gradio.route_utils import CustomCORSMiddleware
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from segmentation.messages import Message
from segmentation.web.guard.storage import Storage
from segmentation.web.texts import speaker

QUEUE_SECONDS, PROGRESS_SECONDS = 0.05, 0.05  # between two looks for runs to begin, and for progress to tell
MOMENTARY = 60  # events of one kind that may wait and are done in a moment, such as previews
FAILED = "That did not work: what was sent is not what is expected here, or the server failed. Its log says more."
GOING_DOWN = Message("The server is going down. Try again in a minute.")
_HEAD_BYTES = 16 << 10  # of a request's head
_KEEP_ALIVE_SECONDS = 20
_BACKLOG = 128

client_address: contextvars.ContextVar[str] = contextvars.ContextVar("client_address", default="")


def keep_lines_apart(demo: gr.Blocks, runs: int, runs_line: str) -> None:
    """Give each kind of event a line of its own in the queue, and refuse events that cannot be.

    Gradio counts all that wait as one, so previews of a few visitors would turn everybody's runs away, and the other
    way round. And it looks at an event's number and values only where it cannot answer with a sentence any longer.

    Args:
        demo: The page.
        runs: How many runs there may be, at work and waiting.
        runs_line: The line that they stand in.
    """
    queue = demo._queue  # noqa: SLF001  # Gradio has no other door to it
    # Gradio looks for runs to begin a thousand times a second and for progress a hundred times: 3 % of an idle core
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
    """Whether a handler reads the data of its event, which are an object then."""
    parameters = inspect.signature(work).parameters.values() if work else ()
    return any(isinstance(p.annotation, type) and issubclass(p.annotation, gr.EventData) for p in parameters)


def take_no_more(demo: gr.Blocks) -> None:
    """Refuse further events; those that wait or are at work go on."""

    async def refused(body: Any, request: Any, username: Any) -> Any:  # noqa: ARG001  # Gradio names them
        return False, speaker(request)(GOING_DOWN), "queue_full"

    demo._queue.push = refused  # type: ignore[method-assign]  # noqa: SLF001


def is_busy(demo: gr.Blocks) -> bool:
    """Whether any event waits or is at work."""
    queue = demo._queue  # noqa: SLF001
    return len(queue) > 0 or any(queue.active_jobs)


async def invalid_request(_: Request, error: Exception) -> JSONResponse:
    """What of a request is wrong. FastAPI's own answer repeats all that was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg'][:200]}."}, 422)


EXCEPTION_HANDLERS = {RequestValidationError: invalid_request}


def guard_uploads(storage: Storage) -> None:
    """Uploads hold files alone, in parts of the one name that Gradio reads, and count for who sends them.

    Other parts would be held in memory three times, whatever their size, and files of other names left on the disk.
    """

    class Parser(_PlainParser):
        def on_headers_finished(self) -> None:
            super().on_headers_finished()
            if self._current_part.file is None or self._current_part.field_name != "files":
                raise MultiPartException("Only files are taken here, in parts named 'files'.")

        async def parse(self) -> Any:
            try:
                form = await super().parse()
            except FormParserError as error:
                self._discard()
                raise MultiPartException(f"The upload cannot be read: {error}.") from error
            except BaseException:  # Gradio leaves what has arrived on the disk
                self._discard()
                raise
            files = [part for _, part in form.multi_items() if hasattr(part, "size")]
            storage.took(client_address.get(), len(files), sum(part.size or 0 for part in files))
            return form

        def _discard(self) -> None:
            sizes = 0
            for file in self._files_to_close_on_error:
                path = Path(str(file.name))
                with contextlib.suppress(OSError):
                    sizes += path.stat().st_size
                    path.unlink()
            storage.took(client_address.get(), len(self._files_to_close_on_error), sizes)

    gradio.route_utils.GradioMultiPartParser = Parser  # type: ignore[misc]  # where its route looks it up


def tell_every_error() -> None:
    """No answer is `{"error": null}`."""
    told = gradio.utils.error_payload
    if getattr(told, "is_ours", False):
        return

    def payload(error: BaseException | None, show_error: bool) -> dict[str, Any]:
        content = told(error, show_error)
        if content["error"] is None:
            content |= {"error": FAILED, "duration": 10, "visible": True, "title": "Error"}
        return content

    payload.is_ours = True  # type: ignore[attr-defined]
    gradio.queueing.error_payload = gradio.utils.error_payload = payload  # type: ignore[attr-defined]


def allow_origins(hosts: frozenset[str]) -> None:
    """Let other sites read nothing, but those whose names are given; Gradio lets every one read with credentials."""

    def is_own(_: Any, headers: Any) -> bool:
        origin = headers["Origin"].partition("://")[2]
        own = {headers.get("Host"), headers.get("X-Forwarded-Host")}
        return bool(origin) and (origin in own or origin.partition(":")[0] in hosts)

    CustomCORSMiddleware.is_valid_origin = is_own  # type: ignore[method-assign,assignment]


def limit_connections(most: int, silent_seconds: float) -> None:
    """A cap on connections, and a deadline for the head of each request: who says nothing keeps nobody out.

    Args:
        most: Connections at the same time; of more the one that has said nothing for longest is closed.
        silent_seconds: For a request's head, from the connection's beginning or the last answer.
    """

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            if len(self.connections) > most:  # who says nothing goes first
                others: list[Any] = list(self.connections)
                silent = [one for one in others if one.cycle is None or one.cycle.response_complete]
                oldest = min(silent, key=lambda one: one.since, default=self)
                self.connections.discard(oldest)  # at once: the next newcomer must not choose it again
                oldest.transport.abort()
                if oldest is self:
                    return
            self.timeout_keep_alive_task = self.loop.call_later(silent_seconds, self.timeout_keep_alive_handler)

        def data_received(self, data: bytes) -> None:
            deadline, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None  # trickling does not move it
            before = self.cycle
            super().data_received(data)
            if deadline is None:
                return
            if self.cycle is not before or self.transport.is_closing():
                deadline.cancel()
            elif self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = deadline

    class Server(_UnlimitedServer):
        def __init__(self, config: Any, **more: Any) -> None:
            config.http, config.backlog, config.timeout_keep_alive = Protocol, _BACKLOG, _KEEP_ALIVE_SECONDS
            config.timeout_graceful_shutdown, config.server_header = 3, False
            config.h11_max_incomplete_event_size = _HEAD_BYTES
            super().__init__(config, **more)

    gradio.http_server.Server = Server  # type: ignore[misc,assignment]


_UnlimitedServer = gradio.http_server.Server
_PlainParser = gradio.route_utils.GradioMultiPartParser


def is_logged_in(request: Request) -> bool:
    """Whether a request to a route of our own comes from somebody who may see the page."""
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    cookies = (request.cookies.get(f"access-token{kind}-{app.cookie_id}") for kind in ("", "-unsecure"))
    return any(cookie in app.tokens for cookie in cookies if cookie)


def describe_links(title: str, description: str, image: str) -> None:
    """Let previews of links to the page show these instead of Gradio's own.

    Args:
        title: Of the page.
        description: A sentence.
        image: Path of a picture on this server, from its root.
    """
    environment = gradio.routes.templates.env
    name = "frontend/index.html"
    assert environment.loader is not None
    source, *_ = environment.loader.get_source(environment, name)
    source = re.sub(r"<meta\s[^>]*?(?:property|name)=\"(?:og|twitter):[^>]*>", "", source, flags=re.DOTALL)
    address = "{{ (config['root'] or '') }}"
    metas = {
        "og:type": "website", "og:title": title, "og:description": description, "og:url": address,
        "og:image": f"{address}{image}",
    }  # fmt: skip
    lines = [f'<meta property="{name}" content="{content}" />' for name, content in metas.items()]
    lines += ['<meta name="twitter:card" content="summary_large_image" />']
    lines += [f'<meta name="description" content="{description}" />']
    source = source.replace("<head>", "<head>\n\t\t" + "\n\t\t".join(lines), 1)
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader({name: source}), environment.loader])
    if environment.cache is not None:
        environment.cache.clear()
