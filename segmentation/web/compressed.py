"""Compresses the page itself, which Gradio does not: its settings and texts are most of what a first visit loads."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS = ("", "/", "/config")


class Compressed:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application to answer."""
        self._app, self._compressing = app, GZipMiddleware(app, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_page = scope["type"] == "http" and scope["path"] in _PATHS
        await (self._compressing if is_page else self._app)(scope, receive, send)
