"""Many pictures on several machines, through Ray. Only this folder imports Ray and Arrow, once it is asked for."""

import atexit
import os
import secrets
import shutil
import tempfile

# all of this is read when Ray is imported
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",  # it would report to its makers
    RAY_DATA_DISABLE_PROGRESS_BARS="1",
    RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",  # under `uv run` it would upload the working folder
    RAY_DISABLE_IMPORT_WARNING="1",
    RAY_COLOR_PREFIX="0",  # no control characters in logs
    RAY_enable_metrics_collection="0",  # nobody would read them, and they take a hundredth of a core
    RAY_task_events_report_interval_ms="0",
)


def lock() -> None:
    """Let the cluster that this process will start listen to this machine alone, and obey only who has its token."""
    os.environ.update(
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # there it uses the loopback interface, and with this everywhere
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
    )


_folders: list[str] = []


def new_folder() -> str:
    """A folder for all that a cluster of this process writes; its path is short, as those of sockets have a limit."""
    _folders.append(tempfile.mkdtemp(prefix="sr-"))
    return _folders[-1]


def clean_up() -> None:
    """Delete those folders."""
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(clean_up)  # before Ray is imported, and so after Ray has ended its processes
