"""Settings and a picture in, every stage of a cutout out: `predict` runs the network, `refine` everything after it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.arrays import RGB, RGBA, UNKNOWN, Alpha, Mask, ProbabilityMap, Size, Trimap
from segmentation.corrections import Box, Point, Prompt, Stroke
from segmentation.errors import SessionError, SettingsError
from segmentation.matting.alpha import FAST_UNKNOWN, Matte, estimate_alpha
from segmentation.matting.classes import NO_CLASSES, NOT_FOUND, check_classes, chosen_maps, labels_of, listed
from segmentation.matting.estimators import ESTIMATORS
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_alpha, to_mask
from segmentation.matting.strokes import Canvas, draw_stroke, marks_of, seed
from segmentation.matting.subjects import choose, find_subjects
from segmentation.matting.trimap import auto_erode_size, to_certain_trimap
from segmentation.messages import Message
from segmentation.network.override import overridden, squashed
from segmentation.network.prompt.ask import Pointed, ask, embed
from segmentation.network.prompt.embedding import Embedding
from segmentation.network.reading import to_probability
from segmentation.network.session import Runner, Session
from segmentation.network.tensor import to_tensor
from segmentation.network.watchdog import Cancelled
from segmentation.picture.compose import VISIBLE, compose_cutout, multiply_opacity
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.settings import Settings

NO_TRUST = Message("With this matting method, trust_mask only counts where the model is in doubt beyond an outline.")
NO_SUBJECT = Message("No subject found. Try another model.")
DOUBT = "The model is unsure about {share:.0%} of the subject: keep or remove it with a stroke."
FOUND = 0.5  # a probability map that never reaches this contains no subject
UNSURE = 0.05  # share of the subject in doubt above which that is worth a warning
WIDE = 0.4  # share of the picture above which an uncertain band is more than an outline

OnStage = Callable[[str], None]
"""Called with the name of each stage as it begins."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """What is solved of a picture, so that further strokes cost only their neighbourhood: the `base` of `refine`."""

    strokes: tuple[Stroke, ...]
    """Those it contains."""
    mask: Mask
    trimap: Trimap | None
    """None without matting."""
    alpha: Alpha
    """Before it is multiplied by the picture's own opacity."""
    foreground: RGB
    warnings: tuple[str, ...]
    doubt: npt.NDArray[np.bool_] | None
    """Before any stroke."""
    doubt_share: float
    """Before any stroke."""
    marks: npt.NDArray[np.uint8] | None
    """What the strokes say of each pixel; None without strokes."""

    @property
    def nbytes(self) -> int:
        """Size of the planes in bytes."""
        planes = self.mask, self.trimap, self.alpha, self.foreground, self.doubt, self.marks
        return sum(plane.nbytes for plane in planes if plane is not None)


@dataclass(frozen=True, slots=True)
class Result:
    """Every stage of one cutout. Planes are at the picture's size, except the probability map."""

    probability: ProbabilityMap
    mask: Mask
    trimap: Trimap | None
    """None without matting."""
    alpha: Alpha
    foreground: RGB
    """The subject's own colours where it is partly transparent, the picture's elsewhere."""
    timings: dict[str, float]
    """Seconds by stage."""
    warnings: tuple[str, ...]
    """Sentences about deviations from the settings, each naming what to change."""
    label: str = ""
    """The class, or those joined, if the network distinguishes several."""
    doubt: npt.NDArray[np.bool_] | None = None
    """Where the network was in doubt over more than an outline, one pixel a cell of its output, or None if nowhere. It
    is decided, in or out, unless the network gives opacity."""
    doubt_share: float = 0.0
    """How much of the subject was in doubt and decided, 0..1, counting what was in doubt."""
    solved: Solved | None = field(default=None, repr=False, compare=False)
    """For `refine(..., base=...)` with further strokes; always there in what `refine` returns."""

    @property
    def cutout(self) -> RGBA:
        """The subject on transparency, composed on each access. `save_cutout` writes it without this array."""
        return compose_cutout(self.foreground, self.alpha)


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
        with _stage("network", timings, on_stage):
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
    with _stage("network", timings, on_stage):
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
    with _stage("prompt", timings, on_stage):
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


def refine(
    picture: Picture,
    probability: ProbabilityMap | None,
    settings: Settings | None = None,
    on_stage: OnStage | None = None,
    *,
    strokes: Sequence[Stroke] = (),
    trimap: Trimap | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    mask: Mask | None = None,
    max_unknown: int = FAST_UNKNOWN,
    true_alpha: bool = False,
    base: Solved | None = None,
) -> Result:
    """Everything after the network: mask, trimap, alpha, colours and cutout. Tunes settings without running it again.

    Args:
        picture: The picture.
        probability: (h, w), 0..1, at any resolution, as returned by `predict`. With None, the trimap alone is solved,
            as in classic matting.
        settings: classes, mean, std, size and contract have no effect here.
        on_stage: Called when each stage begins.
        strokes: What a person drew, in pixels of the picture; the later over the earlier.
        trimap: (h, w) of the picture, BACKGROUND, UNKNOWN and FOREGROUND, to use as it is instead of one made from the
            mask.
        points: Clicks on subjects: those to keep, or else all, stay without those to remove.
        box: Subjects mostly in it are kept.
        mask: The mask at the picture's size, to use instead of one made from the probability map.
        max_unknown: The most pixels that fast matting solves; lower it for a quicker preview.
        true_alpha: Whether the map is opacity rather than a vote, as the prediction says.
        base: `Result.solved` of the same picture with the same other arguments, but only the first of these strokes,
            or none: only the others are solved. The result is the same, byte for byte.

    Raises:
        SettingsError: No subject is under the points or in the box.
        MattingError: There is only a trimap, without certain foreground or without certain background.
        ValueError: There is neither probability map nor trimap, the trimap does not fit the picture, or the strokes do
            not begin with those of the base.
    """
    settings, strokes = settings or Settings(), tuple(strokes)
    timings: dict[str, float] = {}
    if trimap is not None and trimap.shape != picture.size:
        raise ValueError("the trimap must have the picture's size")
    if base is not None and strokes[: len(base.strokes)] != base.strokes:
        raise ValueError("the strokes must begin with those of the base")
    is_classic = probability is None
    if probability is None:
        if trimap is None:
            raise ValueError("there must be a probability map or a trimap")
        probability = (trimap / np.float32(255)).astype(np.float32)
    meant = probability
    if settings.invert:
        meant, mask = 1 - probability, None if mask is None else ~mask
        trimap = None if trimap is None else np.where(trimap == UNKNOWN, trimap, ~trimap)
    is_found = trimap is not None or float(meant.max()) >= FOUND
    seeds = 0
    if trimap is not None:
        trimap, seeds = seed(trimap, strokes)
    if base is None or len(base.strokes) < seeds:
        base = _solve(picture, meant, settings, timings, on_stage, trimap, mask, max_unknown, true_alpha, is_classic)
        base = replace(base, strokes=strokes[:seeds])
    solved = base
    if len(base.strokes) < len(strokes):
        with _stage("strokes", timings, on_stage):
            solved = _drawn(picture, base, strokes, settings, max_unknown, is_found)
    doubt, doubt_share = _left_in_doubt(solved)
    alpha, warnings = solved.alpha, solved.warnings
    if doubt_share > UNSURE:
        warnings = (Message(DOUBT, share=doubt_share), *warnings)
    if picture.opacity is not None:
        alpha = multiply_opacity(alpha, picture.opacity)
    if points or box:
        alpha, missed = choose(alpha, points, box)
        warnings += missed
    if settings.subjects == "largest":
        alpha = find_subjects(alpha).only(alpha, [1])
    is_found = is_found or any(stroke.kind == "keep" for stroke in strokes)
    if not is_found or not np.any(alpha >= VISIBLE):
        warnings = (NO_SUBJECT,)  # the other warnings are about an outline that does not exist
    return Result(
        probability,
        solved.mask,
        solved.trimap if settings.alpha_matting else None,
        alpha,
        solved.foreground,
        timings,
        warnings,
        doubt=doubt,
        doubt_share=doubt_share,
        solved=solved,
    )


def _solve(
    picture: Picture,
    probability: ProbabilityMap,
    settings: Settings,
    timings: dict[str, float],
    on_stage: OnStage | None,
    trimap: Trimap | None,
    mask: Mask | None,
    max_unknown: int,
    true_alpha: bool,
    is_classic: bool,
) -> Solved:
    warnings: list[str] = []
    with _stage("mask", timings, on_stage):
        if mask is None:
            mask = to_mask(probability, picture.size, settings.post_process_mask)
    colours, doubt, doubt_share = picture.rgb, None, 0.0
    if settings.alpha_matting:
        with _stage("matting", timings, on_stage):
            trimap, matte = _matte(
                picture.rgb, probability, mask, settings, trimap, max_unknown, true_alpha, is_classic, warnings
            )
            alpha = np.rint(matte.alpha * 255.0).astype(np.uint8)
            colours = estimate_foreground(picture.rgb, matte.alpha)
            doubt, doubt_share = matte.doubt, matte.doubt_share
    else:
        alpha = to_alpha(mask)
        if trimap is not None:
            alpha = np.where(trimap == UNKNOWN, alpha, trimap)
        if settings.decontaminate:
            with _stage("colours", timings, on_stage):
                colours = estimate_foreground(picture.rgb, np.divide(alpha, 255, dtype=np.float32))
        trimap = None
    return Solved((), mask, trimap, alpha, colours, tuple(warnings), doubt, doubt_share, None)


def _drawn(
    picture: Picture, base: Solved, strokes: tuple[Stroke, ...], settings: Settings, max_unknown: int, is_found: bool
) -> Solved:
    """What is solved after further strokes. If no subject was found, they begin with nothing."""
    if not is_found and not base.strokes:
        nothing = np.zeros_like(base.alpha)
        base = replace(base, trimap=nothing, alpha=nothing, foreground=np.zeros_like(base.foreground), warnings=())
    canvas = Canvas(
        picture.rgb,
        _as_certain(base.alpha) if base.trimap is None else base.trimap.copy(),
        base.alpha.copy(),
        base.foreground.copy() if settings.alpha_matting or settings.decontaminate else None,
        marks_of(base.strokes, picture.size) if base.marks is None else base.marks.copy(),
    )
    for stroke in strokes[len(base.strokes) :]:
        draw_stroke(canvas, stroke, settings, max_unknown)
    return replace(
        base,
        strokes=strokes,
        trimap=canvas.trimap,
        alpha=canvas.alpha,
        foreground=picture.rgb if canvas.foreground is None else canvas.foreground,
        marks=canvas.marks,
        warnings=tuple(dict.fromkeys((*base.warnings, *canvas.warnings))),
    )


def _left_in_doubt(solved: Solved) -> tuple[npt.NDArray[np.bool_] | None, float]:
    """Where and how much doubt is left: regions of it that a stroke has touched are settled."""
    doubt, share = solved.doubt, solved.doubt_share
    if doubt is None or solved.marks is None:
        return doubt, share
    marked = resize((solved.marks > 0).view(np.uint8), (doubt.shape[0], doubt.shape[1]), "box") > 0
    regions, count = ndimage.label(doubt, np.ones((3, 3)))
    settled = np.zeros(count + 1, bool)
    settled[regions[marked]] = True
    left = doubt & ~settled[regions]
    cells, before = int(np.count_nonzero(left)), int(np.count_nonzero(doubt))
    if cells in (0, before) or not share:
        return (left, share) if cells else (None, 0.0)
    return left, cells / (cells + before / share - before)


def _as_certain(alpha: Alpha) -> Trimap:
    """An opacity as a trimap: unknown where it is partial."""
    return np.where((alpha == 0) | (alpha == 255), alpha, np.uint8(UNKNOWN))


def subjects_of(result: Result, settings: Settings) -> list[Result]:
    """A result for each subject, if the settings want a cutout of each, with numbered labels; or else the one result.

    Timings and warnings, which are about all of them, stay with the first.

    Args:
        result: Of all subjects.
        settings: Only subjects is used.
    """
    if settings.subjects != "each":
        return [result]
    subjects = find_subjects(result.alpha)
    first, *others = [
        replace(result, alpha=subjects.only(result.alpha, [number]), label=numbered(result.label, number))
        for number in range(1, subjects.count + 1)
    ] or [replace(result, label=numbered(result.label, 1))]
    return [first, *(replace(other, timings={}, warnings=()) for other in others)]


def numbered(label: str, number: int) -> str:
    """Label of the cutout of a subject, such as "2", or "hair-2" for one of a class."""
    return f"{label}-{number}" if label else str(number)


def segment(
    picture: Picture,
    session: Session,
    settings: Settings | None = None,
    label: str | None = None,
    *,
    strokes: Sequence[Stroke] = (),
    trimap: Trimap | None = None,
    points: Sequence[Point] = (),
    box: Box | None = None,
    candidate: int = 1,
    prompt_session: Session | None = None,
) -> Result:
    """Cut the subject out of a picture.

    Args:
        picture: The picture.
        session: The network.
        settings: The settings; the defaults of `Settings` if not given.
        label: The class to cut out, if the network distinguishes several and the settings join none; the first by
            default.
        strokes: What a person drew on it, as for `refine`.
        trimap: What is certain and what is to be solved, as for `refine`.
        points: Clicks on subjects. A promptable model cuts out what they are on; of any other model's answer, the
            subjects under them stay, as for `refine`.
        box: Around subjects, likewise.
        candidate: Which answer of a promptable model is taken; 1 is the one that it expects to be the best.
        prompt_session: A promptable network that says what points and box mean, to restrict the model's answer to it.

    Raises:
        SettingsError: The model does not support this size, or lacks one of the classes to join; or there is a label,
            and classes to join; or a promptable model is not told what is wanted.
        SessionError: The network cannot be run, or has no such class.
    """
    settings = settings or Settings()
    known = session.under(settings.contract).output.class_names
    check_classes(settings.classes, known, session.spec.title)
    label = _label(settings, known, label, session.spec.title)
    prompt = Prompt(tuple(points), box, candidate)
    prediction = predict(picture, session, settings, points=prompt.points, box=box, candidate=candidate)
    if prompt_session and not prediction.asks:
        prediction = point_at(picture, prediction, prompt_session, prompt)
    maps = found_maps(prediction, settings)
    if prediction.asks and not maps:
        raise SettingsError(nothing_found(prediction, settings))
    nothing: ProbabilityMap = np.zeros(prediction.network_size, np.float32)
    is_answered = prediction.pointed is not None
    result = refine(
        picture,
        maps.get(label, nothing),
        settings,
        strokes=strokes,
        trimap=trimap,
        points=() if is_answered else points,
        box=None if is_answered else box,
        true_alpha=prediction.true_alpha,
    )
    return replace(
        result,
        label=label,
        timings=prediction.timings | result.timings,
        warnings=(
            *picture.notes, *prediction.all_warnings, *ignored_settings(prediction, settings), *result.warnings,
        ),
    )  # fmt: skip


def _label(settings: Settings, known: tuple[str, ...], label: str | None, title: str) -> str:
    labels = labels_of(settings.classes, known)
    if label is None:
        return labels[0]
    if known and settings.classes != "each":
        raise SettingsError(Message("Name a class by label, or classes to join in the settings, but not both."))
    if label not in labels:
        raise SessionError(
            Message(
                "{title} has no class {label}; it has {maps}.", title=title, label=repr(label),
                maps=listed(labels, label),
            )
        )  # fmt: skip
    return label


def _matte(
    rgb: RGB,
    probability: ProbabilityMap,
    mask: Mask,
    settings: Settings,
    trimap: Trimap | None,
    max_unknown: int,
    true_alpha: bool,
    is_classic: bool,
    warnings: list[str],
) -> tuple[Trimap, Matte]:
    """Trimap and matte; deviations from the settings are appended to `warnings`."""
    erode_size = settings.alpha_matting_erode_size
    if erode_size == "auto":
        erode_size = auto_erode_size((mask.shape[0], mask.shape[1]), (probability.shape[0], probability.shape[1]))
    is_given, eroded_by = trimap is not None, erode_size
    if trimap is None:
        trimap, eroded_by = to_certain_trimap(
            mask,
            settings.alpha_matting_foreground_threshold,
            settings.alpha_matting_background_threshold,
            erode_size,
        )
    matte = estimate_alpha(
        rgb,
        trimap,
        mask=None if is_classic else mask,
        output=None if settings.post_process_mask or is_given else probability,
        trust=settings.trust_mask,
        method=settings.matting_method,
        max_unknown=max_unknown,
        true_alpha=true_alpha,
    )
    warnings += matte.warnings
    if eroded_by < erode_size and matte.unknown:
        warnings.append(
            Message(
                "alpha_matting_erode_size {erode_size} left nothing certain of the subject or its background; "
                "{eroded_by} was used.",
                erode_size=erode_size,
                eroded_by=eroded_by,
            )
        )
    share = float(np.count_nonzero(trimap == UNKNOWN)) / trimap.size
    if share > WIDE and not is_given and not matte.warnings:
        warnings.append(
            Message(
                "The uncertain band covers {share:.0%} of the picture: lower alpha_matting_erode_size, or try a "
                "model that is surer of this subject.",
                share=share,
            )
        )
    return trimap, matte


@contextmanager
def _stage(name: str, timings: dict[str, float], on_stage: OnStage | None) -> Iterator[None]:
    if on_stage:
        on_stage(name)
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start
