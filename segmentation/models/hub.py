"""Weights from the Hugging Face Hub, at the pinned revision."""

import errno
import io
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from tqdm import tqdm

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.spec import HubSource, Progress, Weights

HUB_ANSWER_SECONDS = 4.0  # timeout of the first request; hf_hub_download alone would wait a minute


def fetch_from_hub(source: HubSource, weights: Weights, on_progress: Progress) -> Path:
    """Download one file into the Hub's cache, without verifying it.

    Raises:
        WeightsError: The Hub cannot be reached, or refuses the file.
    """
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(Message("the Hub is switched off (HF_HUB_OFFLINE)"))
    url = hf_hub_url(source.repo_id, source.filename, revision=source.revision)
    try:
        get_hf_file_metadata(url, timeout=HUB_ANSWER_SECONDS)
        path = hf_hub_download(
            source.repo_id,
            source.filename,
            revision=source.revision,
            # a file still in the cache at this point has failed verification
            force_download=isinstance(
                try_to_load_from_cache(source.repo_id, source.filename, revision=source.revision), str
            ),
            tqdm_class=_reporting_tqdm(weights.file, on_progress),
        )
    except GatedRepoError as error:
        raise WeightsError(
            Message(
                "the Hub requires accepting the terms of {repo_id}: do so at {endpoint}/{repo_id} and set HF_TOKEN to "
                "a token of that account",
                repo_id=source.repo_id,
                endpoint=constants.ENDPOINT,
            )
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            Message("the Hub has no {repo_id} (removed, or HF_TOKEN is needed)", repo_id=source.repo_id)
        ) from error
    except HfHubHTTPError as error:
        raise WeightsError(
            Message(
                "the Hub answered {status_code} for {repo_id}",
                status_code=error.response.status_code,
                repo_id=source.repo_id,
            )
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WeightsError(Message("the disk of the Hub cache (HF_HOME) is full")) from error
        if error.filename is not None:
            raise WeightsError(Message("the Hub cache cannot be written to: set HF_HOME")) from error
        raise WeightsError(
            Message("the Hub cannot be reached ({first_line})", first_line=_first_line(error))
        ) from error
    except Exception as error:  # httpx2's errors do not derive from OSError, and httpx2 is not our dependency
        if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore", "httpcore2", "hf_xet"}:
            raise
        raise WeightsError(
            Message("the Hub cannot be reached ({first_line})", first_line=_first_line(error))
        ) from error
    return Path(path)


def _reporting_tqdm(name: str, on_progress: Progress) -> "type[tqdm[Any]]":
    class Reporting(tqdm):  # type: ignore[type-arg]
        """The Hub's progress bar, reporting to our callback instead of the terminal."""

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            on_progress(name, int(self.n), int(self.total or 0))
            return shown

    return Reporting


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
