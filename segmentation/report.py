"""The report on each picture of a batch."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from segmentation.arrays import Size
from segmentation.messages import Message
from segmentation.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Report:
    """One picture's entry."""

    name: str
    model: str
    provider: str
    """The execution provider that computed it, or would have."""
    provider_note: str = ""
    """Why that is not the GPU's, if `auto` could not use it."""
    width: int | None = None
    height: int | None = None
    """Of the picture in pixels; None if it could not be read."""
    network_mb: int = 0
    """Approximate memory of the loaded network in megabytes; 0 if unknown."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage."""
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Names of the cutouts."""
    error: str | None = None
    by_server: bool = False
    """Whether the network or the disk is to blame for the error, rather than the picture or the settings."""
    run: str | None = None
    """Id of the run whose predictions are cached, if any."""

    def as_json(self) -> dict[str, Any]:
        """The entry in the report that the API and the command line give."""
        entry = {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "model": self.model,
            "provider": self.provider,
            "provider_note": self.provider_note,
            "network_mb": self.network_mb,
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
            "files": list(self.files),
            "error": self.error,
        }
        return entry | ({"run": self.run} if self.run else {})


class ReportDraft:
    """A report while its picture is being processed."""

    def __init__(self, report: Report) -> None:
        """Begin with what is known beforehand."""
        self.report = report

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        yield
        self.add({stage: time.perf_counter() - start})

    def read(self, size: Size, notes: tuple[str, ...]) -> None:
        """Record that the picture was read."""
        self.report = replace(self.report, height=size[0], width=size[1])
        self.add({}, warnings=notes)

    def predicted(self, prediction: Prediction) -> None:
        """Record the prediction's execution provider, memory, timings and warnings."""
        self.report = replace(
            self.report,
            provider=prediction.provider,
            provider_note=prediction.provider_note,
            network_mb=round(prediction.network_memory / 1e6),
        )
        self.add(prediction.timings, warnings=prediction.all_warnings)

    def wrote(self, file: str, label: str, warnings: Iterable[str]) -> None:
        """Record that a cutout was written."""
        self.report = replace(self.report, files=(*self.report.files, file))
        self.add({}, label, warnings)

    def failed(self, error: str, *, by_server: bool = False) -> None:
        """Record the error that ended the work on this picture, and who is to blame."""
        self.report = replace(self.report, error=error, by_server=by_server)

    def add(self, timings: Mapping[str, float], label: str = "", warnings: Iterable[str] = ()) -> None:
        """Add seconds by stage, and warnings about the cutout of a class."""
        seconds = dict(self.report.seconds)
        for stage, more in timings.items():  # a stage may run once for each class
            seconds[stage] = round(seconds.get(stage, 0.0) + more, 4)
        added = [Message("{label}: {text}", label=label, text=text) if label else text for text in warnings]
        self.report = replace(self.report, seconds=seconds, warnings=(*self.report.warnings, *added))
