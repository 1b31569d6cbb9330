"""The page in this process, as strangers reach it: real server, real networks, a temporary upload folder."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as app.py does, before Gradio is imported

import gradio as gr
import pytest
from gradio_client import Client
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from segmentation.config import Config
from segmentation.matting.alpha import warm_up
from segmentation.network.recovery import Answer
from segmentation.web.doors.routes import door_routes
from segmentation.web.page.page import build_page
from segmentation.web.runs.service import Service
from segmentation.web.server import launch
from segmentation.web.thumbnails import thumbnail_routes
from segmentation.web.tiles import tile_routes
from tests import colours, graphs
from tests.conftest import PHOTOS
from tests.web.browser import chromium, coverage
from tests.web.browser.browsing import FLAGS, Visitors, Visits, Watched


@dataclass(frozen=True)
class Server:
    url: str
    uploads: Path
    page: gr.Blocks
    service: Service


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, fetched: Callable[[str], Path]) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    for model_id in ("u2netp", "modnet"):
        shutil.copy(fetched(model_id), models)
    graphs.brightness(models / "bright.onnx")
    config = Config(models_folder=models, max_pictures=5, max_upload_mb=20, max_request_mb=40, device="cpu")
    yield from served(config, tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def coloured_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model that tells classes apart, and one that does not."""
    models, registry = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("registry") / "registry.yaml"
    colours.write_registry(models, registry)
    graphs.brightness(models / "bright.onnx")
    config = Config(models_folder=models, registry=str(registry), max_pictures=5, device="cpu")
    yield from served(config, tmp_path_factory.mktemp("uploads"))


def served(config: Config, uploads: Path, fetch: Callable[[str], Path] | None = None) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        warm_up()  # where the kernels were never compiled, the first run on a page would take half a minute
        service = Service(config)
        page = build_page(service)
        _, url, _ = launch(
            page,
            config,
            routes=[*thumbnail_routes(service), *tile_routes(service), *door_routes(service, fetch)],
            admission=service.admission,
            prevent_thread_lock=True,
            quiet=True,
            server_name="127.0.0.1",
        )
        yield Server(url.rstrip("/"), uploads, page, service)
        page.close(verbose=False)


@pytest.fixture(scope="session")
def small_photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The photographs at a third of their size: to bright.onnx nearly all of them is uncertain, which takes seconds."""
    folder = tmp_path_factory.mktemp("photos")
    for path in PHOTOS.values():
        with Image.open(path) as photo:
            photo.resize((photo.width // 3, photo.height // 3)).save(folder / path.name)
    return {name: folder / path.name for name, path in PHOTOS.items()}


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    downloads = tmp_path_factory.mktemp("downloads")
    client = Client(server.url, analytics_enabled=False, verbose=False, download_files=downloads)
    yield client
    client.close()


@pytest.fixture(scope="module")  # while it is there, Playwright's event loop runs in this thread, in others' way
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        reason = "NO CHROMIUM: the page is NOT tested in a browser. Install one, or name it in CHROMIUM."
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        folder = os.environ.get(coverage.FOLDER_NAME)
        measured = coverage.Coverage(Path(folder)) if folder else None
        if measured:
            measured.watch(launched)
        yield launched
        if measured:
            measured.write()
        launched.close()


@pytest.fixture(scope="module")
def all_visitors(browser: Browser) -> Visitors:
    return Visitors(browser)


@pytest.fixture
def visitors(all_visitors: Visitors) -> Iterator[Visitors]:
    yield all_visitors
    all_visitors.leave()


@pytest.fixture
def visit(visitors: Visitors, server: Server) -> Iterator[Callable[..., Watched]]:
    """Opens the page as another visitor; nothing may go wrong on it, and it may ask no other host."""
    come = Visits(visitors, server.url)
    yield come
    come.end()


@pytest.fixture
def watched(visit: Callable[..., Watched]) -> Watched:
    """The page on a wide screen."""
    return visit(
        viewport={"width": 1400, "height": 900},
        accept_downloads=True,
        permissions=["camera", "clipboard-read", "clipboard-write"],
    )


@pytest.fixture
def remembered(server: Server) -> Iterator[None]:
    """The real networks answer from memory what they were asked before: half of a small picture's time is theirs."""
    sessions = [server.service.offered.session(name) for name in ("u2netp", "modnet")]
    for session in sessions:
        session.run = remembering(session.spec.id, session.run)  # type: ignore[method-assign]
    yield
    for session in sessions:
        del session.run


_ANSWERS: dict[Any, Answer] = {}


def remembering(model: str, network: Callable[..., Answer]) -> Callable[..., Answer]:
    def run(tensor: NDArray[Any], cancelled: Any = None, **options: Any) -> Answer:
        key = model, tensor.shape, hashlib.sha256(tensor.tobytes()).digest(), str(options)
        if key not in _ANSWERS:
            _ANSWERS[key] = network(tensor, cancelled, **options)
        return replace(_ANSWERS[key], output=_ANSWERS[key].output.copy())

    return run
