"""How the page is served: what of Gradio's own doors stays open to strangers, and the switches of `launch`."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segmentation.config import Config
from segmentation.errors import SettingsError
from segmentation.web.api import QUEUE_NAME
from segmentation.web.texts import translations
from segmentation.web.theme import theme

PUBLIC = ("segment", "refine", "models")

# Gradio's ways to a handler by its name. The page itself names none: it goes by number, through /queue/join, or through
# /run/predict for those that do not queue (the others answer 404 there: api_open=False).
_CALL = re.compile(r"^[^=]*/(?:call/v2|call|run|api)/(?!predict/?$)(?P<name>[^/?=]+)")
# would make this server fetch an address for whoever asks, or store a visitor's page for good
_CLOSED = re.compile(r"/proxy=|/deep_link|/file[=/]\s*(?:https?|ftp|//|%2f%2f|https?%3a)", re.IGNORECASE)
QUEUE_SECONDS, PROGRESS_SECONDS = 0.05, 0.05  # between two looks for runs to begin, and for progress to tell
MOMENTARY = 60  # events of one kind that may wait and are done in a moment, such as previews
ALL_LINES = 1000  # events of all kinds
_MCP = re.compile(r"^[^=]*/gradio_api/mcp(/|$)")
_MCP_BYTES = 4 << 20  # a language model sends a picture as text; its protocol's own server takes no more
_JSON_BYTES = 1 << 20  # of any request but an upload: parsed JSON takes thirty times its size


class Doorman:
    """ASGI middleware: private handlers are not called by name, nothing is fetched, no request is endless."""

    def __init__(self, app: ASGIApp, max_bytes: int, login: bool = False) -> None:
        """Wrap an app.

        Args:
            app: What is wrapped.
            max_bytes: Of the body of one upload request.
            login: Whether visitors log in, so that other sites could act in their name.
        """
        self.app = app
        self.max_bytes = max_bytes
        self.login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal:
            await refusal(scope, receive, send)
            return
        taken, limit, started = 0, self._limit(scope), False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:  # a body without a length, or with a wrong one
                raise _TooLargeError
            return message

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            await self.app(scope, counted, marked)
        except _TooLargeError:
            if not started:
                await self._too_large(limit)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        path = scope["path"]
        call = _CALL.search(path)
        if call and call["name"] not in PUBLIC:
            return JSONResponse({"detail": f"Public endpoints: {', '.join('/' + name for name in PUBLIC)}."}, 404)
        if _CLOSED.search(path):
            return JSONResponse({"detail": "Web addresses are not fetched here."}, 403)
        headers = dict(scope["headers"])
        # Gradio lets every origin read with credentials, and its cookie goes along; browsers say where they are
        if (
            self.login
            and headers.get(b"sec-fetch-site") == b"cross-site"
            and headers.get(b"sec-fetch-mode") != b"navigate"
        ):
            return JSONResponse({"detail": "Other sites are not served here."}, 403)
        length = headers.get(b"content-length", b"0")
        limit = self._limit(scope)
        return self._too_large(limit) if not length.isdigit() or int(length) > limit else None

    def _limit(self, scope: Scope) -> int:
        if scope["path"].rstrip("/").endswith("/upload"):
            return self.max_bytes
        return _MCP_BYTES if _MCP.search(scope["path"]) else _JSON_BYTES

    @staticmethod
    def _too_large(limit: int) -> JSONResponse:
        return JSONResponse({"detail": f"The request is too large; at most {limit >> 20} MB are taken."}, 413)


class _TooLargeError(Exception):
    """More arrived than may."""


def _keep_lines_apart(demo: gr.Blocks, runs: int) -> None:
    """Give each kind of event a line of its own in the queue.

    Gradio counts all that wait as one, so previews of a few visitors would turn everybody's runs away, and the other
    way round.

    Args:
        demo: The page.
        runs: How many runs may wait.
    """
    queue = demo._queue  # noqa: SLF001  # Gradio has no other door to it
    # Gradio looks for runs to begin a thousand times a second and for progress a hundred times: 3 % of an idle core
    queue.sleep_when_free, queue.progress_update_sleep_when_free = QUEUE_SECONDS, PROGRESS_SECONDS
    push = queue.push

    async def push_if_there_is_room(body: Any, request: Any, username: Any) -> Any:
        function = demo.fns.get(body.fn_index)
        line = queue.event_queue_per_concurrency_id.get(function.concurrency_id) if function else None
        limit = runs if function and function.concurrency_id == QUEUE_NAME else MOMENTARY
        if line and len(line.queue) >= limit:
            return False, f"Queue is full! {limit} wait already: try again in a moment.", "queue_full"
        return await push(body, request, username)

    queue.push = push_if_there_is_room  # type: ignore[method-assign]


def launch(
    demo: gr.Blocks, config: Config, *, routes: Sequence[BaseRoute] = (), **options: Any
) -> tuple[Any, str, str]:
    """Serve the page with all that strangers do not need switched off.

    Args:
        demo: The page.
        config: The caps, and who may log in.
        routes: Further ones, open without a login.
        options: Further arguments of `gr.Blocks.launch`, such as server_name and server_port.

    Raises:
        SettingsError: The tool for language models is asked for and its package is not installed.
    """
    if config.mcp and importlib.util.find_spec("mcp") is None:  # Gradio would print it and go on without
        raise SettingsError(f"SEGMATTE_MCP needs another package: pip install 'gradio[mcp]=={gr.__version__}'.")
    demo.queue(api_open=False, max_size=ALL_LINES, default_concurrency_limit=config.concurrency)
    _keep_lines_apart(demo, config.queue)
    return demo.launch(
        theme=theme(),
        i18n=translations(),
        css_paths=Path(__file__).with_name("style.css"),
        js=Path(__file__).with_name("page.js").read_text(encoding="utf-8"),
        max_file_size=config.max_upload_mb << 20,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        pwa=False,
        ssr_mode=False,
        footer_links=["api"],
        auth=config.login,
        mcp_server=config.mcp,
        app_kwargs={
            "openapi_url": None,
            "routes": list(routes),
            "middleware": [Middleware(Doorman, max_bytes=config.max_request_mb << 20, login=config.login is not None)],
        },
        **options,
    )
