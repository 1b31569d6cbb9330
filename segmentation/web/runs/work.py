"""Cuts out the pictures of runs: fairly, while somebody waits for them, and as long as they make progress."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

from segmentation.batch import Outcome, Step, run_batch
from segmentation.config import Config
from segmentation.errors import SessionError, SettingsError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.prediction import Prediction
from segmentation.web.events import OnProgress
from segmentation.web.runs.predictions import PredictionCache
from segmentation.web.runs.run import Run
from segmentation.web.runs.stages import STAGES
from segmentation.web.runs.turns import Ticket

THUMBNAIL_SIDE = 480  # pixels of the longer side: keeps the gallery light, whatever the pictures' size
TOUCH_SECONDS = 20.0  # how often the files of a run in progress are marked as in use

Event = TypeVar("Event")

NOBODY_READS = Message("The run was stopped because nobody was reading its answer.")
STUCK = "The run made no progress for {seconds} s and was stopped. Try again with fewer or smaller pictures."


class Work:
    """Thread-safe."""

    def __init__(
        self,
        config: Config,
        predictions: PredictionCache,
        on_prediction: Callable[[Prediction, int], None] = lambda *_: None,
        places: int | None = None,
    ) -> None:
        """Start with nothing to do.

        Args:
            config: The operator's configuration.
            predictions: Where the predictions go.
            on_prediction: Called with each prediction at the model's own size, and the number of pictures of its run.
            places: Pictures of a run at the same time; the number of cores by default.
        """
        self._config, self._predictions = config, predictions
        self._on_prediction, self._places = on_prediction, places
        self._stuck_tickets: list[Ticket] = []  # of runs abandoned because they made no progress

    @property
    def is_stuck(self) -> bool:
        """Whether an abandoned run still occupies a thread of this process."""
        self._stuck_tickets = [ticket for ticket in self._stuck_tickets if ticket.at_work]
        return bool(self._stuck_tickets)

    def _patience(self, ticket: Ticket) -> float:
        """Seconds without progress before a run is abandoned: more than everything ahead of it may take."""
        return self._config.run_seconds * max(1, ticket.all_at_work) + self._config.stuck_seconds

    def process(
        self,
        run: Run,
        on_progress: OnProgress | None = None,
        *,
        for_page: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Iterator[bool]:
        """Cut out the pictures of a run. Yields on every event, and regularly in between.

        Args:
            run: The run.
            on_progress: Progress callback.
            for_page: Also write thumbnails and the stages of each cutout.
            is_gone: Polled for whether the client has stopped waiting for the answer.

        Yields:
            Whether another picture is finished.

        Raises:
            SegmentationError: The backdrop cannot be read, the client is gone, or the run is stuck.
        """
        predictor = run.begin()
        try:
            backdrop = load_image(run.backdrop, **self._config.limits._asdict()) if run.backdrop else None
            events = run_batch(
                run.predictions.sources,
                predictor,
                run.recipe.settings,
                run.folder,
                run.recipe.export,
                backdrop,
                thumbnails=THUMBNAIL_SIDE if for_page else 0,
                stages=for_page,
                limits=self._config.limits,
                workers=self._places,
                slots=run.ticket,
                indices=run.indices,
                bases=run.predictions.bases,
                corrections=run.corrections.snapshot(),
            )
            touch = partial(keep_alive, run, self._predictions)
            with contextlib.closing(self.watched(events, run.ticket, touch, is_gone)) as watched:
                for event in watched:
                    if run.stop.is_set():
                        return
                    if isinstance(event, Outcome):
                        self._take(run, event)
                    elif isinstance(event, Step):
                        run.now = Message("{name}: {stage}", name=event.name, stage=STAGES[event.stage])
                        if on_progress:
                            on_progress(run.now, run.done)
                    yield isinstance(event, Outcome)
        finally:
            run.end()

    def watched(
        self,
        events: Generator[Event | None, None, None],
        ticket: Ticket,
        touch: Callable[[], None],
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Generator[Event | None, None, None]:
        """The events of work that takes turns, as long as it makes progress and somebody waits for it.

        Args:
            events: What happens in the work, and None regularly in between. They are closed with this generator.
            ticket: Held while the work is at a picture.
            touch: Called regularly, to mark files not yet read as in use: else they are swept.
            is_gone: Polled for whether the client has stopped waiting for the answer.

        Raises:
            SettingsError: The client is gone.
            SessionError: The work is stuck.
        """
        last_progress = last_touch = time.monotonic()
        with contextlib.closing(events):
            for event in events:
                if is_gone():
                    raise SettingsError(NOBODY_READS)
                if time.monotonic() - last_touch > TOUCH_SECONDS:
                    last_touch = time.monotonic()
                    touch()
                if event is not None or not ticket.at_work:
                    last_progress = time.monotonic()
                elif time.monotonic() - last_progress > self._patience(ticket):
                    ticket.abandon()
                    self._stuck_tickets.append(ticket)
                    raise SessionError(Message(STUCK, seconds=round(time.monotonic() - last_progress)))
                yield event

    def _take(self, run: Run, outcome: Outcome) -> None:
        report = replace(outcome.report, run=run.predictions.id)
        run.outcomes.add(replace(outcome, report=report, prediction=None))
        if outcome.prediction is None or (
            not outcome.prediction.is_networks and outcome.index in run.predictions.by_picture
        ):
            return  # what a network said stays, for when the picture needs it again
        self._predictions.store(run.predictions, outcome.index, outcome.prediction)  # which is bounded
        if outcome.prediction.is_networks and run.recipe.settings.size is None:
            self._on_prediction(outcome.prediction, run.total)


def keep_alive(run: Run, predictions: PredictionCache) -> None:
    """Restart the expiry of a run's predictions and files."""
    predictions.touch(run.predictions)
    run.files.touch()
