"""Monitoring: `/healthz` answers while the process is alive, `/readyz` once visitors need not wait."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.web.runs.service import Service


def health_routes(service: Service) -> list[BaseRoute]:
    """Both routes, for `launch`. They need no login, and reveal nothing that the page does not."""
    done: set[str] = set()  # what has been ready once: the network may be evicted later without being waited for again

    def not_ready() -> str:
        if service.work.is_stuck:
            return "A run is stuck."
        if "matting" not in done and not matting_is_ready():
            return "Alpha matting is being compiled."
        done.add("matting")
        if "model" not in done and not service.offered.is_default_loaded:
            return "The default model is not loaded yet; if it failed to load, the log says why."
        done.add("model")
        return ""

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    def readyz(_: Request) -> JSONResponse:
        problem = not_ready()
        return JSONResponse({"status": problem}, 503) if problem else JSONResponse({"status": "ready"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
