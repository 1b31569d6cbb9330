"""The options about where the work is done: in this process, or on a Ray cluster."""

import argparse
import importlib.util
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

from segmentation.commands.job import Engine, Finished
from segmentation.config import Config
from segmentation.elsewhere import Listing
from segmentation.errors import SettingsError
from segmentation.network.lent import Lent

REPORT = "segmatte-report.parquet"
"""Lies beside the cutouts of a cluster."""

RAY = "ray[data,serve]==2.60.0"
"""As requirements-ray.txt has it."""

Reporter: TypeAlias = AbstractContextManager[Callable[[Finished], None]]

_RAY_ONLY = ("address", "workers", "worker_cpus", "worker_gpus", "report")


def add_engine(group: "argparse._ArgumentGroup") -> None:
    """Add the options of a job."""
    _add_where(group)
    group.add_argument("--workers", type=_count, metavar="N", help="processes on the cluster (default: all that fit)")
    _add_shares(group)
    group.add_argument(
        "--report", type=Path, metavar="FILE", help=f"Parquet file with a row a picture (default: OUT/{REPORT})"
    )


def add_lender(group: "argparse._ArgumentGroup") -> None:
    """Add the options of a server."""
    _add_where(group)
    group.add_argument(
        "--workers",
        type=_range,
        metavar="MIN-MAX",
        help="processes on the cluster, as many as are busy (default: 1 to all that fit)",
    )
    _add_shares(group)


def _add_where(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process, or a Ray cluster: see docs/scale.md (default: local)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster to join; auto for the one that runs on this machine (default: start one here)",
    )


def _add_shares(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--worker-cpus", type=_share, metavar="N", help="cores for each worker (default: 1)")
    group.add_argument(
        "--worker-gpus", type=_share, metavar="N", help="GPUs for each worker; 0.5 puts two on one (default: 0)"
    )


def read_engine(options: argparse.Namespace, folder: Path) -> tuple[Engine | None, Reporter]:
    """The engine, None for this process, and what is told of each picture that is finished.

    Args:
        options: Those of `add_engine`.
        folder: Where the cutouts go.

    Raises:
        SettingsError: The options contradict each other, or Ray is not installed.
    """
    if not _is_for_ray(options):
        return None, nullcontext(lambda _: None)
    from segmentation.cluster.engine import Cluster  # imported here, as only this option needs Ray
    from segmentation.cluster.ray_cluster import LOCAL

    cluster = Cluster(
        options.address or LOCAL, options.workers, options.worker_cpus or 1.0, options.worker_gpus or 0.0
    )  # fmt: skip
    return cluster.run, _parquet(options.report or folder / REPORT)


def read_listing(options: argparse.Namespace) -> Listing | None:
    """Finds pictures behind addresses, if the engine can read those.

    Raises:
        SettingsError: The options contradict each other, or Ray is not installed.
    """
    if not _is_for_ray(options):
        return None
    from segmentation.cluster.stores import listed

    return listed


def read_lender(options: argparse.Namespace, config: Config) -> AbstractContextManager[Lent | None]:
    """The networks of a cluster, None if they run in this process.

    Args:
        options: Those of `add_lender`.
        config: The operator's.

    Raises:
        SettingsError: The options contradict each other, or Ray is not installed.
    """
    if not _is_for_ray(options):
        return nullcontext(None)
    from segmentation.cluster.ray_cluster import LOCAL
    from segmentation.cluster.replicas import Replicas

    least, most = options.workers or (1, None)
    replicas = Replicas(
        options.address or LOCAL, least, most, options.worker_cpus or 1.0, options.worker_gpus or 0.0
    )  # fmt: skip
    return replicas.lent(config)


def _is_for_ray(options: argparse.Namespace) -> bool:
    """Whether a cluster is asked for; then Ray can be imported."""
    given = [name for name in _RAY_ONLY if getattr(options, name, None) is not None]
    if options.engine == "local":
        if given:
            raise SettingsError(f"--{given[0].replace('_', '-')} is for --engine ray.")
        return False
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(f"Ray is not installed: pip install '{RAY}'")
    from segmentation.cluster import lock

    if options.address is None:
        lock()
    return True


@contextmanager
def _parquet(file: Path) -> Iterator[Callable[[Finished], None]]:
    from segmentation.cluster.parquet import ParquetReport
    from segmentation.cluster.ray_cluster import ray_unheard

    with ray_unheard(), ParquetReport(file) as report:
        yield lambda finished: report.add(finished.as_json())


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def _range(text: str) -> tuple[int, int]:
    least, dash, most = text.partition("-")
    numbers = _count(least), _count(most if dash else least)
    if numbers[0] > numbers[1]:
        raise argparse.ArgumentTypeError("the first number must not be above the second")
    return numbers


def _share(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError("it must be above 0")
    return number
