"""Models that visitors uploaded: each known to its visitor alone, by a token, until the keep time is over."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.onnx_file import file_problem
from segmentation.models.spec import Licence, ModelSpec, own_file_spec

PREFIX = "upload:"
"""What the ids of uploaded models begin with; no file and no repository is called so."""
LICENCE = Licence(id="own-upload", name="your own upload", commercial="unknown")
_LONGEST = 80  # characters of a title


@dataclass(frozen=True, slots=True)
class UploadedModel:
    """A model that a visitor uploaded."""

    spec: ModelSpec
    path: Path
    added_at: float
    """On the table's clock, in seconds."""


class UploadedModels:
    """The table of uploaded models. Thread-safe."""

    def __init__(
        self, keep_seconds: float, most_bytes: int, most: int = 200, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """An empty table.

        Args:
            keep_seconds: How long a model stays after its upload.
            most_bytes: Size of one model.
            most: Models at a time; beyond that, the oldest goes.
            clock: Seconds from any beginning.
        """
        self._keep, self._most_bytes, self._most, self._clock = keep_seconds, most_bytes, most, clock
        self._models: dict[str, UploadedModel] = {}  # the oldest first
        self._lock = threading.Lock()

    def add(self, path: Path, name: str) -> ModelSpec:
        """The model in a file that the visitor uploaded; its id is a secret between the visitor and this table.

        Args:
            path: The uploaded file, which from now on belongs to this table.
            name: What the visitor calls it.

        Raises:
            WeightsError: It is too large, or not a whole ONNX file.
        """
        title = PurePath("".join(c for c in name if c.isprintable())).stem[:_LONGEST] or "model"
        size = path.stat().st_size
        if size > self._most_bytes:
            raise WeightsError(
                Message(
                    "{title} has {size} MB; at most {most} MB are allowed here.",
                    title=title, size=-(-size // (1 << 20)), most=self._most_bytes >> 20,
                )
            )  # fmt: skip
        if problem := file_problem(path):
            raise WeightsError(Message("{title} cannot be used: {problem}", title=title, problem=problem))
        id_ = PREFIX + secrets.token_urlsafe(24)
        spec = own_file_spec(path).model_copy(
            update={
                "id": id_,
                "title": title,
                "about": Message("Your own upload, which nobody else sees."),
                "licence": LICENCE,
            }
        )
        with self._lock:
            self._models[id_] = UploadedModel(spec, path, self._clock())
            gone = self._take_expired()
        _delete(gone)
        return spec

    def get(self, model_id: str) -> UploadedModel:
        """The uploaded model with this id.

        Raises:
            WeightsError: There is none, or its time is over.
        """
        with self._lock:
            gone = self._take_expired()
            found = self._models.get(model_id)
        _delete(gone)
        if found is None or not found.path.is_file():
            raise WeightsError(Message("This uploaded model has expired or does not exist. Upload it again."))
        return found

    def expire(self) -> None:
        """Delete the models whose time is over."""
        with self._lock:
            gone = self._take_expired()
        _delete(gone)

    def _take_expired(self) -> list[Path]:
        """The files to delete."""
        oldest = self._clock() - self._keep
        gone = [model for model in self._models.values() if model.added_at < oldest]
        gone += list(self._models.values())[len(gone) : len(self._models) - self._most]
        for model in gone:
            del self._models[model.spec.id]
        kept = {model.path for model in self._models.values()}  # equal uploads are one file
        return [model.path for model in gone if model.path not in kept]


def _delete(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
