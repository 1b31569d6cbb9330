"""For whoever watches the server: `/healthz` says that it lives, `/readyz` that a visitor need not wait for it."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.web.runs.service import Service


def health_routes(service: Service) -> list[BaseRoute]:
    """Both routes, for `launch`. They need no login, and tell nothing that the page would not."""
    done: set[str] = set()  # what was ready once: a network that made room for another is not waited for again

    def not_ready() -> str:
        if service.is_stuck:
            return "A run does not move."
        if "matting" not in done and not matting_is_ready():
            return "Alpha matting is being compiled."
        done.add("matting")
        if "model" not in done and not next(iter(service.offered.as_json()))["loaded_on"]:
            return "The default model is not loaded yet; the log says if it cannot be."
        done.add("model")
        return ""

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    def readyz(_: Request) -> JSONResponse:
        problem = not_ready()
        return JSONResponse({"status": problem}, 503) if problem else JSONResponse({"status": "ready"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
