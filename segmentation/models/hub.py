"""Files from the Hugging Face Hub, at a pinned revision, in the Hub's cache."""

import io
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from tqdm import tqdm

from segmentation.models.hub_errors import HUB_ANSWER_SECONDS, hub_errors

# ONNX Runtime refuses data files whose real folder is not that of the graph, as in the Hub cache's shared store
constants.HF_HUB_DISABLE_SHARED_BLOBS = True

OnBytes = Callable[[int], None]
"""Called with the bytes so far."""


def cached_from_hub(repo_id: str, revision: str, path: str) -> Path | None:
    """The file in the Hub's cache, not verified; None if it is not there."""
    found = try_to_load_from_cache(repo_id, path, revision=revision)
    return Path(found) if isinstance(found, str) else None


def fetch_from_hub(repo_id: str, revision: str, path: str, on_bytes: OnBytes | None = None) -> Path:
    """Download one file into the Hub's cache, even if it is there already, without verifying it.

    Args:
        repo_id: Owner and name.
        revision: The commit.
        path: The file's path in the repository.
        on_bytes: Called while bytes arrive.

    Raises:
        WeightsError: The Hub cannot be reached, or refuses the file.
    """
    with hub_errors(repo_id):
        get_hf_file_metadata(hf_hub_url(repo_id, path, revision=revision), timeout=HUB_ANSWER_SECONDS)
        return Path(
            hf_hub_download(
                repo_id,
                path,
                revision=revision,
                force_download=cached_from_hub(repo_id, revision, path) is not None,
                tqdm_class=_reporting_tqdm(on_bytes or (lambda _: None)),
            )
        )


def leave_shared_store(path: Path) -> None:
    """Make a file of the Hub's cache one of its repository's own, if another program put it into the shared store.

    Its name, its bytes and, where the disk can link, its space stay the same.
    """
    blob = path.parent / path.readlink() if path.is_symlink() else path
    if not blob.is_symlink():
        return
    own = blob.with_name(f"{blob.name}.{os.getpid()}.incomplete")
    with suppress(FileNotFoundError):
        own.unlink()
    try:
        own.hardlink_to(blob.resolve())
    except OSError:  # a disk without links, or too many of them
        shutil.copyfile(blob, own)
    own.replace(blob)


def _reporting_tqdm(on_bytes: OnBytes) -> "type[tqdm[Any]]":
    class Reporting(tqdm):  # type: ignore[type-arg]
        """The Hub's progress bar, reporting to our callback instead of the terminal."""

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            on_bytes(int(self.n))
            return shown

    return Reporting
