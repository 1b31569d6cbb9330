"""How much of the disk strangers' files may take: in all, and by each of them; the longest unused go first."""

import shutil
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path

from segmentation.config import Config
from segmentation.web.guard.gradio_seams.files import upload_folder
from segmentation.web.guard.uploads import is_swept

YOUNG_SECONDS = 120.0  # what was used so lately stays: a run may be about to read it
LOOK_SECONDS = 2.0  # between two looks at the whole folder
FREE_BYTES = 200 << 20  # of the disk that are left to others
_CLIENTS = 10_000  # whose uploads are remembered; of further ones those of the longest silent are forgotten


@dataclass(slots=True)
class _Client:
    """What one address uploaded lately."""

    uploads: deque[tuple[float, int, int]] = field(default_factory=deque)  # time, files, bytes
    files: int = 0
    bytes: int = 0

    def forget_before(self, moment: float) -> None:
        while self.uploads and self.uploads[0][0] < moment:
            _, files, size = self.uploads.popleft()
            self.files -= files
            self.bytes -= size


class Storage:
    """The budgets. Safe for threads."""

    def __init__(self, config: Config) -> None:
        """Take the limits; the folder is looked at when something comes."""
        self._config = config
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._looked = 0.0
        self._full = False
        self._free = config.stored_mb << 20  # bytes, when it was looked at last
        self._under_way: dict[str, int] = {}  # address -> bytes announced

    def begin(self, client: str, size: int) -> tuple[int, str] | None:
        """Reserve room for an upload that begins; `end` gives it back.

        Args:
            client: Who uploads.
            size: Bytes that are announced.

        Returns:
            Status and sentence where the client may upload nothing more now, or there is no room for it.
        """
        config = self._config
        with self._lock:
            known = self._clients.get(client)
            if known:
                known.forget_before(time.monotonic() - 60 * config.keep_minutes)
            under_way = self._under_way.get(client, 0)
            held = known.bytes if known else 0
            over = held + under_way + size > config.client_mb << 20 and (held or under_way)
            if over or (known and known.files >= config.client_files):
                return 429, (
                    f"At most {config.client_files} files and {config.client_mb} MB are taken from one address within "
                    f"{config.keep_minutes} minutes, and these came. Try again later."
                )
        self.make_room()
        with self._lock:
            if self._full or sum(self._under_way.values()) + size > self._free:
                return 507, "The server has no room for further pictures now. Try again in a few minutes."
            self._under_way[client] = self._under_way.get(client, 0) + size
        return None

    def end(self, client: str, size: int) -> None:
        """An upload ended, well or not."""
        with self._lock:
            left = self._under_way.get(client, 0) - size
            if left > 0:
                self._under_way[client] = left
            else:
                self._under_way.pop(client, None)

    def took(self, client: str, files: int, size: int) -> None:
        """A client uploaded something."""
        with self._lock:
            known = self._clients.setdefault(client, _Client())
            self._clients.move_to_end(client)
            known.uploads.append((time.monotonic(), files, size))
            known.files += files
            known.bytes += size
            while len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)

    def make_room(self) -> None:
        """Delete what was unused for longest, down to the budgets; at most every other second."""
        with self._looking:
            if time.monotonic() - self._looked < LOOK_SECONDS:
                return
            root = upload_folder()
            entries = sorted(_entries(root)) if root.is_dir() else []
            files, size = sum(entry[1] for entry in entries), sum(entry[2] for entry in entries)
            most_files, most_bytes = self._config.stored_files, self._config.stored_mb << 20
            for used, count, taken, path in entries:
                if (files <= most_files and size <= most_bytes) or time.time() - used < YOUNG_SECONDS:
                    break
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                files, size = files - count, size - taken
            over = files > most_files or size > most_bytes
            free = shutil.disk_usage(root).free - FREE_BYTES if root.is_dir() else most_bytes
            self._full, self._free = over or free < 0, max(free, 0)
            self._looked = time.monotonic()


def _entries(root: Path) -> list[tuple[float, int, int, Path]]:
    """Last use, files, bytes and place of each upload and run."""
    found = []
    for path in root.iterdir():
        if not is_swept(path.name):
            continue
        try:
            parts = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
            found.append((path.stat().st_mtime, len(parts), sum(part.stat().st_size for part in parts), path))
        except OSError:  # somebody else was quicker
            continue
    return found
