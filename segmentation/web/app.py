"""The page as a program. Importing it prepares the environment for Gradio, which reads it when it is imported."""

import logging
import os
import threading

# Set before Gradio is imported: no telemetry or version check, launch() can reach its own address, uploads go to a
# folder of our own, and compiled matting kernels survive restarts and work on other CPUs.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1,localhost")))
os.environ.setdefault("NUMBA_CPU_NAME", "generic")

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  (must come before Gradio, which requests GPUs from it; preinstalled on ZeroGPU Spaces)

from segmentation.web.guard.folder import prepare_folder

prepare_folder()

from segmentation.config import Config
from segmentation.network.lent import Lent
from segmentation.web.doors.routes import door_routes
from segmentation.web.guard import logs
from segmentation.web.health import health_routes
from segmentation.web.mcp import add_mcp
from segmentation.web.page.page import build_page
from segmentation.web.runs.service import Service
from segmentation.web.runs.upkeep import keep_clean, prepare
from segmentation.web.server import launch, serve_until_stopped
from segmentation.web.thumbnails import thumbnail_routes
from segmentation.web.tiles import tile_routes

log = logging.getLogger(__name__)


def serve(config: Config, host: str, port: int, lent: Lent | None = None) -> None:
    """Build the page and serve it until interrupted.

    Args:
        config: The operator's configuration.
        host: The address to listen on.
        port: The port.
        lent: Networks on other machines.

    Raises:
        SegmentationError: The configuration does not fit what is installed.
    """
    logs.configure()
    service = Service(config, lent)
    if lent:
        log.info("networks run on a cluster, up to %d pictures at once", lent.places)
    demo = build_page(service)
    with demo:
        add_mcp(demo, service)
    launch(
        demo,
        service.config,
        routes=[*health_routes(service), *thumbnail_routes(service), *tile_routes(service), *door_routes(service)],
        admission=service.admission,
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
    )
    # once the page is up: imports and downloads would only delay it
    for work in (prepare, keep_clean):
        threading.Thread(target=work, args=[service], daemon=True, name=work.__name__).start()
    serve_until_stopped(demo, service.config.grace_seconds, service.admission)
