"""What tells where the subject is in each picture of a batch: a network, or predictions made before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from segmentation.network.session import Runner, Session
from segmentation.network.tensor import overridden
from segmentation.network.watchdog import Cancelled
from segmentation.picture.picture import Picture
from segmentation.pipeline import Prediction, Stage, predict
from segmentation.settings import Settings


class Predict(Protocol):
    """Number of a picture and the picture -> its prediction."""

    def __call__(self, index: int, picture: Picture, on_stage: Stage, cancelled: Cancelled, /) -> Prediction:
        """Predict one picture.

        Args:
            index: Its number in the batch.
            picture: The picture.
            on_stage: Called as the network's stage begins, if it runs.
            cancelled: Asked now and then, while the network runs, whether the answer is no longer wanted.
        """


@dataclass(frozen=True, slots=True)
class Predictor:
    """`predict`, and what is known before it is called."""

    predict: Predict
    model: str
    """Id of the model."""
    labels: Callable[[int], Sequence[str]]
    """Number of a picture -> classes that it may have cutouts of."""
    provider: Callable[[int], tuple[str, str]]
    """Number of a picture -> execution provider, and why it is not the GPU's; for those that fail before they run."""
    pictures: frozenset[int] | None = None
    """Numbers of the pictures that it knows; None for any."""


def from_session(session: Session, settings: Settings, run: Runner | None = None) -> Predictor:
    """Run the network on each picture.

    Args:
        session: The network.
        settings: mean, std and size matter here.
        run: Computes in the session's place, where a GPU is lent.

    Raises:
        SettingsError: The model cannot take the size asked for.
    """
    overridden(session.input, settings)
    classes = [name for name in session.output.classes.values() if name != "background"] or [""]
    return Predictor(
        predict=lambda _, picture, on_stage, cancelled: predict(
            picture, session, settings, on_stage, cancelled, run=run
        ),
        model=session.spec.id,
        labels=lambda _: classes,
        provider=lambda _: (session.provider, session.provider_note),
    )


def from_predictions(model: str, predictions: Mapping[int, Prediction]) -> Predictor:
    """Use what was predicted before; no network runs.

    Args:
        model: Id of the model that predicted.
        predictions: By number of the picture.
    """
    timeless = {index: replace(prediction, timings={}) for index, prediction in predictions.items()}
    return Predictor(
        predict=lambda index, *_: timeless[index],
        model=model,
        labels=lambda index: list(timeless[index].maps),
        provider=lambda index: (timeless[index].provider, timeless[index].provider_note),
        pictures=frozenset(timeless),
    )
