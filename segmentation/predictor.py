"""The source of a batch's predictions: a network, or predictions made earlier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from segmentation.corrections import Prompt
from segmentation.matting.classes import check_classes, labels_of
from segmentation.network.override import overridden
from segmentation.network.session import Runner, Session
from segmentation.network.watchdog import Cancelled
from segmentation.picture.picture import Picture
from segmentation.prediction import Prediction, point_at, predict
from segmentation.settings import Settings
from segmentation.stages import OnStage

DEFAULT = Settings()
NO_PROMPT = Prompt()


class Predict(Protocol):
    """A picture's index and the picture -> its prediction."""

    def __call__(
        self, index: int, picture: Picture, on_stage: OnStage, cancelled: Cancelled, prompt: Prompt = NO_PROMPT, /
    ) -> Prediction:
        """Predict one picture.

        Args:
            index: Its index in the batch.
            picture: The picture.
            on_stage: Called when the network's stage begins, if it runs.
            cancelled: Polled while the network runs; returns True to cancel.
            prompt: What a promptable network is asked.
        """


@dataclass(frozen=True, slots=True)
class Predictor:
    """`predict`, and what is known before calling it."""

    predict: Predict
    model: str
    """Id of the model."""
    labels: Callable[[int], Sequence[str]]
    """Index of a picture -> labels of the cutouts it may have."""
    provider: Callable[[int], tuple[str, str]]
    """Index of a picture -> execution provider, and why it is not the GPU's; for pictures that fail before they run."""


def from_session(
    session: Session, settings: Settings, runner: Runner | None = None, prompt_session: Session | None = None
) -> Predictor:
    """Run the network on each picture.

    Args:
        session: The network.
        settings: Only classes, mean, std, size and contract are used.
        runner: Computes instead of the session, when a GPU is lent.
        prompt_session: A promptable network that says what points and boxes mean, if `session` is none itself.

    Raises:
        SettingsError: The model does not support this size or contract, or has no such class.
    """
    session = session.under(settings.contract)
    overridden(session.input, settings)
    known = session.output.class_names
    check_classes(settings.classes, known, session.spec.title)
    labels = labels_of(settings.classes, known)

    def predict_one(
        _: int, picture: Picture, on_stage: OnStage, cancelled: Cancelled, prompt: Prompt = NO_PROMPT, /
    ) -> Prediction:
        prediction = predict(
            picture, session, settings, on_stage, cancelled, runner=runner,
            points=prompt.points, box=prompt.box, candidate=prompt.candidate,
        )  # fmt: skip
        if prompt_session is None or session.prompt:
            return prediction
        return point_at(picture, prediction, prompt_session, prompt, on_stage, cancelled)

    return Predictor(
        predict=predict_one,
        model=session.spec.id,
        labels=lambda _: labels,
        provider=lambda _: (session.provider, session.provider_note),
    )


def from_nothing(model: str) -> Predictor:
    """For pictures that need no network, as each has a mask or trimap of its own.

    Args:
        model: Id of the model that would have run.
    """

    def predict_nothing(*_: object) -> Prediction:
        raise AssertionError("every picture has its own mask or trimap")

    return Predictor(predict_nothing, model, lambda _: [""], lambda _: ("", ""))


def from_predictions(
    model: str,
    predictions: Mapping[int, Prediction],
    settings: Settings = DEFAULT,
    prompt_session: Session | None = None,
) -> Predictor:
    """Use earlier predictions; no network runs but a promptable one, where it is asked something else than before.

    Args:
        model: Id of the model that made them.
        predictions: By index of the picture.
        settings: Only classes is used; and mean, std and size by a promptable model that has to see a picture again.
        prompt_session: The promptable network. Without it, nothing is pointed at.

    Raises:
        SettingsError: The model has no such class.
    """
    for prediction in predictions.values():
        check_classes(settings.classes, prediction.classes, model)
    timeless = {index: replace(prediction, timings={}) for index, prediction in predictions.items()}

    def predict_one(
        index: int, picture: Picture, on_stage: OnStage, cancelled: Cancelled, prompt: Prompt = NO_PROMPT, /
    ) -> Prediction:
        prediction = timeless[index]
        if prompt_session is None:
            return replace(prediction, pointed=None)
        if is_answered(prediction, prompt, prompt_session.spec.id):
            return prediction
        return point_at(picture, prediction, prompt_session, prompt, on_stage, cancelled, settings=settings)

    return Predictor(
        predict=predict_one,
        model=model,
        labels=lambda index: labels_of(settings.classes, timeless[index].classes),
        provider=lambda index: (timeless[index].provider, timeless[index].provider_note),
    )


def is_answered(prediction: Prediction, prompt: Prompt, model: str) -> bool:
    """Whether a prediction has a promptable model's answer to a prompt, if that asks anything."""
    pointed = prediction.pointed
    return pointed is not None and (pointed.prompt, pointed.model) == (prompt, model) if prompt else pointed is None
