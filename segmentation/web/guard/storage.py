"""Disk budgets for uploads and results, in total and per client. The least recently used files go first."""

import shutil
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path

from segmentation.config import Config
from segmentation.web.guard.gradio_seams.files import upload_folder
from segmentation.web.guard.uploads import is_swept

RECENT_SECONDS = 120.0  # files used this recently stay: a run may be about to read them
SCAN_SECONDS = 2.0  # minimum interval between scans of the folder
FREE_BYTES = 200 << 20  # of the disk, left to others
_MAX_CLIENTS = 10_000  # whose uploads are remembered; beyond that, the least recently active are forgotten


@dataclass(slots=True)
class _Client:
    """Recent uploads from one address."""

    uploads: deque[tuple[float, int, int]] = field(default_factory=deque)  # time, files, bytes
    files: int = 0
    bytes: int = 0

    def forget_before(self, moment: float) -> None:
        while self.uploads and self.uploads[0][0] < moment:
            _, files, size = self.uploads.popleft()
            self.files -= files
            self.bytes -= size


class Storage:
    """The budgets. Thread-safe."""

    def __init__(self, config: Config) -> None:
        """Store the limits. The folder is scanned when an upload arrives."""
        self._config = config
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock, self._scan_lock = threading.Lock(), threading.Lock()
        self._scanned = 0.0
        self._full = False
        self._free = config.stored_mb << 20  # bytes, at the last scan
        self._pending: dict[str, int] = {}  # address -> bytes announced

    def begin(self, client: str, size: int) -> tuple[int, str] | None:
        """Reserve room for a new upload; `end` releases it.

        Args:
            client: Address of the client.
            size: Announced size in bytes.

        Returns:
            Status and message if the client may not upload more now, or there is no room; None if it may.
        """
        config = self._config
        with self._lock:
            known = self._clients.get(client)
            if known:
                known.forget_before(time.monotonic() - 60 * config.keep_minutes)
            pending = self._pending.get(client, 0)
            uploaded = known.bytes if known else 0
            over = uploaded + pending + size > config.client_mb << 20 and (uploaded or pending)
            if over or (known and known.files >= config.client_files):
                return 429, (
                    f"Upload limit reached: {config.client_files} files or {config.client_mb} MB per address in "
                    f"{config.keep_minutes} minutes. Try again later."
                )
        self.make_room()
        with self._lock:
            if self._full or sum(self._pending.values()) + size > self._free:
                return 507, "The server has no room for more pictures right now. Try again in a few minutes."
            self._pending[client] = self._pending.get(client, 0) + size
        return None

    def end(self, client: str, size: int) -> None:
        """Release the room of an upload that ended, whether it succeeded or not."""
        with self._lock:
            left = self._pending.get(client, 0) - size
            if left > 0:
                self._pending[client] = left
            else:
                self._pending.pop(client, None)

    def record(self, client: str, files: int, size: int) -> None:
        """Count what a client uploaded."""
        with self._lock:
            known = self._clients.setdefault(client, _Client())
            self._clients.move_to_end(client)
            known.uploads.append((time.monotonic(), files, size))
            known.files += files
            known.bytes += size
            while len(self._clients) > _MAX_CLIENTS:
                self._clients.popitem(last=False)

    def make_room(self) -> None:
        """Delete the least recently used files until the budgets are met; at most once in `SCAN_SECONDS`."""
        with self._scan_lock:
            if time.monotonic() - self._scanned < SCAN_SECONDS:
                return
            root = upload_folder()
            entries = sorted(_entries(root)) if root.is_dir() else []
            files, size = sum(entry[1] for entry in entries), sum(entry[2] for entry in entries)
            max_files, max_bytes = self._config.stored_files, self._config.stored_mb << 20
            for used, count, nbytes, path in entries:
                if (files <= max_files and size <= max_bytes) or time.time() - used < RECENT_SECONDS:
                    break
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                files, size = files - count, size - nbytes
            over = files > max_files or size > max_bytes
            free = shutil.disk_usage(root).free - FREE_BYTES if root.is_dir() else max_bytes
            self._full, self._free = over or free < 0, max(free, 0)
            self._scanned = time.monotonic()


def _entries(root: Path) -> list[tuple[float, int, int, Path]]:
    """Last use, number of files, bytes and path of each upload and run."""
    found = []
    for path in root.iterdir():
        if not is_swept(path.name):
            continue
        try:
            parts = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
            found.append((path.stat().st_mtime, len(parts), sum(part.stat().st_size for part in parts), path))
        except OSError:  # deleted meanwhile
            continue
    return found
