"""What goes wrong with the Hub, as `WeightsError`s whose texts are ends of sentences."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from segmentation.errors import WeightsError
from segmentation.messages import Message

HUB_ANSWER_SECONDS = 4.0  # timeout of a request's answer; the Hub's client would wait longer, or for ever


@contextmanager
def hub_errors(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into `WeightsError`s.

    Args:
        repo_id: The repository that is asked for; "" if none is.

    Raises:
        WeightsError: The Hub is switched off, cannot be reached, or refuses.
    """
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(Message("the Hub is switched off (HF_HUB_OFFLINE)"))
    try:
        yield
    except GatedRepoError as error:
        raise WeightsError(
            Message(
                "the Hub requires accepting the terms of {repo_id}: do so at {endpoint}/{repo_id} and set HF_TOKEN to "
                "a token of that account",
                repo_id=repo_id,
                endpoint=constants.ENDPOINT,
            )
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            Message("the Hub has no {repo_id} (removed, or HF_TOKEN is needed)", repo_id=repo_id)
        ) from error
    except RevisionNotFoundError as error:
        raise WeightsError(
            Message("the Hub has no such branch, tag or commit of {repo_id}", repo_id=repo_id)
        ) from error
    except HfHubHTTPError as error:
        raise WeightsError(_answered(error.response.status_code, repo_id)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WeightsError(Message("the disk of the Hub cache (HF_HOME) is full")) from error
        if error.filename is not None:
            raise WeightsError(Message("the Hub cache cannot be written to: set HF_HOME")) from error
        raise WeightsError(_unreachable(error)) from error
    except Exception as error:  # httpx2's errors do not derive from OSError, and httpx2 is not our dependency
        if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore", "httpcore2", "hf_xet"}:
            raise
        raise WeightsError(_unreachable(error)) from error


def _answered(status: int, repo_id: str) -> Message:
    if status == 429:
        return Message("the Hub is receiving too many requests: try again in a few minutes")
    if not repo_id:
        return Message("the Hub answered {status_code}", status_code=status)
    return Message("the Hub answered {status_code} for {repo_id}", status_code=status, repo_id=repo_id)


def _unreachable(error: Exception) -> Message:
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return Message("the Hub cannot be reached ({first_line})", first_line=first_line)
