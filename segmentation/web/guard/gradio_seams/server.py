"""Gradio's server: its connections, errors, login, and the head of its page."""

import re
from typing import Any

import gradio.http_server
import gradio.queueing
import gradio.routes
import gradio.utils
import jinja2
from fastapi.exceptions import RequestValidationError
from gradio.route_utils import CustomCORSMiddleware, FnIndexInferError
from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

FAILED = "The request failed: it was not as expected, or the server had an error. The server's log says more."
_HEAD_BYTES = 16 << 10  # of a request
_KEEP_ALIVE_SECONDS = 20
_BACKLOG = 128
_UnlimitedServer = gradio.http_server.Server


def path_of(scope: Scope) -> str:
    """The path of a request, without the prefix under which a proxy serves the page."""
    return get_route_path(scope)


async def invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Report what is wrong with a request. FastAPI's own response repeats everything that was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg'][:200]}."}, 422)


EXCEPTION_HANDLERS = {RequestValidationError: invalid_request}


def is_unknown_event(error: Exception) -> bool:
    """Whether Gradio raised this because a request names an unknown event."""
    return isinstance(error, FnIndexInferError)


def parameter_problem(error: TypeError) -> str:
    """Gradio's message about a missing or unknown named parameter, without its advice to look at the page."""
    return f"{str(error).split(' Please click')[0].rstrip('.')[:300]}."


def explain_every_error() -> None:
    """Send a message with every error: for those it hides, Gradio sends `{"error": null}`."""
    original = gradio.utils.error_payload
    if getattr(original, "is_ours", False):
        return

    def payload(error: BaseException | None, show_error: bool) -> dict[str, Any]:
        content = original(error, show_error)
        if content["error"] is None:
            content |= {"error": FAILED, "duration": 10, "visible": True, "title": "Error"}
        return content

    payload.is_ours = True  # type: ignore[attr-defined]
    gradio.queueing.error_payload = gradio.utils.error_payload = payload  # type: ignore[attr-defined]


def allow_origins(hosts: frozenset[str]) -> None:
    """Let only these hosts and the page itself read answers; Gradio lets every site read them with credentials."""

    def is_own(_: Any, headers: Any) -> bool:
        origin = headers["Origin"].partition("://")[2]
        own = {headers.get("Host"), headers.get("X-Forwarded-Host")}
        return bool(origin) and (origin in own or origin.partition(":")[0] in hosts)

    CustomCORSMiddleware.is_valid_origin = is_own  # type: ignore[method-assign,assignment]


def limit_connections(most: int, silent_seconds: float) -> None:
    """Limit connections, and the time for each request's head, so that silent connections do not lock others out.

    Args:
        most: Simultaneous connections; beyond that, the one that has been silent for longest is closed.
        silent_seconds: Time for a request's head, from the start of the connection or the last answer.
    """

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            if len(self.connections) > most:  # close silent ones first
                others: list[Any] = list(self.connections)
                silent = [one for one in others if one.cycle is None or one.cycle.response_complete]
                oldest = min(silent, key=lambda one: one.since, default=self)
                self.connections.discard(oldest)  # immediately, or the next connection would choose it again
                oldest.transport.abort()
                if oldest is self:
                    return
            self.timeout_keep_alive_task = self.loop.call_later(silent_seconds, self.timeout_keep_alive_handler)

        def data_received(self, data: bytes) -> None:
            deadline, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None  # a trickle must not extend it
            before = self.cycle
            super().data_received(data)
            if deadline is None:
                return
            if self.cycle is not before or self.transport.is_closing():
                deadline.cancel()
            elif self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = deadline

    class Server(_UnlimitedServer):
        def __init__(self, config: Any, **options: Any) -> None:
            config.http, config.backlog, config.timeout_keep_alive = Protocol, _BACKLOG, _KEEP_ALIVE_SECONDS
            config.timeout_graceful_shutdown, config.server_header = 3, False
            config.loop, config.ws = "asyncio", "none"  # whatever else is installed: Ray Serve brings uvloop along
            config.h11_max_incomplete_event_size = _HEAD_BYTES
            super().__init__(config, **options)

    gradio.http_server.Server = Server  # type: ignore[misc,assignment]


def is_logged_in(request: Request) -> bool:
    """Whether a request to one of our own routes comes from a client that may see the page."""
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    cookies = (request.cookies.get(f"access-token{kind}-{app.cookie_id}") for kind in ("", "-unsecure"))
    return any(cookie in app.tokens for cookie in cookies if cookie)


def describe_links(title: str, description: str, image: str) -> None:
    """Make link previews of the page show this instead of Gradio's own title and picture.

    Args:
        title: Title of the page.
        description: A sentence.
        image: Path of a picture on this server, from the root.
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
