"""The options about where the work is done: in this process, or on a Ray cluster."""

import argparse
import importlib.util
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

from segmentation.commands.job import Engine, Finished
from segmentation.errors import SettingsError

REPORT = "segmatte-report.parquet"
"""Lies beside the cutouts of a cluster."""

RAY = "ray[data]==2.60.0"
"""As requirements-ray.txt has it."""

Reporter: TypeAlias = AbstractContextManager[Callable[[Finished], None]]

_RAY_ONLY = ("address", "workers", "worker_cpus", "worker_gpus", "report")


def add_engine(group: "argparse._ArgumentGroup") -> None:
    """Add the options."""
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
    group.add_argument("--workers", type=_count, metavar="N", help="processes on the cluster (default: all that fit)")
    group.add_argument("--worker-cpus", type=_share, metavar="N", help="cores for each worker (default: 1)")
    group.add_argument(
        "--worker-gpus", type=_share, metavar="N", help="GPUs for each worker; 0.5 puts two on one (default: 0)"
    )
    group.add_argument(
        "--report", type=Path, metavar="FILE", help=f"Parquet file with a row a picture (default: OUT/{REPORT})"
    )


def read_engine(options: argparse.Namespace, folder: Path) -> tuple[Engine | None, Reporter]:
    """The engine, None for this process, and what is told of each picture that is finished.

    Args:
        options: Those of `add_engine`.
        folder: Where the cutouts go.

    Raises:
        SettingsError: The options contradict each other, or Ray is not installed.
    """
    given = [name for name in _RAY_ONLY if getattr(options, name) is not None]
    if options.engine == "local":
        if given:
            raise SettingsError(f"--{given[0].replace('_', '-')} is for --engine ray.")
        return None, nullcontext(lambda _: None)
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(f"Ray is not installed: pip install '{RAY}'")
    # imported here, as only this option needs Ray
    from segmentation.cluster import lock

    if options.address is None:
        lock()
    from segmentation.cluster.engine import Cluster
    from segmentation.cluster.ray_cluster import LOCAL

    cluster = Cluster(
        options.address or LOCAL, options.workers, options.worker_cpus or 1.0, options.worker_gpus or 0.0
    )  # fmt: skip
    return cluster.run, _parquet(options.report or folder / REPORT)


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


def _share(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError("it must be above 0")
    return number
