"""What happens behind the running page; each function is for a background thread."""

import logging
import math
import time

from segmentation.matting.alpha import warm_up
from segmentation.web.guard.uploads import sweep
from segmentation.web.runs.service import Service

log = logging.getLogger(__name__)

IDLE_SECONDS = 30.0  # idle time after which a network frees its memory
HUB_SECONDS = 300.0  # between two looks for a Hub that could not be reached


def prepare(service: Service) -> None:
    """Load the default model and compile the matting."""
    service.offered.load_default()
    warm_up()
    log.info("alpha matting is ready")


def keep_clean(service: Service) -> None:
    """Periodically delete old runs and uploads and free idle memory; never returns."""
    keep = service.config.keep_minutes * 60
    swept, looked = -math.inf, time.monotonic()
    while True:
        if time.monotonic() - looked > HUB_SECONDS:
            looked = time.monotonic()
            service.offered.look_for_hub()
        if time.monotonic() - swept > min(600, keep):
            swept = time.monotonic()
            sweep(keep)
            service.shown.drop_expired()
            service.offered.named.expire()
        service.offered.give_memory_back(IDLE_SECONDS)
        service.predictions.trim()
        time.sleep(IDLE_SECONDS / 3)
