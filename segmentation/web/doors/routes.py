"""The routes of the doors that the operator opened."""

from starlette.routing import BaseRoute

from segmentation.web.doors.counter import Counter, Fetch
from segmentation.web.doors.rembg import rembg_routes
from segmentation.web.doors.removebg import removebg_routes
from segmentation.web.runs.service import Service

_ROUTES = {"rembg": rembg_routes, "removebg": removebg_routes}


def door_routes(service: Service, fetch: Fetch | None = None) -> list[BaseRoute]:
    """The routes, for `launch`; the doorman lets requests through to those of open doors only.

    Args:
        service: All runs.
        fetch: As for `Counter`.
    """
    counter = Counter(service, fetch)
    return [route for door in sorted(service.config.open_doors) for route in _ROUTES[door](counter)]
