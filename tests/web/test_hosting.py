"""What whoever hosts the page relies on: probes, a path prefix, a login."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from gradio_client import Client, handle_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from segmentation.config import Config
from segmentation.matting.alpha import warm_up
from segmentation.settings import with_values
from segmentation.web.health import health_routes
from segmentation.web.page.page import build_page
from segmentation.web.runs.service import Service
from segmentation.web.server import launch
from segmentation.web.thumbnails import thumbnail_routes
from tests import graphs
from tests.web.conftest import Server


@contextmanager
def served(service: Service, config: Config, **options: Any) -> Iterator[str]:
    page = build_page(service)
    routes = [*health_routes(service), *thumbnail_routes(service)]
    _, url, _ = launch(
        page, config, routes=routes, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options
    )
    try:
        yield url.rstrip("/")
    finally:
        page.close(verbose=False)


# ------------------------------------------------------------------------------------------------- probes


def test_it_is_ready_once_the_default_model_is_loaded_and_stays_so(tmp_path: Path) -> None:
    for name in ("first", "second"):
        graphs.brightness(tmp_path / f"{name}.onnx")
    config = Config(models_folder=tmp_path, models="first.onnx,second.onnx", sessions_mb=1, device="cpu")
    service = Service(config)
    probe = TestClient(Starlette(routes=health_routes(service)))
    assert probe.get("/healthz").json() == {"status": "alive"}
    warm_up()
    answer = probe.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"].startswith("The default model is not loaded yet")
    service.offered.session("first.onnx")
    assert (probe.get("/readyz").status_code, probe.get("/readyz").json()) == (200, {"status": "ready"})
    service.offered.session("second.onnx")  # which makes the first one go: two are beyond the budget
    assert service.offered.as_json()[0]["loaded_on"] is None
    assert probe.get("/readyz").status_code == 200


# ------------------------------------------------------------------------------------------------- path prefix


def proxy(target: list[str]) -> Starlette:
    """A proxy that serves `target` below /demo and takes that prefix off, as nginx's `location /demo/` does."""
    client = httpx.AsyncClient(timeout=60)

    async def forward(request: Request) -> StreamingResponse:
        upstream = client.build_request(
            request.method,
            target[0] + request.url.path.removeprefix("/demo") + f"?{request.url.query}",
            headers=[(name, value) for name, value in request.headers.raw if name != b"content-length"],
            content=await request.body(),
        )
        answer = await client.send(upstream, stream=True)

        async def body() -> AsyncIterator[bytes]:
            async for chunk in answer.aiter_raw():
                yield chunk
            await answer.aclose()

        headers = {name: value for name, value in answer.headers.items() if name != "transfer-encoding"}
        return StreamingResponse(body(), answer.status_code, headers)

    route = Route("/{path:path}", forward, methods=["GET", "POST", "HEAD"])
    return Starlette(routes=[Mount("/demo", routes=[route])])


@contextmanager
def behind_a_prefix(server: Server, patch: pytest.MonkeyPatch) -> Iterator[str]:
    target: list[str] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        outer = f"http://127.0.0.1:{listening.getsockname()[1]}/demo"
        runner = uvicorn.Server(uvicorn.Config(proxy(target), log_level="error", lifespan="off", loop="asyncio"))
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        patch.setenv("GRADIO_ROOT_PATH", "/demo")
        try:
            with served(server.service, server.service.config) as inner:
                target.append(inner)
                yield outer
        finally:
            runner.should_exit = True
            thread.join(timeout=10)


def test_it_works_behind_a_path_prefix(
    server: Server, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind_a_prefix(server, monkeypatch) as url:
        assert httpx.get(f"{url}/healthz", timeout=30).json() == {"status": "alive"}
        page = httpx.get(f"{url}/", timeout=30)
        assert page.status_code == 200
        assert "Segmatte" in page.text
        with closing(Client(url, analytics_enabled=False, verbose=False, download_files=tmp_path)) as client:
            files, report = client.predict(
                images=[handle_file(photos["chelsea"])], model="bright.onnx", alpha_matting=False, api_name="/segment"
            )
        assert report[0]["error"] is None
        assert Path(files[0]).read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------- login


@pytest.fixture(scope="module")
def locked(server: Server) -> Iterator[str]:
    with served(server.service, with_values(server.service.config, auth="ann:secret")) as url:
        yield url


def test_without_the_login_only_the_probes_answer(locked: str) -> None:
    assert httpx.get(f"{locked}/healthz", timeout=30).status_code == 200
    assert httpx.get(f"{locked}/readyz", timeout=30).status_code in (200, 503)
    for path in ("config", "gradio_api/info", "gradio_api/openapi.json"):
        assert httpx.get(f"{locked}/{path}", timeout=30).status_code == 401, path
    upload = httpx.post(f"{locked}/gradio_api/upload", files={"files": ("a.png", b"x")}, timeout=30)
    assert upload.status_code == 401
    with httpx.Client(base_url=locked, timeout=30) as stranger:
        assert stranger.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
        assert stranger.get("/config").status_code == 401


def test_who_knows_the_login_gets_in(locked: str, photos: dict[str, Path], tmp_path: Path) -> None:
    login = {"auth": ("ann", "secret"), "analytics_enabled": False, "verbose": False}
    with closing(Client(locked, download_files=tmp_path, **login)) as client:
        files, _ = client.predict(
            images=[handle_file(photos["chelsea"])], model="bright.onnx", alpha_matting=False, api_name="/segment"
        )
    assert Path(files[0]).read_bytes().startswith(b"\x89PNG")


def test_another_site_cannot_act_for_who_is_logged_in(locked: str, server: Server) -> None:
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "origin": "https://elsewhere.example"}
    with httpx.Client(base_url=locked, timeout=30) as visitor:
        login = visitor.post("/login", data={"username": "ann", "password": "secret"})
        assert login.status_code == 200
        assert visitor.get("/config").status_code == 200
        assert visitor.get("/config", headers=foreign).status_code == 403
        assert visitor.get("/", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 200  # a link to us
    assert httpx.get(f"{server.url}/config", headers=foreign, timeout=30).status_code == 200  # nobody to act for
