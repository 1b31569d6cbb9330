"""The page in this process, as strangers reach it: real server, real networks, a temporary upload folder."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as app.py does, before Gradio is imported
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr
import pytest
from gradio_client import Client

from segmentation.config import Config
from segmentation.web.page import build_page
from segmentation.web.server import launch
from segmentation.web.service import Service
from tests import graphs


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
    uploads = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        config = Config(models_folder=models, max_pictures=5, max_upload_mb=20, max_request_mb=40, device="cpu")
        service = Service(config)
        page = build_page(service)
        _, url, _ = launch(page, config, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield Server(url.rstrip("/"), uploads, page, service)
        page.close(verbose=False)


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    downloads = tmp_path_factory.mktemp("downloads")
    client = Client(server.url, analytics_enabled=False, verbose=False, download_files=downloads)
    yield client
    client.close()
