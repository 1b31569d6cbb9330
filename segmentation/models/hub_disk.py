"""The disk space of models that visitors named: counted, and the least recently used ones deleted beyond a budget.

Each downloaded file has a record in its repository's folder of the Hub's cache, whose modification time is that of the
last use. What was in the cache before, and what belongs to the registry, has none and is never deleted.
"""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from pydantic import ValidationError

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.hub import cached_from_hub
from segmentation.models.hub_known import record_folder
from segmentation.models.spec import HubSource, ModelSpec

log = logging.getLogger(__name__)


class HubDisk:
    """The models that visitors had downloaded into the Hub's cache. Thread-safe."""

    def __init__(
        self, budget: int, registry: Iterable[ModelSpec] = (), loaded: Callable[[], Collection[str]] = tuple
    ) -> None:
        """Count what is there when it is first needed.

        Args:
            budget: Bytes for all of them together.
            registry: Models whose files are never deleted.
            loaded: Ids of the models that are in use now, besides those in a `holding` block.
        """
        self._budget = budget
        self._kept = {(s.repo_id, s.filename) for m in registry for s in m.weights.sources if isinstance(s, HubSource)}
        self._loaded = loaded
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, spec: ModelSpec) -> Iterator[None]:
        """Download and use the model in this block: there is room for it, and it stays.

        Raises:
            WeightsError: It is larger than the budget, or than what models not in use leave of it.
        """
        with self._lock:
            ours = self._is_ours(spec)
            if ours:
                self._make_room(spec)
                self._record(spec)
            self._held[spec.id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[spec.id] -= 1
                if ours:
                    self._record(spec)

    def used(self) -> int:
        """Bytes of all recorded models together."""
        with self._lock:
            return sum(spec.weights.total for _, spec in self._records())

    def _is_ours(self, spec: ModelSpec) -> bool:
        """Whether it is to be counted: a model from the Hub that visitors brought here."""
        source = _source(spec)
        if spec.registered or source is None or (source.repo_id, source.filename) in self._kept:
            return False
        cached = cached_from_hub(source.repo_id, source.revision, source.filename)
        return cached is None or _record_path(spec, source).exists()

    def _make_room(self, spec: ModelSpec) -> None:
        others = [(used_at, other) for used_at, other in self._records() if other.id != spec.id]
        excess = sum(other.weights.total for _, other in others) + spec.weights.total - self._budget
        in_use = {*self._loaded(), *(+self._held)}
        victims = []
        for _, other in sorted(others, key=lambda entry: entry[0]):
            if excess <= 0:
                break
            if other.id not in in_use:
                victims.append(other)
                excess -= other.weights.total
        if excess > 0:
            raise WeightsError(
                Message(
                    "There is no room for {title}: models on the Hub may take {most} MB here, and the others are in "
                    "use.",
                    title=spec.title, most=self._budget >> 20,
                )
            )  # fmt: skip
        for other in victims:
            _delete(other)

    def _records(self) -> list[tuple[float, ModelSpec]]:
        records = []
        for path in Path(constants.HF_HUB_CACHE).glob("models--*/.segmatte/*.used"):
            with suppress(OSError, ValidationError):  # deleted meanwhile, or of another version
                records.append((path.stat().st_mtime, ModelSpec.model_validate_json(path.read_bytes())))
        return records

    def _record(self, spec: ModelSpec) -> None:
        source = _source(spec)
        assert source is not None, "it is ours"
        path = _record_path(spec, source)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(spec.model_dump_json(), encoding="utf-8")
        except OSError as error:
            raise WeightsError(Message("the Hub cache cannot be written to: set HF_HOME")) from error


def _source(spec: ModelSpec) -> HubSource | None:
    return next((source for source in spec.weights.sources if isinstance(source, HubSource)), None)


def _record_path(spec: ModelSpec, source: HubSource) -> Path:
    return record_folder(source.repo_id) / f"{hashlib.sha256(spec.id.encode()).hexdigest()[:32]}.used"


def _delete(spec: ModelSpec) -> None:
    """Delete a model's files, as far as no other model in the cache shares them, and its record."""
    source = _source(spec)
    assert source is not None, "it has a record"
    folder = Path(source.filename).parent
    wanted = {source.filename, *((folder / data.file).as_posix() for data in spec.weights.data)}
    try:
        cache = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return
    files = [
        file
        for repo in cache.repos
        if repo.repo_id == source.repo_id and repo.repo_type == "model"
        for revision in repo.revisions
        if revision.commit_hash == source.revision
        for file in revision.files
        if file.file_path.relative_to(revision.snapshot_path).as_posix() in wanted
    ]
    cache.delete_files(*files).execute()
    for sha256 in (spec.weights.sha256, *(data.sha256 for data in spec.weights.data)):
        half = record_folder(source.repo_id).parent / "blobs" / f"{sha256}.incomplete"
        half.unlink(missing_ok=True)  # of a download that broke off
    with suppress(FileNotFoundError):
        _record_path(spec, source).unlink()
    log.info("deleted %s to stay within the disk budget", spec.id)
