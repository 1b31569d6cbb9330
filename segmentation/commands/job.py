"""A recipe at work on pictures: what is done already is skipped, and the network is loaded once it is needed."""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.batch import Outcome, Step, run_batch
from segmentation.commands.bars import Bars
from segmentation.commands.recipes import Chosen
from segmentation.config import Config
from segmentation.corrected import needs_network
from segmentation.corrections import NOTHING, Correction
from segmentation.elsewhere import address_of
from segmentation.errors import ImageError
from segmentation.manifest import Manifest
from segmentation.matting.estimators import prepare
from segmentation.messages import Message
from segmentation.models.choice import promptable_of
from segmentation.models.finder import ModelFinder
from segmentation.models.registry import Registry
from segmentation.models.spec import ModelSpec
from segmentation.network.pool import threads_for
from segmentation.outputs import Namer, Outputs
from segmentation.predictor import Predictor
from segmentation.recipe import Recipe
from segmentation.report import Report
from segmentation.work import Task, Work

Engine = Callable[[Work, Task], Generator[Step | Outcome | None, None, None]]
"""Does the work on all pictures of a task: `run_batch` in this process, or something that uses several machines."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture that was cut out, failed, or was skipped because it did so earlier."""

    source: Path
    name: str
    """What to call it: its name, with its folder where there are several."""
    report: Report
    files: tuple[Path, ...]
    """Its cutouts."""
    is_skipped: bool = False

    def as_json(self) -> dict[str, Any]:
        """The report's entry, with the picture's path."""
        return {
            "source": address_of(self.source) or str(self.source),
            **self.report.as_json(),
            "skipped": self.is_skipped,
        }


class Job:
    """Model and settings for any number of batches into one folder."""

    def __init__(
        self,
        chosen: Chosen,
        options: argparse.Namespace,
        config: Config,
        registry: Registry,
        folder: Path,
        engine: Engine | None = None,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            chosen: Model and settings.
            options: The command's: device, overwrite, retry_failed and redo.
            config: The operator's configuration.
            registry: The models.
            folder: Where the cutouts go.
            engine: Does the work; this process does if not given.
        """
        self._engine = engine or self._here
        self._chosen, self._recipe, self._folder = chosen, chosen.recipe, folder
        self._options, self._config, self._registry = options, config, registry
        self._spec: ModelSpec | None = None
        self._predictor: Predictor | None = None
        self._manifests: dict[Path, Manifest] = {}
        self._backdrop = _hash(chosen.backdrop)

    @property
    def recipe(self) -> Recipe:
        """Model and settings."""
        return self._recipe

    def run(
        self,
        sources: Sequence[Path],
        namer: Namer,
        corrections: Mapping[int, Correction] | None = None,
        chosen: Sequence[int] | None = None,
        *,
        names: Sequence[str] | None = None,
        is_recorded: bool = True,
        elsewhere: Mapping[Path, tuple[int, int]] | None = None,
    ) -> Generator[Finished, None, None]:
        """Cut out what is not done: what is done first, then each picture as it finishes.

        Args:
            sources: The pictures.
            namer: Names their cutouts.
            corrections: What a person says about pictures, by index.
            chosen: Indices of those to look at; all if not given.
            names: What to call the pictures.
            is_recorded: Whether cutouts are recorded beside them, and what is there is respected.
            elsewhere: What is known of pictures with addresses: see `Outputs`.

        Raises:
            SegmentationError: The model cannot be loaded.
            OSError: The folder cannot be made.
        """
        names = names or [source.name for source in sources]
        said, indices = corrections or {}, range(len(sources)) if chosen is None else chosen
        if any(self._needs(said.get(index, NOTHING)) for index in indices):
            self._find()
        outputs = None
        left = list(indices)
        if is_recorded:
            keys: dict[Correction, str] = {}

            def key(index: int) -> str:
                correction = said.get(index, NOTHING)
                if correction not in keys:
                    keys[correction] = self._key(correction)
                return keys[correction]

            outputs = Outputs(
                self._folder, sources, overwrite=self._options.overwrite, key=key, manifests=self._manifests,
                elsewhere=elsewhere,
            )  # fmt: skip
            left = []
            for index in indices:
                finished = None if self._options.redo else self._earlier(outputs, index, sources[index], names[index])
                if finished is None:
                    left.append(index)
                else:
                    yield finished
        if not left:
            return
        work = self._work([said.get(index, NOTHING) for index in left])
        events = self._engine(work, Task(sources, left, self._folder, namer, outputs, said))
        with closing(events):
            for event in events:
                if isinstance(event, Outcome):
                    yield Finished(sources[event.index], names[event.index], event.report, event.files)

    def _earlier(self, outputs: Outputs, index: int, source: Path, name: str) -> Finished | None:
        done = outputs.earlier(index)
        if done is None or (done.error is not None and self._options.retry_failed):
            return None
        error = done.error and f"{done.error} (It failed before. --retry-failed tries it again.)"
        names = tuple(made.file for made in done.files)
        report = Report(source.name, self._recipe.model, "", files=names, error=error)
        return Finished(source, name, report, tuple(self._folder / each for each in names), is_skipped=True)

    def _needs(self, correction: Correction) -> bool:
        return needs_network(correction, self._recipe.settings)

    def _find(self) -> ModelSpec:
        if self._spec is None:
            with Bars() as bars:
                self._spec = ModelFinder.of(self._config, self._registry).spec(self._recipe.model, bars.show)
        return self._spec

    def _key(self, correction: Correction) -> str:
        """Stands for all that makes a cutout what it is, apart from the picture."""
        facts: dict[str, Any] = {
            "settings": self._recipe.values,
            "backdrop": self._backdrop,
            "correction": correction.as_json(),
            "files": [_hash(correction.mask), _hash(correction.trimap)],
        }
        if self._needs(correction):
            specs = [self._find()]
            if correction.prompt and self._recipe.settings.prompt_model and not specs[0].prompt:
                specs.append(promptable_of(self._registry, self._recipe.settings.prompt_model))
            facts["models"] = [
                [spec.id, spec.weights.model_dump(mode="json", exclude={"sources"}),
                 spec.input.model_dump(mode="json"), spec.output.model_dump(mode="json")]
                for spec in specs
            ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def _work(self, corrections: Sequence[Correction]) -> Work:
        """What is done to pictures with these corrections."""
        needing = [correction for correction in corrections if self._needs(correction)]
        prompt_model, spec, prompt_spec = self._recipe.settings.prompt_model, None, None
        if needing:
            spec = self._find()
            if prompt_model and not spec.prompt and any(each.prompt for each in needing):
                prompt_spec = promptable_of(self._registry, prompt_model)
        return Work(self._recipe, self._config, self._options.device, self._chosen.behind, spec, prompt_spec)

    def _here(self, work: Work, task: Task) -> Generator[Step | Outcome | None, None, None]:
        """The engine that is this process."""
        if work.spec is None:
            predictor = work.load()
        else:
            if self._predictor is None:
                needing = sum(self._needs(task.corrections.get(index, NOTHING)) for index in task.indices)
                with Bars() as bars:
                    self._predictor = work.load(threads_for(work.spec, needing), bars.show)
            predictor = self._predictor
        prepare(work.recipe.settings, lambda sentence: print(sentence, file=sys.stderr))
        task.folder.mkdir(parents=True, exist_ok=True)
        return run_batch(
            task.sources,
            predictor,
            work.recipe.settings,
            task.folder,
            work.recipe.export,
            work.behind,
            limits=work.config.limits,
            namer=task.namer,
            outputs=task.outputs,
            indices=task.indices,
            corrections=task.corrections,
        )


def _hash(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageError(Message("{name} cannot be read ({reason}).", name=file, reason=reason)) from error
