"""Serves the page with every part of Gradio that visitors do not need switched off, and shuts it down gracefully."""

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Route

from segmentation.config import Config
from segmentation.errors import SettingsError
from segmentation.web.api import QUEUE_NAME
from segmentation.web.compressed import Compressed
from segmentation.web.guard.admission import Admission
from segmentation.web.guard.doorman import Doorman, client_address, known_hosts
from segmentation.web.guard.gradio_seams.files import guard_uploads
from segmentation.web.guard.gradio_seams.queue import is_busy, refuse_events, separate_queues
from segmentation.web.guard.gradio_seams.server import (
    EXCEPTION_HANDLERS,
    allow_origins,
    describe_links,
    explain_every_error,
    limit_connections,
)
from segmentation.web.guard.storage import Storage
from segmentation.web.page.scripts import STYLES
from segmentation.web.page.theme import theme
from segmentation.web.texts import translations

DESCRIPTION = "Cut the subject out of your pictures, down to the hair, with any ONNX segmentation model."
CARD = Path(__file__).parent / "page" / "screenshot.png"
QUEUE_SIZE = 1000  # events of all kinds
SILENT_SECONDS = 20.0  # that a connection may take to send a request's head
_POLL_SECONDS = 0.5
_CLOSE_SECONDS = 8.0  # for the server to shut down
_THREADS = 40  # for handlers, in addition to one per run


def launch(
    demo: gr.Blocks,
    config: Config,
    *,
    routes: Sequence[BaseRoute] = (),
    admission: Admission | None = None,
    **options: Any,
) -> tuple[Any, str, str]:
    """Serve the page with every part of Gradio that visitors do not need switched off.

    Args:
        demo: The page.
        config: The limits, and who may log in.
        routes: Additional routes, open without a login.
        admission: Counts the runs that come beside Gradio's queue.
        options: Additional arguments of `gr.Blocks.launch`, such as server_name and server_port.

    Raises:
        SettingsError: The tool for language models is enabled, but its package is not installed.
    """
    if config.mcp and importlib.util.find_spec("mcp") is None:  # Gradio would only print it and continue without
        raise SettingsError(f"SEGMATTE_MCP needs another package: pip install 'gradio[mcp]=={gr.__version__}'.")
    runs = config.runs
    demo.queue(api_open=False, max_size=QUEUE_SIZE, default_concurrency_limit=config.concurrency)
    separate_queues(demo, runs, QUEUE_NAME, admission)
    storage = Storage(config)
    guard_uploads(lambda files, size: storage.record(client_address.get(), files, size))
    explain_every_error()
    allow_origins(known_hosts(config))
    describe_links("Segmatte", DESCRIPTION, "/card.png")
    limit_connections(config.connections, SILENT_SECONDS)
    return demo.launch(
        theme=theme(),
        i18n=translations(),
        css_paths=STYLES,
        max_file_size=config.max_upload_mb << 20,
        max_threads=_THREADS + runs,
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
            "routes": [*routes, Route("/card.png", lambda _: FileResponse(CARD))],
            "middleware": [Middleware(Compressed), Middleware(Doorman, config=config, storage=storage)],
            "exception_handlers": EXCEPTION_HANDLERS,
        },
        **options,
    )


def serve_until_stopped(demo: gr.Blocks, grace_seconds: float, admission: Admission) -> None:
    """Serve until SIGTERM or SIGINT (also as process 1, which has no default handling), then finish runs in progress.

    Args:
        demo: The page, launched.
        grace_seconds: How long runs may take to finish before they are stopped.
        admission: Counts the runs that come beside Gradio's queue.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    # Poll: a signal received by another thread does not wake this one, and only this one may handle it.
    while not stopped.wait(_POLL_SECONDS):
        pass
    refuse_events(demo)
    admission.close()
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and (is_busy(demo) or admission.outside):
        time.sleep(0.1)
    # a library's thread that does not end must not keep the process alive
    last_resort = threading.Timer(_CLOSE_SECONDS, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()
    demo.close(verbose=False)
