"""Many pictures: decoded, segmented and encoded side by side, each failing alone; files, report and ZIP."""

import queue
import re
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segmentation.errors import ImageError, SegmentationError
from segmentation.export import Box, export_box, save_export, save_thumbnail
from segmentation.image import MAX_PIXELS, PICTURE_ENDINGS, Picture, load_image, save_png, whole_file
from segmentation.pipeline import FOUND, Prediction, Result, Stage, predict, refine
from segmentation.providers import available_cores
from segmentation.session import Session
from segmentation.settings import Export, Settings
from segmentation.tensor import overridden

TICK = 0.25  # seconds without an event after which a batch yields None

BROWSERS_SHOW = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "AVIF")  # and GIF, but those mostly move

Report = dict[str, Any]
"""One picture's entry: name, width, height, model, provider, provider_note, network_mb (memory of the loaded network),
seconds by stage, warnings, files, error (or None); the web side adds run, its id."""


@dataclass(frozen=True, slots=True)
class Step:
    """A picture enters a stage."""

    index: int
    name: str
    stage: str


@dataclass(frozen=True, slots=True)
class Cutout:
    """One file that was written."""

    label: str
    """Which class it shows, where the network tells several apart."""
    file: Path
    box: Box
    """What it shows of its picture; all of it where nothing was cropped."""
    thumbnail: Path | None = None
    stages: dict[str, Path] = field(default_factory=dict)
    """Pictures of the stages by name, where they were asked for; "before" is the picture where no browser shows it."""

    @property
    def all_files(self) -> list[Path]:
        """The file itself and all that was written beside it."""
        return [self.file, *([self.thumbnail] if self.thumbnail else []), *self.stages.values()]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A picture is done: cutouts (several where the network tells classes apart, none where it failed) and report."""

    index: int
    name: str
    cutouts: tuple[Cutout, ...]
    report: Report
    prediction: Prediction | None = None
    """What the network said; None where it came to no answer."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The cutouts' files."""
        return tuple(cutout.file for cutout in self.cutouts)


def run_batch(
    sources: Sequence[Path],
    network: Session | Mapping[int, Prediction],
    settings: Settings,
    folder: Path,
    export: Export | None = None,
    backdrop: Picture | None = None,
    *,
    thumbnails: int = 0,
    stages: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    slots: threading.Semaphore | None = None,
) -> Generator[Step | Outcome | None, None, None]:
    """Cut out every picture; yields steps as they begin and outcomes as they finish, in whatever order.

    Each worker takes one picture from decoding to its PNG, so at most `workers` pictures are in memory however long
    the batch is. Where nothing happens for a moment it yields None, so that whoever reads it is never held up and may
    close it: then no further picture starts, and those at work end at their next stage.

    Args:
        sources: The pictures' files.
        network: What says where the subject is: a session, or what one said before about the picture of each number.
            Of those, pictures without a number are left out.
        settings: What to do with each.
        folder: Where the files go; it exists.
        export: How they are written; as transparent PNGs if not given.
        backdrop: The picture behind, where `export` asks for one.
        thumbnails: Longer side in pixels of a small PNG to write beside each file; 0 for none.
        stages: Write what a viewer needs too: the planes of every stage as grey PNGs.
        max_pixels: Pictures with more are refused.
        workers: Pictures at work at the same time; as many as there are cores by default.
        slots: Shared by batches that run at the same time; a picture is at work only while it holds one.

    Raises:
        SettingsError: The model cannot take the size asked for; nothing was started.
    """
    if isinstance(network, Session):
        overridden(network.input, settings)
    job = _Job(network, settings, folder, export or Export(), backdrop, thumbnails, stages, max_pixels)
    indices = range(len(sources)) if isinstance(network, Session) else sorted(network)
    events: queue.SimpleQueue[Step | Outcome | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()
    stems = cutout_stems([source.name for source in sources])

    def work(index: int) -> None:
        with slots or nullcontext():
            cut_out(index)

    def cut_out(index: int) -> None:
        name = sources[index].name

        def on_stage(stage: str) -> None:
            if stopped.is_set():
                raise _StoppedError
            events.put(Step(index, name, stage))

        try:
            on_stage("decode")
            events.put(job.cut_out(index, sources[index], stems[index], on_stage))
        except _StoppedError:
            return
        except BaseException as error:  # a bug: let it surface in the caller's thread
            events.put(error)

    executor = ThreadPoolExecutor(min(workers or available_cores(), max(1, len(sources))), "segment")
    try:
        for index in indices:
            executor.submit(work, index)
        left = len(indices)
        while left:
            try:
                event = events.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event, Outcome)
            yield event
    finally:
        stopped.set()
        executor.shutdown(wait=False, cancel_futures=True)  # a server closes this in its event loop: it must not wait


class _StoppedError(Exception):
    """The caller closed the batch."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is the same for every picture of a batch."""

    network: Session | Mapping[int, Prediction]
    settings: Settings
    folder: Path
    export: Export
    backdrop: Picture | None
    thumbnails: int
    stages: bool
    max_pixels: int

    def cut_out(self, index: int, source: Path, stem: str, on_stage: Stage) -> Outcome:
        """One picture, from its file to its cutouts. What goes wrong with it stands in the report."""
        known = None if isinstance(self.network, Session) else self.network[index]
        report = self._empty_report(source, known)
        cutouts: list[Cutout] = []
        prediction = known
        try:
            start = time.perf_counter()
            picture = load_image(source, max_pixels=self.max_pixels)
            report["height"], report["width"] = picture.size
            report["warnings"] += picture.notes
            _add_seconds(report, {"decode": time.perf_counter() - start})
            if isinstance(self.network, Session):
                prediction = predict(picture, self.network, self.settings, on_stage)
                _add_seconds(report, prediction.timings)
            assert prediction is not None
            # of this run: a GPU may have been lent, or have run out of memory
            report["provider"], report["provider_note"] = prediction.provider, prediction.provider_note
            report["network_mb"] = round(prediction.network_memory / 1e6)
            for label, result in _results(picture, prediction, self.settings, on_stage):
                _add_seconds(report, result.timings)
                on_stage("encode")
                start = time.perf_counter()
                report["warnings"] += _labelled(label, result.warnings)
                cutout, said = self._write(picture, result, label, f"{stem}{'-' + label if label else ''}-cutout")
                cutouts.append(cutout)
                _add_seconds(report, {"encode": time.perf_counter() - start})
                report["warnings"] += _labelled(label, said)
            if not cutouts:
                report["warnings"].append("Nothing was found in this picture: try another model.")
        except SegmentationError as error:
            report["error"] = str(error)
        except MemoryError:
            report["error"] = f"{source.name} needs more memory than this machine has free. Make it smaller first."
        except OSError as error:
            report["error"] = f"The cutout of {source.name} could not be written ({error.strerror or error})."
        report["files"] = [cutout.file.name for cutout in cutouts]
        return Outcome(index, source.name, tuple(cutouts), report, prediction)

    def _write(self, picture: Picture, result: Result, label: str, stem: str) -> tuple[Cutout, tuple[str, ...]]:
        file = self.folder / f"{stem}{self.export.ending}"
        said = save_export(picture, result.foreground, result.alpha, file, self.export, self.backdrop)
        small = None
        if self.thumbnails:
            small = self.folder / f"{stem}.small.png"
            planes = result.foreground, result.alpha
            save_thumbnail(picture, *planes, small, self.export, self.backdrop, self.thumbnails)
        stages = save_stages(result, self.folder, stem) if self.stages else {}
        if self.stages and picture.kind not in BROWSERS_SHOW:
            stages["before"] = self.folder / f"{stem}.before.png"
            save_png(picture.rgb, stages["before"], picture.icc_profile)
        return Cutout(label, file, export_box(result.alpha, self.export), small, stages), said

    def _empty_report(self, source: Path, known: Prediction | None) -> Report:
        network = known or self.network
        assert not isinstance(network, Mapping)
        return {
            "name": source.name,
            "width": None,
            "height": None,
            "model": network.spec.id if isinstance(network, Session) else network.model,
            "provider": network.provider,
            "provider_note": network.provider_note,
            "network_mb": 0,
            "seconds": {},
            "warnings": [],
            "files": [],
            "error": None,
        }


def save_stages(result: Result, folder: Path, stem: str) -> dict[str, Path]:
    """Write the planes of every stage as grey PNGs.

    Returns:
        Stage -> file. The probability map has the network's resolution; the trimap is there where there was matting.
    """
    planes = {"probability": np.rint(result.probability * 255.0).astype(np.uint8), "mask": result.mask}
    if result.trimap is not None:
        planes["trimap"] = result.trimap
    planes["alpha"] = result.alpha
    files = {stage: folder / f"{stem}.{stage}.png" for stage in planes}
    for stage, file in files.items():
        save_png(planes[stage], file)
    return files


def _results(
    picture: Picture, prediction: Prediction, settings: Settings, on_stage: Callable[[str], None]
) -> Iterator[tuple[str, Result]]:
    for label, probability in prediction.maps.items():
        if label and float(np.max(probability)) < FOUND:
            continue  # a person without a skirt has no cutout of a skirt
        yield label, refine(picture, probability, settings, on_stage)


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return [f"{label}: {text}" if label else text for text in texts]


def _add_seconds(report: Report, timings: dict[str, float]) -> None:
    for stage, seconds in timings.items():
        report["seconds"][stage] = round(report["seconds"].get(stage, 0.0) + seconds, 4)


def cutout_stems(names: Sequence[str]) -> list[str]:
    """File names without their endings, made safe for every file system and different from each other."""
    taken: set[str] = set()
    stems = []
    for name in names:
        plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", Path(name).stem)
        # file systems count bytes: 255 for the whole name
        plain = plain.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .") or "picture"
        stem, number = plain, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def write_zip(files: Iterable[Path], target: Path) -> Path:
    """All files in one ZIP, stored as they are: pictures are compressed already."""
    with whole_file(target) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    return target


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the pictures directly in them, but for cutouts made before.

    Raises:
        ImageError: A path does not exist, or there is no picture at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in PICTURE_ENDINGS
                and not file.name.startswith(".")
                and file.is_file()
                and not file.stem.endswith("-cutout")
            )
        elif path.is_file():
            found.append(path)
        else:
            raise ImageError(f"{path} does not exist.")
    if not found:
        raise ImageError("There are no pictures.")
    return found
