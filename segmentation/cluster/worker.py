"""One worker of a cluster: an actor that loads the network once, and then cuts out blocks of pictures."""

import os
import pickle
import platform
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.batch import Outcome, run_batch
from segmentation.cluster.staging import Attempt, Staged
from segmentation.corrections import NOTHING, Correction
from segmentation.elsewhere import address_of
from segmentation.errors import SegmentationError, SettingsError
from segmentation.matting.estimators import prepare
from segmentation.work import Work

TASK, ANSWER = "task", "answer"
"""Names of the columns, of pickled `Todo`s and of pickled `Staged`s or `Broken`s."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A picture to cut out."""

    index: int
    source: Path
    correction: Correction


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a worker cannot work, which would be the same for every picture."""

    error: SegmentationError | None
    """What somebody can put right."""
    trace: str = ""
    """Of a bug."""


class Worker:
    """Ray Data makes one in each process of its pool, and calls it with one block after the other."""

    def __init__(self, work: Work, staging: Path, here: Path, cpus: float) -> None:
        """Load the network.

        Args:
            work: What is done to each picture.
            staging: The job's folder, which must be the same on all machines.
            here: The folder that relative paths start from.
            cpus: Cores for this worker: so many pictures are in progress at once.
        """
        self._work, self._staging, self._workers = work, staging, max(1, int(cpus))
        self._broken: Broken | None = None
        try:
            if not (staging.is_dir() and here.is_dir()):
                raise SettingsError(
                    f"The machine {platform.node()} does not have the folder {staging.parent} or {here}. All "
                    "machines of the cluster need pictures and cutouts under the same paths."
                )
            os.chdir(here)
            # as `threads_for` has it for a large batch: a small network is fastest on one thread a picture
            is_small = work.spec is not None and work.spec.registered and work.spec.is_small
            self._predictor = work.load(threads=1 if is_small else self._workers)
            prepare(work.recipe.settings, lambda _: None)
        except SegmentationError as error:  # raised here, Ray would start the worker again and again
            self._broken = Broken(error)
        except Exception:  # a bug, which is told in full
            self._broken = Broken(None, traceback.format_exc())

    def __call__(self, block: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
        """Cut out the pictures of a block."""
        todos = [pickle.loads(each) for each in block[TASK]]  # noqa: S301  # made by `engine`
        answers: list[Any]
        if self._broken:
            answers = [self._broken]
        else:
            try:
                answers = self._cut(todos)
            except Exception:  # a bug: Ray would log it and go on
                answers = [Broken(None, traceback.format_exc())]
        return {ANSWER: [pickle.dumps(each) for each in answers]}

    def _cut(self, todos: Sequence[Todo]) -> list[Staged]:
        with tempfile.TemporaryDirectory(prefix="segmatte-") as scratch:
            return self._cut_out(todos, Attempt(self._staging, [todo.source for todo in todos], Path(scratch)))

    def _cut_out(self, todos: Sequence[Todo], attempt: Attempt) -> list[Staged]:
        work = self._work
        is_waiting = any(address_of(todo.source) for todo in todos)
        events = run_batch(
            [attempt.read_from(index) for index in range(len(todos))],
            self._predictor,
            work.recipe.settings,
            attempt.folder,
            work.recipe.export,
            work.behind,
            limits=work.config.limits,
            workers=self._workers + is_waiting,  # one more is downloaded while others are computed
            namer=attempt.name,
            outputs=attempt,
            corrections={index: todo.correction for index, todo in enumerate(todos) if todo.correction != NOTHING},
        )
        return [
            Staged(
                todos[event.index].index, event.report, event.cutouts, attempt.inputs.get(event.index),
                event.index in attempt.lasting,
            )
            for event in events
            if isinstance(event, Outcome)
        ]  # fmt: skip
