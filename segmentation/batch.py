"""Many pictures: decoded, segmented and encoded side by side, each failing alone; files, report and ZIP."""

import queue
import re
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segmentation.compose import save_cutout
from segmentation.errors import ImageError, SegmentationError
from segmentation.image import MAX_PIXELS, PICTURE_ENDINGS, Picture, load_image
from segmentation.pipeline import FOUND, Prediction, Result, predict, refine
from segmentation.providers import available_cores
from segmentation.session import Session
from segmentation.settings import Settings
from segmentation.tensor import overridden

TICK = 0.5  # seconds without an event after which a batch yields None

Report = dict[str, Any]
"""One picture's entry: name, width, height, model, provider, seconds by stage, warnings, files, error (or None)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A picture enters a stage."""

    index: int
    name: str
    stage: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A picture is done: its files (several where the network tells classes apart, none where it failed) and report."""

    index: int
    name: str
    files: tuple[Path, ...]
    report: Report


def run_batch(
    sources: Sequence[Path],
    session: Session,
    settings: Settings,
    folder: Path,
    *,
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
        session: The network.
        settings: What to do with each.
        folder: Where the PNGs go; it exists.
        max_pixels: Pictures with more are refused.
        workers: Pictures at work at the same time; as many as there are cores by default.
        slots: Shared by batches that run at the same time; a picture is at work only while it holds one.

    Raises:
        SettingsError: The model cannot take the size asked for; nothing was started.
    """
    overridden(session.input, settings)
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
            picture = sources[index], stems[index]
            files, report = _cut_out(*picture, session, settings, folder, max_pixels, on_stage)
            events.put(Outcome(index, name, files, report))
        except _StoppedError:
            return
        except BaseException as error:  # a bug: let it surface in the caller's thread
            events.put(error)

    executor = ThreadPoolExecutor(min(workers or available_cores(), max(1, len(sources))), "segment")
    try:
        for index in range(len(sources)):
            executor.submit(work, index)
        left = len(sources)
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


def _cut_out(
    source: Path,
    stem: str,
    session: Session,
    settings: Settings,
    folder: Path,
    max_pixels: int,
    on_stage: Callable[[str], None],
) -> tuple[tuple[Path, ...], Report]:
    report: Report = {
        "name": source.name,
        "width": None,
        "height": None,
        "model": session.spec.id,
        "provider": session.provider,
        "provider_note": session.provider_note,
        "seconds": {},
        "warnings": [],
        "files": [],
        "error": None,
    }
    files: list[Path] = []
    try:
        start = time.perf_counter()
        picture = load_image(source, max_pixels=max_pixels)
        report["height"], report["width"] = picture.size
        report["warnings"] += picture.notes
        _add_seconds(report, {"decode": time.perf_counter() - start})
        prediction = predict(picture, session, settings, on_stage)
        _add_seconds(report, prediction.timings)
        for label, result in _results(picture, prediction, settings, on_stage):
            _add_seconds(report, result.timings)
            report["warnings"] += [f"{label}: {text}" if label else text for text in result.warnings]
            on_stage("encode")
            start = time.perf_counter()
            file = folder / f"{stem}{'-' + label if label else ''}-cutout.png"
            save_cutout(result.foreground, result.alpha, file, picture.icc_profile)
            files.append(file)
            _add_seconds(report, {"encode": time.perf_counter() - start})
        if not files:
            report["warnings"].append("Nothing was found in this picture: try another model.")
    except SegmentationError as error:
        report["error"] = str(error)
    except MemoryError:
        report["error"] = f"{source.name} needs more memory than this machine has free. Make it smaller first."
    except OSError as error:
        report["error"] = f"The cutout of {source.name} could not be written ({error.strerror or error})."
    report["files"] = [file.name for file in files]
    return tuple(files), report


def _results(
    picture: Picture, prediction: Prediction, settings: Settings, on_stage: Callable[[str], None]
) -> Iterator[tuple[str, Result]]:
    for label, probability in prediction.maps.items():
        if label and float(np.max(probability)) < FOUND:
            continue  # a person without a skirt has no cutout of a skirt
        yield label, refine(picture, probability, settings, on_stage)


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
    """All files in one ZIP, stored as they are: PNGs are compressed already."""
    partial = target.with_name(f".{uuid.uuid4().hex}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    partial.replace(target)
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
                and not file.name.endswith("-cutout.png")
            )
        elif path.is_file():
            found.append(path)
        else:
            raise ImageError(f"{path} does not exist.")
    if not found:
        raise ImageError("There are no pictures.")
    return found
