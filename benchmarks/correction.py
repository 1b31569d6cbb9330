"""Errors after 0, 1, 3 and 10 strokes on planted mistakes: painted alpha, painted mask with matting, and our strokes.

`python -m benchmarks.correction TRUTH [--pictures DIR]`, where the folder TRUTH holds image/ and alpha/ as for
`benchmarks.quality`. Each photograph gives one case of its own and one over another photograph, for each mistake that
fits its subject; the network is a perfect one of 320 x 320 pixels but for the mistake. An oracle strokes as a person
would: over the largest wrong region, along its medial axis, with a brush that fits it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import skimage
from PIL import Image
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize
from skimage.segmentation import felzenszwalb

from segmentation import Settings, refine
from segmentation.corrections import Stroke, StrokeKind
from segmentation.matting.brush import distance_from
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_mask
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.score.mattes import MatteErrors, measure_mattes

Plane = npt.NDArray[Any]
Way = Literal["painted alpha", "painted mask, matted", "strokes"]
WAYS: tuple[Way, ...] = ("painted alpha", "painted mask, matted", "strokes")
COUNTS = 0, 1, 3, 10
NETWORK = 320  # pixels of a side of the simulated network's output
WRONG = 0.3  # error of alpha from which a person sees it
BEHIND = ("coffee.png", "motorcycle_left.png", "rocket.jpg", "chelsea.png", "ihc.png", "astronaut.png")


@dataclass(frozen=True)
class Case:
    """A picture of known alpha and a network's wrong idea of it."""

    name: str
    mistake: str
    picture: Picture
    truth: Plane  # float32 (h, w), 0..1
    probability: Plane
    where: Plane = field(repr=False)  # bool (h, w): the planted mistake


def cases(truth: Path) -> Iterator[Case]:
    """All cases of a folder."""
    data = Path(skimage.__file__).parent / "data"
    for number, file in enumerate(sorted((truth / "image").iterdir())):
        with Image.open(file) as opened:
            image = np.asarray(opened.convert("RGB"))
        with Image.open(truth / "alpha" / file.name) as opened:
            alpha = np.asarray(opened.convert("L")).astype(np.float32) / np.float32(255)
        with Image.open(data / BEHIND[number % len(BEHIND)]) as opened:
            behind = np.asarray(opened.convert("RGB").resize(image.shape[1::-1], Image.Resampling.LANCZOS))
        colours = estimate_foreground(image, alpha)
        composite = np.rint(alpha[..., None] * colours + (1 - alpha[..., None]) * behind).astype(np.uint8)
        for kind, pixels in (("photo", image), ("composite", composite)):
            for mistake, where, level in planted(pixels, alpha):
                wrong = alpha * ~where + level * where
                seen = resize(wrong.astype(np.float32), (NETWORK, NETWORK), "box")
                yield Case(f"{file.stem} {kind}", mistake, Picture(pixels), alpha, seen, where)


def planted(image: Plane, alpha: Plane) -> Iterator[tuple[str, Plane, float]]:
    """Mistakes that fit a subject: their names, where they are, and what the network says there."""
    side = min(alpha.shape)
    inside = alpha > 0.5
    limbs = largest(inside & ~grown(opened(inside, side / 12), side / 60), alpha.size)
    if limbs is None:  # no limb: its farthest part
        y, x = np.nonzero(inside)
        far = np.hypot(*(np.indices(alpha.shape) - np.array([y.mean(), x.mean()])[:, None, None]))
        limbs = largest(inside & (far > np.quantile(far[inside], 0.9)), alpha.size)
    if limbs is not None:
        yield "limb lost", grown(limbs, 3), 0.0
    objects = felzenszwalb(image, scale=300, sigma=0.8, min_size=alpha.size // 200)
    apart = ~grown(alpha > 0.02, side / 50)
    areas = np.bincount(objects[apart], minlength=objects.max() + 1)
    areas[areas > 0.06 * alpha.size] = 0
    if areas.max() > 0.005 * alpha.size:
        island = largest((objects == areas.argmax()) & apart, 0, 1.0)
        if island is not None:
            yield "island kept", island, 1.0
    hole = largest(~opened(~inside, side / 8) & ~inside, alpha.size)
    if hole is not None:
        yield "hole closed", grown(hole, 3), 1.0
    fine = grown(opened(alpha > 0.95, side / 40), 2)
    hair = largest(~opened(~((alpha > 0.05) & ~fine), 3), alpha.size, 0.3)
    soft = (alpha > 0.05) & (alpha < 0.95)
    if hair is not None and (soft & hair).sum() > 0.25 * hair.sum():
        yield "hair cut off", hair, 0.0


def grown(region: Plane, radius: float) -> Plane:
    """Dilated by a disk."""
    return np.asarray(ndimage.distance_transform_edt(~region) <= radius)


def opened(region: Plane, radius: float) -> Plane:
    """Eroded and dilated by a disk; beyond the border lies what lies at it."""
    edge = int(radius) + 2
    shrunk = ndimage.distance_transform_edt(np.pad(region, edge, mode="edge")) > radius
    return grown(shrunk, radius)[edge:-edge, edge:-edge]


def largest(region: Plane, pixels: int, most: float = 0.12) -> Plane | None:
    """Its largest connected part, if that covers enough of the picture to be worth a stroke, and not too much."""
    labels, count = ndimage.label(region)
    if not count:
        return None
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    areas[areas > most * labels.size] = 0
    return labels == areas.argmax() if areas.max() >= 0.004 * pixels and areas.max() else None


def next_stroke(alpha: Plane, truth: Plane, can_solve: bool) -> Stroke | None:
    """A stroke over the largest wrong region, along its medial axis."""
    error = alpha - truth
    wrong = np.abs(error) > WRONG
    labels, count = ndimage.label(~opened(~wrong, 2), np.ones((3, 3)))
    if not count:
        return None
    weight = ndimage.sum_labels(np.abs(error), labels, range(1, count + 1))
    region = labels == 1 + int(np.argmax(weight))
    if region.sum() < 12:
        return None
    soft = np.mean((truth[region] > 0.1) & (truth[region] < 0.9))
    kind: StrokeKind = "keep" if error[region].sum() < 0 else "remove"
    if can_solve and soft > 0.4:
        kind = "solve"
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    path = longest_path(skeletonize(region))
    ys, xs = path[:, 0], path[:, 1]
    radius = float(np.mean(depth[ys, xs]))
    if kind == "solve":
        radius = float(np.max(depth[ys, xs])) * 1.2
    else:
        inner = depth[ys, xs] >= 0.7 * radius  # a person stops short of the ends
        path = path[np.argmax(inner) : len(path) - np.argmax(inner[::-1])]
    step = max(1, int(radius / 2))
    points = [(float(x) + 0.5, float(y) + 0.5) for y, x in path[:: min(step, max(1, len(path) - 1))]]
    return Stroke(kind, max(1.0, radius), tuple(points))


def longest_path(skeleton: Plane) -> Plane:
    """The (row, column) along the longest of the shortest paths of a skeleton, nearly."""
    number = np.full(skeleton.shape, -1)
    at = np.argwhere(skeleton)
    number[skeleton] = np.arange(len(at))
    padded = np.pad(number, 1, constant_values=-1)
    rows, columns, lengths = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = padded[1 + dy : 1 + dy + skeleton.shape[0], 1 + dx : 1 + dx + skeleton.shape[1]]
        pair = skeleton & (other >= 0)
        rows.append(number[pair])
        columns.append(other[pair])
        lengths.append(np.full(pair.sum(), np.hypot(dy, dx)))
    ends = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.concatenate(lengths), ends), (len(at), len(at))).tocsr()

    def far(reach: Plane) -> int:
        return int(np.argmax(np.where(np.isfinite(reach), reach, -1)))

    end = far(dijkstra(graph, directed=False, indices=[0])[0])
    end = far(dijkstra(graph, directed=False, indices=[end])[0])
    reaches, befores = dijkstra(graph, directed=False, indices=[end], return_predecessors=True)
    reach, before = reaches[0], befores[0]
    path = [far(reach)]
    while path[-1] != end:
        path.append(int(before[path[-1]]))
    return at[path]


def painted(plane: Plane, strokes: list[Stroke]) -> Plane:
    """What a brush of our peers does: hard levels with an anti-aliased edge."""
    plane, whole = plane.astype(np.float32), np.s_[0 : plane.shape[0], 0 : plane.shape[1]]
    for stroke in strokes:
        cover = np.clip(stroke.radius - distance_from(stroke, whole) + 0.5, 0, 1)
        plane += cover * ((255 if stroke.kind == "keep" else 0) - plane)
    return np.rint(plane).astype(np.uint8)


def corrected(case: Case, way: Way, strokes: list[Stroke], base: Any, settings: Settings) -> Any:
    """The result of a way."""
    if way == "strokes":
        return refine(case.picture, case.probability, settings, strokes=strokes, base=base.solved)
    if way == "painted alpha":
        return type(base)(
            **{**{name: getattr(base, name) for name in base.__slots__}, "alpha": painted(base.alpha, strokes)}
        )
    mask = painted(to_mask(case.probability, case.picture.size), strokes)
    seen = resize(mask.astype(np.float32) / 255, (NETWORK, NETWORK), "box")
    return refine(case.picture, seen, settings, mask=mask)


def measured(case: Case, way: Way, settings: Settings, folder: Path | None) -> dict[int, MatteErrors]:
    """Errors by number of strokes."""
    base = refine(case.picture, case.probability, settings)
    result, strokes, errors = base, list[Stroke](), dict[int, MatteErrors]()
    everywhere = np.ones(case.truth.shape, bool)
    for count in range(max(COUNTS) + 1):
        if count in COUNTS:
            errors[count] = measure_mattes(result.alpha / np.float32(255), case.truth, everywhere)
            if folder:
                name = f"{case.name}-{case.mistake}-{way}-{count}".replace(" ", "_")
                show(case, result.alpha, strokes).save(folder / f"{name}.png")
        stroke = next_stroke(result.alpha / 255.0, case.truth, way == "strokes")
        if stroke is not None and count < max(COUNTS):
            strokes.append(stroke)
            result = corrected(case, way, strokes, base, settings)
    return errors


def show(case: Case, alpha: Plane, strokes: list[Stroke]) -> Image.Image:
    """The picture with the strokes, the cutout on green, alpha and truth, side by side."""
    colours = {"keep": (0, 255, 0), "remove": (255, 0, 0), "solve": (0, 128, 255)}
    pixels = case.picture.rgb.copy()
    for stroke in strokes:
        distance = distance_from(stroke, np.s_[0 : alpha.shape[0], 0 : alpha.shape[1]])
        pixels[np.abs(distance - stroke.radius) < 1] = colours[stroke.kind]
        pixels[distance < 1] = colours[stroke.kind]
    share = alpha[..., None] / 255.0
    over = (share * case.picture.rgb + (1 - share) * (60, 160, 60)).astype(np.uint8)
    grey = [np.dstack([plane] * 3) for plane in (alpha, np.rint(case.truth * 255).astype(np.uint8))]
    return Image.fromarray(np.hstack([pixels, over, *grey]))
