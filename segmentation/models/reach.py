"""Whether the Hub would give a file now, asked without downloading it."""

import logging
import threading
from typing import Literal

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError

from segmentation.models.spec import HubSource

log = logging.getLogger(__name__)

Answer = Literal["yes", "no", "silent"]
"""Whether it would; or that it was not reached."""


def is_hub_off() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the Hub."""
    return bool(constants.HF_HUB_OFFLINE)


def ask_hub(source: HubSource, seconds: float) -> Answer:
    """Whether the Hub would give a file: it must exist, and not be behind terms that nobody here has accepted.

    Args:
        source: The file.
        seconds: Time for the answer, name resolution included.
    """
    if is_hub_off():
        return "silent"
    answers: list[Answer] = []
    # in a thread, as a timeout of the request does not end the resolution of a name
    asking = threading.Thread(target=lambda: answers.append(_ask(source, seconds)), daemon=True, name="ask_hub")
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else "silent"


def _ask(source: HubSource, seconds: float) -> Answer:
    try:
        get_hf_file_metadata(hf_hub_url(source.repo_id, source.filename, revision=source.revision), timeout=seconds)
        return "yes"
    except HfHubHTTPError as error:
        log.info("the Hub would not give %s of %s: %s", source.filename, source.repo_id, error)
        return "no"
    except Exception as error:  # the errors of a network have no common base (see hub.py)
        log.info("the Hub cannot be reached: %s", error)
        return "silent"
