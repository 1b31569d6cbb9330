"""A Ray cluster: one that runs already, or one on this machine that lasts as long as the job."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import ray
import ray.data

from segmentation.cluster import clean_up, new_folder
from segmentation.errors import SessionError, SettingsError

LOCAL, AUTO = "local", "auto"
_ANSWER_SECONDS = 10.0
_STDERR = 2  # its file descriptor
_OBJECTS = 100 << 20  # bytes of shared memory: of a batch, only paths and reports pass through it, never pictures


@contextmanager
def cluster(address: str, objects: int = _OBJECTS) -> Iterator[None]:
    """Join a cluster, or start one here that only this machine can reach.

    Args:
        address: host:port of a cluster's head; "auto" for the one that runs on this machine; "local" to start one.
        objects: Bytes of shared memory of one that is started.

    Raises:
        SettingsError: There is no cluster at that address.
    """
    for name in ("ray", "ray.data"):  # it logs to standard output and error; its own files have it all
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if address == LOCAL:
            _start(objects)
        else:
            _join(address)
        yield
    finally:
        ray.shutdown()
        clean_up()


@contextmanager
def ray_unheard() -> Iterator[None]:
    """Silence Ray: its threads print to `sys.stdout`, its native code to the process's standard error.

    `sys.stderr` works on; who has something to say on the standard output takes hold of `sys.stdout` beforehand.
    """
    python = sys.stderr
    try:
        is_ours = python.fileno() == _STDERR
    except (OSError, ValueError):  # a captured one
        is_ours = False
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        if not is_ours:
            yield
            return
        kept = os.dup(_STDERR)
        try:
            with open(
                kept, "w", buffering=1, encoding=python.encoding, errors=python.errors, closefd=False
            ) as sys.stderr:
                os.dup2(nowhere.fileno(), _STDERR)
                yield
        finally:
            sys.stderr = python
            os.dup2(kept, _STDERR)
            os.close(kept)


def _check_address(address: str) -> None:
    """Knock first: Ray tries for many minutes.

    Raises:
        SettingsError: Nobody answers there.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or "/" in host:
        raise SettingsError(f"--address must be host:port or auto, not {address[:80]!r}.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SettingsError(f"Nothing answers at {address}: {error}") from error


def _join(address: str) -> None:
    if address != AUTO:
        _check_address(address)
    compiled_for = os.environ.get("NUMBA_CPU_NAME", "")  # the same everywhere, so that the bytes are
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env={"env_vars": {"NUMBA_CPU_NAME": compiled_for}} if compiled_for else None,
        )  # fmt: skip
    except Exception as error:  # of many classes
        raise SettingsError(f"The Ray cluster at {address} cannot be joined: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _start(objects: int) -> None:
    for is_last in (False, False, True):
        try:
            ray.init(
                address=LOCAL, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL,
                object_store_memory=objects, _temp_dir=new_folder(), _node_ip_address="127.0.0.1",
            )  # fmt: skip
            return
        except Exception as error:  # it waits half a minute for its processes, which is not enough on a busy machine
            ray.shutdown()
            if is_last:
                raise SessionError(f"Ray does not start on this machine: {_first_line(error)}") from error


def workers_that_fit(cpus: float, gpus: float) -> int:
    """How many workers of so many cores and GPUs the cluster has room for.

    Raises:
        SettingsError: No machine of the cluster is large enough for one.
    """
    fit = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fits = [int(has.get(name, 0) / each + 1e-9) for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
            fit += min(fits)
    if not fit:
        wanted = f"{cpus:g} cores" + (f" and {gpus:g} GPUs" if gpus else "")
        raise SettingsError(
            f"No machine of the cluster has {wanted} for a worker: lower --worker-cpus or --worker-gpus."
        )
    return fit
