"""`watch`: cut out what is in a folder, and what comes into it."""

import argparse
import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from segmentation.commands.command import Parsers, add_command
from segmentation.commands.cut import add_output
from segmentation.commands.job import Job
from segmentation.commands.recipes import add_recipe, read_recipe
from segmentation.commands.telling import Teller
from segmentation.config import Config
from segmentation.errors import SettingsError
from segmentation.inputs import walk
from segmentation.manifest import Manifest
from segmentation.models.registry import Registry
from segmentation.outputs import tree_names
from segmentation.picture.file_kind import file_kind

EXAMPLES = """\
examples:
  {prog} watch inbox/ -o cutouts/
  {prog} watch /mnt/share/inbox -o cutouts/ --every 5 --json
"""
_CHANGES = ("created", "modified", "moved", "deleted", "closed")  # not that a file was opened, which we do ourselves

_Stamp = tuple[int, int]  # bytes, and time of modification in nanoseconds


def add(parsers: Parsers) -> None:
    """Add the command."""
    watch = add_command(
        parsers, "watch", "cut out what is in a folder, and what comes into it", "FOLDER -o OUT", EXAMPLES
    )
    watch.set_defaults(command=_run)
    watch.add_argument("folder", type=Path, metavar="FOLDER", help="the folder, with all below it")
    watch.add_argument(
        "-o", "--output", type=Path, metavar="OUT", required=True, help="folder for the cutouts; may lie in FOLDER"
    )
    watch.add_argument(
        "--settle", type=float, default=2.0, metavar="SECONDS",
        help="a file is complete once it has not changed for so long (default: 2)",
    )  # fmt: skip
    watch.add_argument(
        "--every", type=float, default=30.0, metavar="SECONDS",
        help="look at least so often, as network shares do not tell of changes (default: 30)",
    )  # fmt: skip
    add_output(watch)
    add_recipe(watch)


class Inbox:
    """A folder's files, and which of them are complete."""

    def __init__(self, folder: Path, settle: float, leave_out: Path | None = None) -> None:
        """Nothing is looked at yet.

        Args:
            folder: The folder.
            settle: Seconds without a change after which a file is complete.
            leave_out: A folder below it that does not count.
        """
        self._folder, self._settle, self._leave_out = folder, settle, leave_out
        self._since: dict[Path, tuple[_Stamp, float]] = {}  # and the monotonic time when that was first seen
        self._taken: dict[Path, _Stamp] = {}
        self._pictures: set[Path] = set()
        self._is_first = True

    @property
    def pictures(self) -> list[Path]:
        """All pictures that were complete and are there still, sorted."""
        return sorted(self._pictures)

    def look(self) -> tuple[list[Path], bool]:
        """The pictures that are complete and have not been given yet, and whether others are still changing."""
        now, old = time.monotonic(), time.time_ns() - int(self._settle * 1e9)
        seen: dict[Path, tuple[_Stamp, float]] = {}
        ready = []
        for folder, names, _ in walk(self._folder, self._leave_out):
            for file in (folder / name for name in names):
                try:
                    stat = file.stat()
                except OSError:  # it has gone in the meantime
                    continue
                stamp = stat.st_size, stat.st_mtime_ns
                before = self._since.get(file)
                is_old = self._is_first and stat.st_mtime_ns < old
                since = before[1] if before and before[0] == stamp else now - self._settle if is_old else now
                seen[file] = stamp, since
                if self._taken.get(file) != stamp and now - since >= self._settle:
                    ready.append(file)
        self._is_first = False
        self._since = seen
        self._taken = {file: stamp for file, stamp in self._taken.items() if file in seen}
        self._taken |= {file: seen[file][0] for file in ready}
        manifests = {folder: Manifest(folder) for folder in {file.parent for file in ready}}
        new = [
            file for file in ready if file_kind(file).is_readable and manifests[file.parent].source(file) is None
        ]  # fmt: skip
        self._pictures = {file for file in self._pictures if file in seen}.union(new)
        return new, any(self._taken.get(file) != stamp for file, (stamp, _) in seen.items())


class _Wake(FileSystemEventHandler):
    """Wakes who waits, when something changes that is not a cutout of ours."""

    def __init__(self, event: threading.Event, output: Path) -> None:
        self._event, self._output = event, output

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = Path(str(event.dest_path or event.src_path))
        if event.event_type in _CHANGES and not path.is_relative_to(self._output):
            self._event.set()


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    if not options.folder.is_dir():
        raise SettingsError(f"{options.folder} is not a folder.")
    chosen = read_recipe(options, config, registry)
    folder, output = options.folder.resolve(), options.output.resolve()
    job = Job(chosen, options, config, registry, options.output)
    inbox = Inbox(options.folder, options.settle, output)
    changed = threading.Event()
    observer = Observer()
    # a folder that is its own output sees its own files come, which the manifest knows
    observer.schedule(_Wake(changed, output if output != folder else output / "\0"), str(folder), recursive=True)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # services are stopped by it
    try:
        try:
            observer.start()
        except OSError as error:  # Linux limits how many folders may be watched
            print(f"Changes are not told here ({error.strerror}): looking every {options.every:g} s.", file=sys.stderr)
        print(f"Watching {options.folder}. Stop with Ctrl-C.", file=sys.stderr)
        with Teller(None, as_json=options.json) as teller:
            while True:
                changed.clear()
                new, are_changing = inbox.look()
                if new:
                    _cut(job, inbox, options, new, teller)
                    continue
                changed.wait(options.settle / 2 if are_changing else options.every)
    except KeyboardInterrupt:
        return 0
    finally:
        if observer.is_alive():
            observer.stop()
            observer.join()


def _cut(job: Job, inbox: Inbox, options: argparse.Namespace, new: list[Path], teller: Teller) -> None:
    pictures = inbox.pictures
    places = [picture.parent.relative_to(options.folder) for picture in pictures]
    recipe = job.recipe
    namer = tree_names(
        places, [picture.name for picture in pictures], recipe.export.ending, recipe.settings.subjects == "each",
        flat=options.flat,
    )  # fmt: skip
    names = [str(place / picture.name) for place, picture in zip(places, pictures, strict=True)]
    at = {picture: index for index, picture in enumerate(pictures)}
    indices = [at[picture] for picture in new]
    with closing(job.run(pictures, namer, chosen=indices, names=names)) as events:
        for finished in events:
            teller.tell(finished)
