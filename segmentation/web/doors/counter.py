"""What all doors share: key, form, web addresses, a place in the queue, the run itself, and the file as the answer."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from segmentation.corrections import NOTHING, Correction
from segmentation.cutout_files import Cutout
from segmentation.errors import ImageError, RegistryError, SegmentationError, SessionError, SettingsError, WeightsError
from segmentation.recipe import Recipe
from segmentation.web.guard.addresses import fetch_picture
from segmentation.web.guard.admission import FullError
from segmentation.web.guard.forms import Form, Tray, read_form, store_body
from segmentation.web.guard.keys import Allowance, KeyRing
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service

RETRY_SECONDS = 5  # that a client is told to wait for a place
_FETCHING, _MAX_FETCHING = 4, 16  # pictures fetched from web addresses at once, and waiting for that
_POLL_SECONDS = 0.5  # how often it is checked whether the client is still there

T = TypeVar("T")
Fetch = Callable[[str], Path]
"""A web address -> a picture from it, in a folder of its own in the upload folder."""


class DoorError(Exception):
    """What a door answers instead of a picture."""

    def __init__(self, status: int, sentence: str, code: str = "", seconds: int = 0) -> None:
        """Say why.

        Args:
            status: The HTTP status.
            sentence: For people.
            code: For remove.bg's clients.
            seconds: After which the client may try again; 0 if that is no use.
        """
        super().__init__(sentence)
        self.status, self.sentence, self.code, self.seconds = status, str(sentence), code, seconds

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        return {"retry-after": str(self.seconds)} if self.seconds else {}


@dataclass(frozen=True, slots=True)
class Order:
    """What a client wants."""

    picture: Path
    recipe: Recipe
    backdrop: Path | None = None
    correction: Correction = NOTHING


@dataclass(frozen=True, slots=True)
class Done:
    """A cutout, and what was said about it."""

    cutout: Cutout
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Visit:
    """One request at a door."""

    request: Request
    tray: Tray = field(default_factory=Tray)
    allowance: Allowance | None = None
    runs: list[Run] = field(default_factory=list)
    is_gone: threading.Event = field(default_factory=threading.Event)


def wrong(name: str, wanted: str, value: str) -> SettingsError:
    """The error about a parameter. Clients of doors speak no language but English."""
    return SettingsError(f"{name} must be {wanted}, not {value[:60]!r}.")


class Counter:
    """Serves the requests at all doors."""

    def __init__(self, service: Service, fetch: Fetch | None = None) -> None:
        """Start without requests.

        Args:
            service: All runs.
            fetch: Fetches pictures from web addresses; by default, from public web sites only.
        """
        config = service.config
        self.service, self.config = service, config
        self.keys = KeyRing(config.door_keys, config.api_key_rate)
        self._fetch = fetch or partial(
            fetch_picture, max_bytes=config.max_upload_mb << 20, max_pixels=config.max_pixels
        )
        self._limiters: dict[str, anyio.CapacityLimiter] = {}  # made in the server's event loop

    def _threads(self, name: str, most: int) -> anyio.CapacityLimiter:
        return self._limiters.setdefault(name, anyio.CapacityLimiter(most))

    async def answer(
        self,
        request: Request,
        serve: Callable[[Visit], Awaitable[Response]],
        refuse: Callable[[DoorError], Response],
        *,
        counts: bool = True,
    ) -> Response:
        """Serve a request, and delete its files once the answer is sent.

        Args:
            request: The request.
            serve: The door's own work.
            refuse: An error as the door's clients expect it.
            counts: Whether the request counts as one of the key's pictures.
        """
        visit = Visit(request)
        try:
            with _door_errors():
                self._check_key(visit, counts)
                response = await serve(visit)
        except DoorError as error:
            response = refuse(error)
            self._clear(visit)
        except BaseException:
            self._clear(visit)
            raise
        else:
            response.background = BackgroundTask(self._clear, visit)
        if visit.allowance:
            response.headers["x-ratelimit-limit"] = str(visit.allowance.limit)
            response.headers["x-ratelimit-remaining"] = str(visit.allowance.remaining)
            response.headers["x-ratelimit-reset"] = str(int(time.time()) + visit.allowance.seconds)
        response.headers["cache-control"] = "no-store"
        return response

    def _clear(self, visit: Visit) -> None:
        for run in visit.runs:
            self.service.forget(run)
        visit.tray.clear()

    def _check_key(self, visit: Visit, counts: bool) -> None:
        if not self.keys.is_needed:
            return
        given = visit.request.headers.get("x-api-key", "")
        key = self.keys.find(given)
        if key is None:
            sentence = "The API key is wrong." if given else "An API key is needed, in the header X-Api-Key."
            raise DoorError(403, sentence, "auth_failed")
        if not counts:
            return
        visit.allowance = self.keys.use(key)
        if visit.allowance.is_exceeded:
            sentence = f"Rate limit exceeded: {visit.allowance.limit} pictures a minute for one key."
            raise DoorError(429, sentence, "rate_limit_exceeded", visit.allowance.seconds)

    async def form(self, visit: Visit, file_names: Collection[str]) -> Form:
        """The form of a request.

        Args:
            visit: The request.
            file_names: Names of the parts that are pictures.
        """
        request = visit.request
        if request.method == "GET":
            form = Form()
        else:
            body = await store_body(request, visit.tray)
            kind, most = request.headers.get("content-type", ""), self.config.max_upload_mb << 20
            form = await self._in_thread("forms", 2, read_form, body, kind, visit.tray, file_names, most)
        for name, value in request.query_params.items():
            form.texts.setdefault(name, value)
        return form

    async def fetched(self, visit: Visit, address: str) -> Path:
        """The picture at a web address, through the guard against forged requests.

        Raises:
            DoorError: Addresses are not fetched here, or too many are being fetched.
        """
        if not self.config.web_addresses:
            raise DoorError(400, "Web addresses are not fetched here. Send the picture itself.", "invalid_image_url")
        threads = self._threads("addresses", _FETCHING)
        if threads.statistics().tasks_waiting >= _MAX_FETCHING:
            raise DoorError(
                429, "Too many pictures are being fetched. Try again in a moment.", "rate_limit_exceeded", RETRY_SECONDS
            )
        return visit.tray.add(await self._in_thread("addresses", _FETCHING, self._fetch, address))

    async def in_thread(self, work: Callable[..., T], *args: object) -> T:
        """A short piece of work on a picture that need not wait for a place, such as reading its header."""
        return await self._in_thread("forms", 2, work, *args)

    async def _in_thread(self, name: str, most: int, work: Callable[..., T], *args: object) -> T:
        return await run_sync(partial(work, *args), limiter=self._threads(name, most))

    async def cut(self, visit: Visit, order: Order) -> Done:
        """Cut out a picture when it is its turn, unless the client leaves.

        Raises:
            DoorError: The picture has no cutout, or there is no place for another run.
        """
        with self.service.admission.place():
            work = asyncio.ensure_future(self._in_thread("runs", self.config.runs, self._run, visit, order))
            try:
                while not (await asyncio.wait([work], timeout=_POLL_SECONDS))[0]:
                    if await visit.request.is_disconnected():
                        visit.is_gone.set()
            except asyncio.CancelledError:  # the server is shutting down
                visit.is_gone.set()
                raise
            return work.result()

    def _run(self, visit: Visit, order: Order) -> Done:
        service, said = self.service, {0: order.correction} if order.correction else None
        backdrop = str(order.backdrop) if order.backdrop else None
        run = service.new_run([str(order.picture)], order.recipe, backdrop, corrections=said)
        visit.runs.append(run)
        for _ in service.work.process(run, is_gone=visit.is_gone.is_set):
            pass
        (report,) = run.outcomes.reports
        if report.error:
            if report.by_server:
                raise DoorError(503, report.error, "unavailable", RETRY_SECONDS)
            raise DoorError(400, report.error, "invalid_image")
        if not run.outcomes.cutouts:
            raise DoorError(400, " ".join(report.warnings), "unknown_foreground")
        return Done(run.outcomes.cutouts[0][1], report.warnings)


@contextmanager
def _door_errors() -> Iterator[None]:
    try:
        yield
    except FullError as error:
        raise DoorError(429, error.message, "rate_limit_exceeded", RETRY_SECONDS) from error
    except (RegistryError, SettingsError) as error:
        raise DoorError(400, error.message, "invalid_parameter") from error
    except ImageError as error:
        raise DoorError(400, error.message, "invalid_image") from error
    except (WeightsError, SessionError) as error:
        raise DoorError(503, error.message, "unavailable", RETRY_SECONDS) from error
    except SegmentationError as error:
        raise DoorError(400, error.message, "unknown_foreground") from error
    except ClientDisconnect as error:
        raise DoorError(400, "The request broke off.", "invalid_request") from error
