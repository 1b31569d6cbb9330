"""A picture through the network: `predict`, and what the prediction then says of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from segmentation.arrays import ProbabilityMap, Size
from segmentation.corrections import Box, Point, Prompt
from segmentation.matting.classes import NO_CLASSES, NOT_FOUND, check_classes, chosen_maps, listed
from segmentation.matting.estimators import ESTIMATORS
from segmentation.messages import Message
from segmentation.network.override import overridden, squashed
from segmentation.network.prompt.ask import Pointed, ask, embed
from segmentation.network.prompt.embedding import Embedding
from segmentation.network.reading import to_probability
from segmentation.network.session import Runner, Session
from segmentation.network.tensor import to_tensor
from segmentation.network.watchdog import Cancelled
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.settings import Settings
from segmentation.stages import OnStage, stage

NO_TRUST = Message("With this matting method, trust_mask only counts where the model is in doubt beyond an outline.")
NO_SUBJECT = Message("No subject found. Try another model.")
FOUND = 0.5  # a probability map that never reaches this contains no subject


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probability maps of one picture, and how they were computed."""

    maps: dict[str, ProbabilityMap]
    """By name, of the classes in the picture; the name is "" if the network has only one class."""
    model: str
    provider: str
    provider_note: str
    """Why the GPU was not used, if `auto` could not use it."""
    network_memory: int
    """Approximate memory of the loaded network in bytes; 0 if unknown."""
    network_size: Size
    timings: dict[str, float]
    peak: float = 1.0
    """The largest probability before stretching."""
    warnings: tuple[str, ...] = ()
    """Sentences about the network's input and output."""
    classes: tuple[str, ...] = ()
    """Names of all classes that the network tells apart; empty if it has only one."""
    true_alpha: bool = False
    """Whether the maps are opacity, as matting networks give it, rather than votes."""
    is_networks: bool = True
    """Whether a network ran; none does where a mask or trimap replaces its answer."""
    asks: str = ""
    """Title of the model if it is promptable: it has no maps, and cuts out what it is pointed at."""
    embedding: Embedding | None = field(default=None, repr=False)
    """The picture as a promptable network sees it, that of the model or another."""
    pointed: Pointed | None = field(default=None, repr=False)
    """What was pointed at. The maps are not restricted to it yet; see `found_maps`."""

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Its own warnings, and those about what was pointed at."""
        return (*self.warnings, *(self.pointed.warnings if self.pointed else ()))

    @property
    def nbytes(self) -> int:
        """Size of maps and embedding in bytes."""
        planes = [*self.maps.values(), *([self.pointed.map] if self.pointed else [])]
        return sum(plane.nbytes for plane in planes) + (self.embedding.nbytes if self.embedding else 0)


def predict(
    picture: Picture,
    session: Session,
    settings: Settings | None = None,
    on_stage: OnStage | None = None,
    cancelled: Cancelled | None = None,
    *,
    runner: Runner | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    candidate: int = 1,
) -> Prediction:
    """Run the network on a picture.

    Args:
        picture: The picture.
        session: The network.
        settings: Only mean, std, size and contract are used.
        on_stage: Called when the stage begins.
        cancelled: Polled while the network runs; returns True to cancel.
        runner: Computes instead of the session, when a GPU is lent for this picture; not for promptable models.
        points: Clicks on what is wanted, and on what is not; for promptable models. See `point_at`.
        box: Around what is wanted; for promptable models.
        candidate: Which answer of a promptable model is taken; 1 is the one that it expects to be the best.

    Raises:
        SettingsError: The model does not support this size or contract.
        SessionError: The network cannot be run, or its output is invalid.
        RunCancelledError: The run was cancelled.
    """
    settings, timings = settings or Settings(), dict[str, float]()
    session = session.under(settings.contract)
    spec = overridden(session.input, settings)
    if session.prompt:
        with stage("network", timings, on_stage):
            embedded = embed(picture.rgb, session, spec, cancelled)
        prediction = Prediction(
            maps={},
            model=session.spec.id,
            provider=embedded.provider,
            provider_note=embedded.provider_note,
            network_memory=embedded.memory,
            network_size=embedded.embedding.at.canvas,
            timings=timings,
            warnings=(*session.notes, *filter(None, [squashed(spec, session.input)])),
            asks=session.spec.title,
            embedding=embedded.embedding,
        )
        return point_at(picture, prediction, session, Prompt(tuple(points), box, candidate), on_stage, cancelled)
    with stage("network", timings, on_stage):
        tensor, at = to_tensor(picture.rgb, spec)
        answer = (runner or session.run)(tensor, cancelled)
        reading = to_probability(answer.output, session.output, spec.layout, at)
    return Prediction(
        maps=reading.maps,
        model=session.spec.id,
        provider=answer.provider,
        provider_note=answer.provider_note,
        network_memory=answer.memory,
        network_size=at.canvas,
        timings=timings,
        peak=reading.peak,
        warnings=(*session.notes, *filter(None, [squashed(spec, session.input)])),
        classes=session.output.class_names,
        true_alpha=session.output.true_alpha,
    )


def point_at(
    picture: Picture,
    prediction: Prediction,
    session: Session,
    prompt: Prompt,
    on_stage: OnStage | None = None,
    cancelled: Cancelled | None = None,
    *,
    settings: Settings | None = None,
) -> Prediction:
    """A prediction with what a promptable network says to points and a box.

    Only what depends on the prompt is computed: the encoder runs if the prediction lacks the picture's embedding.
    Of a promptable model, the answer is the subject. Of any other, the answer restricts the maps; where there are only
    points to remove, what lies under them is taken out of the maps.

    Args:
        picture: The picture.
        prediction: Its prediction, by this or another model.
        session: The promptable network.
        prompt: In pixels of the picture. An empty one takes the restriction away.
        on_stage: Called when the stage begins.
        cancelled: Polled while the network runs; returns True to cancel.
        settings: Only mean, std and size are used, if the embedding is missing and the model its own.

    Raises:
        SettingsError: The model does not support this size.
        SessionError: The network cannot be run, or its output is invalid.
        RunCancelledError: The run was cancelled.
    """
    if not prompt:
        return replace(prediction, pointed=None)
    timings, embedding = dict(prediction.timings), prediction.embedding
    with stage("prompt", timings, on_stage):
        if embedding is None or embedding.model != session.spec.id:
            own = settings if settings and prediction.model == session.spec.id else Settings()
            embedding = embed(picture.rgb, session, overridden(session.input, own), cancelled).embedding
        pointed = ask(session, embedding, prompt, cancelled)
        if pointed is None and not prediction.asks:
            away = replace(prompt, points=tuple(replace(point, keep=True) for point in prompt.points))
            removed = ask(session, embedding, away, cancelled)
            pointed = removed and replace(removed, map=1 - removed.map, prompt=prompt)
    return replace(prediction, timings=timings, embedding=embedding, pointed=pointed)


def found_maps(prediction: Prediction, settings: Settings) -> dict[str, ProbabilityMap]:
    """The map of each cutout by its label: of each class that is found, or of those joined, if any of them is.

    What was pointed at restricts them; of a promptable model, it is the only one.

    Args:
        prediction: The prediction.
        settings: Only classes is used.

    Raises:
        SettingsError: The network has no such class.
    """
    check_classes(settings.classes, prediction.classes, prediction.model)
    pointed = prediction.pointed
    if prediction.asks:
        return {"": pointed.map} if pointed else {}
    maps = chosen_maps(prediction.maps, settings.classes, prediction.classes)
    if pointed:
        maps = {label: _restricted(plane, pointed.map) for label, plane in maps.items()}
    # no skirt in the picture, no cutout of a skirt
    return {label: plane for label, plane in maps.items() if not label or float(plane.max()) >= FOUND}


def _restricted(plane: ProbabilityMap, to: ProbabilityMap) -> ProbabilityMap:
    """The lesser of two probabilities, at the first one's resolution."""
    least: ProbabilityMap = np.minimum(plane, resize(to, (plane.shape[0], plane.shape[1]), "bilinear"))
    return least


def nothing_found(prediction: Prediction | None, settings: Settings) -> Message:
    """Why there is no cutout at all of a picture."""
    if prediction and prediction.asks:
        return Message(
            "Click on the subject, or drag a box around it: {title} cuts out what you point at.", title=prediction.asks
        )
    if isinstance(settings.classes, str):
        return NO_SUBJECT
    return Message(NOT_FOUND, classes=listed(settings.classes))


def ignored_settings(prediction: Prediction, settings: Settings) -> list[Message]:
    """Sentences about settings that mean nothing to the network of a prediction, or beside the others."""
    ignored = [] if prediction.classes or settings.classes == "each" else [NO_CLASSES]
    if prediction.asks and settings.prompt_model not in ("", prediction.model):
        ignored.append(
            Message("{title} is pointed at itself, so no other model is asked what you click.", title=prediction.asks)
        )
    meant = settings.trust_mask not in (0, Settings().trust_mask)  # 0 switches that off
    if settings.alpha_matting and settings.matting_method in ESTIMATORS and meant:
        ignored.append(NO_TRUST)
    return ignored
