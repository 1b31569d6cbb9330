"""The engine of a job on a Ray cluster: blocks of pictures go through a pool of workers."""

import os
import pickle
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray.data

from segmentation.batch import Outcome
from segmentation.cluster.ray_cluster import LOCAL, cluster, workers_that_fit
from segmentation.cluster.staging import Staged, staging_folder, take
from segmentation.cluster.worker import ANSWER, TASK, Broken, Todo, Worker
from segmentation.corrections import NOTHING
from segmentation.messages import Message
from segmentation.outputs import InTheWayError
from segmentation.refinement import numbered
from segmentation.report import Report
from segmentation.work import Task, Work

_LARGEST = 32  # pictures in a block, which is what is done again when a worker is lost
_BLOCKS = 4  # for each worker at least, so that none waits long for the last one
_RETRIES = 1  # of a block whose worker is lost; its pictures are then tried one by one


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a job runs, and the pool that it makes there."""

    address: str = LOCAL
    workers: int | None = None
    """As many as fit if not given."""
    cpus: float = 1
    """Cores for each worker, which has as many pictures in progress, but at least one."""
    gpus: float = 0
    """GPUs for each worker; 0.5 puts two on one."""

    def run(self, work: Work, task: Task) -> Generator[Outcome, None, None]:
        """The engine: outcomes as blocks finish, in any order.

        Args:
            work: What is done to each picture.
            task: The pictures.

        Raises:
            SettingsError: There is no such cluster, it has no room for a worker, or its machines do not see the
                pictures.
            SegmentationError: The model cannot be loaded.
        """
        if task.outputs is None:
            raise ValueError("a cluster writes into a folder with a record")
        left, label = [], _label(work)
        for index in task.indices:
            try:
                if label is not None:  # before the work, not only after it
                    task.outputs.check(index, [task.folder / task.namer(index, label)])
                left.append(index)
            except InTheWayError as error:
                yield _failed(index, work, task, error.message)
        if not left:
            return
        work.fetch()  # what is on a shared disk need not be fetched by every worker at once
        with staging_folder(Path(os.path.abspath(task.folder))) as staging, cluster(self.address):  # noqa: PTH100
            fit = workers_that_fit(self.cpus, self.gpus)
            workers = min(self.workers or fit, fit, len(left))
            for size in (max(1, min(_LARGEST, len(left) // (_BLOCKS * workers))), 1):
                done = set()
                for staged in self._staged(work, _blocks(task, left, size), staging, workers):
                    if staged.index not in done:
                        done.add(staged.index)
                        yield take(staged, task, task.outputs)
                left = [index for index in left if index not in done]
                if not left:
                    return
        for index in left:
            lost = Message(
                "{name} was not cut out: its workers died again and again, as they do when the memory is full.",
                name=task.sources[index].name,
            )
            yield _failed(index, work, task, lost)

    def _staged(self, work: Work, blocks: Sequence[pa.Table], staging: Path, workers: int) -> Iterator[Staged]:
        """What the workers make of blocks; those of workers that are lost too often are missing."""
        ray.data.DataContext.get_current().max_errored_blocks = -1
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(blocks)), max_tasks_in_flight_per_actor=2)
        with warnings.catch_warnings(action="ignore"):  # that a later Ray has another name for the retries
            made = ray.data.from_arrow(list(blocks)).map_batches(
                Worker,
                fn_constructor_args=(work, staging, Path.cwd(), self.cpus),
                batch_size=None,
                compute=pool,
                num_cpus=self.cpus,
                num_gpus=self.gpus or None,
                max_task_retries=_RETRIES,  # for ever by default
            )
        for rows in made.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
            for answer in rows[ANSWER]:
                staged = pickle.loads(answer.as_py())  # noqa: S301  # made by `Worker`
                if not isinstance(staged, Broken):
                    yield staged
                elif staged.error:
                    raise staged.error
                else:
                    raise RuntimeError(f"in a worker:\n{staged.trace}")


def _blocks(task: Task, indices: Sequence[int], size: int) -> list[pa.Table]:
    """The pictures, so many in a block."""
    blocks = []
    for start in range(0, len(indices), size):
        todos = [
            Todo(index, task.sources[index], task.corrections.get(index, NOTHING))
            for index in indices[start : start + size]
        ]
        blocks.append(pa.table({TASK: [pickle.dumps(todo) for todo in todos]}))
    return blocks


def _label(work: Work) -> str | None:
    """What the first cutout of each picture is labelled; None if only the loaded model knows."""
    spec = work.spec
    if spec is not None and (spec.output.class_names or not spec.registered):
        return None
    return numbered("", 1) if work.recipe.settings.subjects == "each" else ""


def _failed(index: int, work: Work, task: Task, error: str) -> Outcome:
    name = task.sources[index].name
    return Outcome(index, name, (), Report(name, work.recipe.model, "", error=error))
