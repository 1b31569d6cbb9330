"""ASGI middleware in front of Gradio that admits only known, bounded requests and refuses all others."""

import asyncio
import contextlib
import contextvars
import errno
import ipaddress
import logging
import os
import re
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segmentation.config import Config, names
from segmentation.web.guard.gradio_seams.server import FAILED, is_unknown_event, parameter_problem, path_of
from segmentation.web.guard.readers import reading
from segmentation.web.guard.storage import Storage

log = logging.getLogger(__name__)

client_address: contextvars.ContextVar[str] = contextvars.ContextVar("client_address", default="")

PUBLIC = ("segment", "refine", "score", "models", "inspect", "find_models")

_API = "/gradio_api"
_NAME = rf"(?:{'|'.join(PUBLIC)})"
_OPEN = [
    (frozenset(methods.split()), re.compile(path, re.DOTALL))
    for methods, path in (
        ("GET HEAD", r"/?"),
        ("GET", r"/config/?"),
        ("GET HEAD", r"/(?:assets|static)/.+"),
        ("GET HEAD", r"/(?:favicon\.ico|theme\.css|robots\.txt|healthz|readyz|card\.png)"),
        ("GET", r"/(?:preview|tile)"),
        ("POST", r"/login/?"),
        ("GET", r"/logout"),
        ("GET", rf"{_API}/(?:info/?|openapi\.json|app_id/?|startup-events|queue/data|upload_progress)"),
        ("GET", rf"{_API}/heartbeat/[^/]+"),
        ("GET HEAD", rf"{_API}/file=.+"),
        ("GET", rf"{_API}/call/(?:v2/)?{_NAME}/[^/]+"),
        ("POST", rf"{_API}/call/(?:v2/)?{_NAME}/?"),
        ("POST", rf"{_API}/(?:upload|queue/join|run/(?:predict|models)/?|cancel|reset)"),
    )
]
"""All of Gradio's routes that page, clients and documentation use. All others, present or future, are closed."""
_DOORS = {
    "rembg": [(frozenset({"GET", "POST"}), re.compile(r"/api/remove/?"))],
    "removebg": [
        (frozenset({"POST"}), re.compile(r"/v1\.0/removebg/?")),
        (frozenset({"GET"}), re.compile(r"/v1\.0/account/?")),
    ],
}
"""Routes for other tools' clients, by the name of the door."""
_MCP = (frozenset({"GET", "POST", "DELETE"}), re.compile(rf"{_API}/mcp/?"))
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # of JSON; the last one may be cut off
# calls of unknown endpoints get a specific message
_CALL = re.compile(rf"{_API}/(?:call/v2|call|run|api)/(?!predict/?$)(?P<name>[^/?=]+)")
# would make this server fetch an address on a client's behalf, or store a visitor's page permanently
_CLOSED = re.compile(r"/proxy=|/deep_link|/file[=/]\s*(?:https?|ftp|//|%2f%2f|https?%3a)", re.IGNORECASE)
_STREAM = re.compile(rf"{_API}/call/(?:v2/)?{_NAME}/(?P<event>[^/]+)")

_MCP_BYTES = 4 << 20  # a language model sends a picture as text; the MCP server itself accepts no more
_JSON_BYTES, _JSON_BYTES_PER_PICTURE = 48 << 10, 1 << 10  # mostly file names, each sent three times
_TEXT_BYTES = 512 << 10  # more, within strings: long strokes come as text, which costs Gradio nothing
_OBJECTS, _OBJECTS_PER_PICTURE, _LISTS = 200, 6, 1000  # parsing and searching each can take a millisecond
_BODY_SECONDS, _ALL_BODY_SECONDS = 60.0, 900.0  # between two chunks of a body, and for the whole body
_LOGIN_SECONDS, _LOGINS, _ALL_LOGINS = 60.0, 10, 100  # period, and wrong passwords in it: per address, and in total


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response sent instead of Gradio's."""

    status: int
    sentence: str
    headers: dict[str, str] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Send the response."""
        return JSONResponse({"detail": self.sentence}, self.status, self.headers)(scope, receive, send)


class Doorman:
    """Forwards known, bounded requests; all others get a status and a message."""

    def __init__(self, app: ASGIApp, config: Config, storage: Storage | None = None) -> None:
        """Wrap an app.

        Args:
            app: The app to wrap.
            config: The limits, who may log in, and the server's host names.
            storage: Reserves room for uploads.
        """
        self.app = app
        self.config = config
        self.storage = storage
        self.hosts = known_hosts(config)
        self.throttle = LoginThrottle()
        self._doors = [route for door in sorted(config.open_doors) for route in _DOORS[door]]
        self._known = [*_OPEN, *self._doors, *([_MCP] if config.mcp else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or forward it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, method = path_of(scope), scope["method"]
        client = (scope.get("client") or ("",))[0]
        outgoing = _Outgoing(send)
        is_login = method == "POST" and path.rstrip("/") == "/login"
        headers = dict(scope["headers"])
        refusal = self.refusal(method, path, headers)
        if refusal is None and is_login and (seconds := self.throttle.wait(client)):
            refusal = Refusal(
                429, f"Too many wrong passwords. Try again in {seconds} s.", {"retry-after": str(seconds)}
            )
        announced = int(headers.get(b"content-length", b"0")) if refusal is None else 0
        brings_files = path.endswith("/upload") or (method == "POST" and self._is_door(path))
        upload = self.storage if refusal is None and brings_files else None
        if upload:
            no_room = await asyncio.to_thread(upload.begin, client, announced)
            refusal = Refusal(*no_room) if no_room else None
        if refusal:
            await refusal(scope, receive, outgoing)
            return
        if is_login:  # counted as wrong until it proves right, so that simultaneous guesses count too
            self.throttle.add_failure(client)
        client_address.set(client)
        incoming = _Incoming(receive, self._limit(path))
        scope = {**scope, "headers": _forwarded_headers(scope["headers"], path)}
        try:
            if _is_json(method, path):
                body = await incoming.whole()
                if refusal := self._too_many_parts(body):
                    await refusal(scope, receive, outgoing)
                    return
                scope["headers"] = _with_length(scope["headers"], len(body))
            with reading(key) if (key := _stream_of(scope, method, path)) else contextlib.nullcontext():
                await self.app(scope, incoming, outgoing)
        except _TooLargeError:
            await self._instead(_too_large(incoming.limit), scope, receive, outgoing)
        except TimeoutError:
            late = Refusal(408, "The request did not arrive in time.", {"connection": "close"})
            await self._instead(late, scope, receive, outgoing)
        except Exception as error:
            if outgoing.is_stream:  # its last event has reported the error
                await outgoing({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await self._instead(_refusal_for(error, method, path), scope, receive, outgoing, error)
        finally:
            if upload:
                upload.end(client, announced)
            if is_login and 0 < outgoing.status < 400:
                self.throttle.remove_failure(client)

    @staticmethod
    async def _instead(
        refusal: Refusal, scope: Scope, receive: Receive, outgoing: "_Outgoing", error: Exception | None = None
    ) -> None:
        if outgoing.status:
            if error:
                raise error
            return
        await refusal(scope, receive, outgoing)

    def refusal(self, method: str, path: str, headers: dict[bytes, bytes]) -> Refusal | None:
        """The refusal of a request judged by its head alone, or None."""
        host = headers.get(b"host", b"").decode("latin-1")
        forwarded = "" if _MCP[1].fullmatch(path) else headers.get(b"x-forwarded-host", b"").decode("latin-1")
        if not self._is_known(host, forwarded):
            return Refusal(421, f"Unknown host {host[:100]!r}. The operator can add it to SEGMATTE_HOSTS.")
        if _CLOSED.search(path):
            return Refusal(403, "Web addresses are not fetched here.")
        if not any(method in methods and pattern.fullmatch(path) for methods, pattern in self._known):
            if _CALL.match(path):
                return Refusal(404, f"Public endpoints: {', '.join('/' + name for name in PUBLIC)}.")
            allowed = sorted({m for methods, pattern in self._known if pattern.fullmatch(path) for m in methods})
            if allowed:
                return Refusal(405, f"Use {' or '.join(allowed)}.", {"allow": ", ".join(allowed)})
            return Refusal(404, "Not found.")
        visits = method in ("GET", "HEAD") and path.rstrip("/") != "/logout"
        if self.config.login and self._is_foreign(visits, headers, host):
            return Refusal(403, "Requests from other sites are refused.")
        length = headers.get(b"content-length", b"0")
        limit = self._limit(path)
        return _too_large(limit) if not length.isdigit() or int(length) > limit else None

    def _is_known(self, host: str, forwarded: str) -> bool:
        """Whether the host is one of the server's own names. Guards against DNS rebinding."""
        if not host:  # HTTP/1.0, which no browser uses
            return True
        name = _without_port(host)
        if name in self.hosts or _is_local(name):
            return True
        # A page using DNS rebinding could also send a proxy's header. Configuring the hosts closes that gap.
        return not self.config.hosts and _without_port(forwarded.split(",")[0].strip()) == name

    def _is_foreign(self, visits: bool, headers: dict[bytes, bytes], host: str) -> bool:
        """Whether another site sends the request with the visitor's login (CSRF), judged by the browser's headers."""
        if visits and headers.get(b"sec-fetch-mode") == b"navigate":  # a form navigates too
            return False
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            return True
        header = headers.get(b"origin", b"").decode("latin-1")
        origin = header.partition("://")[2] or header  # "null" matches no host
        own = (host, headers.get(b"x-forwarded-host", b"").decode("latin-1"))
        return bool(origin) and origin not in own and _without_port(origin) not in self.hosts

    def _is_door(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for _, pattern in self._doors)

    def _limit(self, path: str) -> int:
        if path.endswith("/upload"):
            return self.config.max_request_mb << 20
        if self._is_door(path):  # picture and backdrop, or one as base64
            return min(2 * self.config.max_upload_mb + 1, self.config.max_request_mb) << 20
        if _MCP[1].fullmatch(path):
            return _MCP_BYTES
        return self._json_bytes + _TEXT_BYTES

    @property
    def _json_bytes(self) -> int:
        """Limit on JSON outside its strings, or with them if they are short."""
        return _JSON_BYTES + _JSON_BYTES_PER_PICTURE * self.config.max_pictures

    def _too_many_parts(self, body: bytes) -> Refusal | None:
        # UTF-16 has null bytes, and its strings are not found here
        parts = body if b"\0" in body else _STRING.sub(b'""', body)
        objects, lists = parts.count(b"{"), parts.count(b"[")
        if (
            objects > _OBJECTS + _OBJECTS_PER_PICTURE * self.config.max_pictures
            or lists > _LISTS
            or len(parts) > self._json_bytes
        ):
            return Refusal(413, "The request has too many parts. Send long strokes as JSON text, in a string.")
        return None


class LoginThrottle:
    """Slows down password guessing."""

    def __init__(self) -> None:
        """Start without failures."""
        self._by_client: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=_ALL_LOGINS)

    def add_failure(self, client: str) -> None:
        """Count a wrong password from an address."""
        now = time.monotonic()
        self._all.append(now)
        client = _network(client)
        self._by_client.setdefault(client, deque(maxlen=_LOGINS)).append(now)
        self._by_client.move_to_end(client)
        while len(self._by_client) > 10_000:
            self._by_client.popitem(last=False)

    def remove_failure(self, client: str) -> None:
        """Discount the last password from an address, which was right after all."""
        tries = self._by_client.get(_network(client))
        for known in (tries, self._all):
            if known:
                known.pop()

    def wait(self, client: str) -> int:
        """Seconds until an address may try again; 0 if it may try now."""
        left = 0.0
        for tries in (self._by_client.get(_network(client)), self._all):
            if tries and len(tries) == tries.maxlen:
                left = max(left, tries[0] + _LOGIN_SECONDS - time.monotonic())
        return int(left) + 1 if left > 0 else 0


def _network(client: str) -> str:
    """The address, or for IPv6 its /64 network, all of which usually belongs to one client."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


class _TooLargeError(Exception):
    """The body exceeds its limit."""


class _Incoming:
    """The body of a request as it arrives, limited in size, and in time until it is complete."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self.limit = limit
        self._taken = 0
        self._more = True
        self._replayed: bytes | None = None
        self._deadline = time.monotonic() + _ALL_BODY_SECONDS

    async def __call__(self) -> Message:
        if self._replayed is not None:
            body, self._replayed = self._replayed, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._more:  # Gradio now waits for the client to disconnect
            return await self._receive()
        seconds = min(_BODY_SECONDS, self._deadline - time.monotonic())
        message = await asyncio.wait_for(self._receive(), max(0.0, seconds))
        self._taken += len(message.get("body", b""))
        if self._taken > self.limit:  # a body with no declared length, or a wrong one
            raise _TooLargeError
        self._more = message.get("more_body", False)
        return message

    async def whole(self) -> bytes:
        """The whole body without its byte order mark. It is replayed to the app afterwards."""
        parts = []
        while self._more:
            message = await self()
            if message["type"] == "http.disconnect":
                break
            parts.append(message.get("body", b""))
        self._replayed = b"".join(parts).removeprefix(b"\xef\xbb\xbf")
        return self._replayed


class _Outgoing:
    """The response as it is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.is_stream = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_stream = dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream")
            message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
        await self._send(message)


def known_hosts(config: Config) -> frozenset[str]:
    """The server's host names, in addition to local ones: the operator's, the Space's, the proxy's, the machine's."""
    named = [*names(config.hosts), os.environ.get("SPACE_HOST", ""), socket.gethostname()]
    root = os.environ.get("GRADIO_ROOT_PATH", "").partition("://")[2].partition("/")[0]
    return frozenset(_without_port(name).lower() for name in (*named, root) if name)


_LOCAL_ENDINGS = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def _is_local(name: str) -> bool:
    """Whether a name is an IP address, or a local name that nobody can register: neither allows DNS rebinding."""
    if "." not in name or name.endswith(_LOCAL_ENDINGS):
        return True
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return False


def _without_port(host: str) -> str:
    return (host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower()


def _forwarded_headers(headers: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """The headers that Gradio receives.

    Range is dropped: Gradio's answer to it repeats the request's headers, including cookies. Foreign hosts are dropped
    for the description of the API, which is built once for all clients.
    """
    dropped = {b"range", b"x-gradio-server"}
    if path.rstrip("/") == f"{_API}/info":
        dropped.add(b"x-forwarded-host")
    return [(name, value) for name, value in headers if name not in dropped]


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    return [(name, str(length).encode() if name == b"content-length" else value) for name, value in headers]


def _is_json(method: str, path: str) -> bool:
    return method == "POST" and path.startswith(_API) and not path.endswith("/upload") and not _MCP[1].fullmatch(path)


def _stream_of(scope: Scope, method: str, path: str) -> str:
    """The session or event whose answers a request reads; "" if it reads none."""
    if method != "GET":
        return ""
    if path == f"{_API}/queue/data":
        return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [])), "")
    found = _STREAM.fullmatch(path)
    return found["event"] if found else ""


def _too_large(limit: int) -> Refusal:
    most = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit >> 10} kB"
    return Refusal(413, f"The request is too large; the limit is {most}.")


def _refusal_for(error: Exception, method: str, path: str) -> Refusal:
    """The response to an exception raised by Gradio."""
    if isinstance(error, TypeError) and "/call/v2/" in path:  # a missing or unknown named parameter
        return Refusal(422, parameter_problem(error))
    by_number = path.startswith((f"{_API}/run", f"{_API}/queue/join"))
    if is_unknown_event(error) or (isinstance(error, KeyError) and by_number):
        return Refusal(404, "There is no such event.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return Refusal(404, "Not found.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal(507, "The server's disk is full. Try again later.")
    log.error("%s %s", method, path, exc_info=error)
    return Refusal(500, FAILED)
