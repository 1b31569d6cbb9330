"""Errors after 0, 1, 3 and 10 strokes on planted mistakes: painted alpha, painted mask with matting, and our strokes.

`python -m benchmarks.correction TRUTH [NAMES] [--pictures=FOLDER]`, where the folder TRUTH holds image/ and alpha/ as
for `benchmarks.quality`, and NAMES, separated by commas, are some of its photographs. Each gives cases of its own and
over another photograph, one for each mistake that fits its subject; the network is a perfect one of 320 x 320 pixels
but for the mistake. "No mistake" is the result without it. An oracle places each stroke on what is wrong then, as a
person would: on the largest region, along its medial axis, with a brush that fits it, short of the ends; where
something fine or soft was lost, ours solves all of it ("solve here"). Dabs are single points in the middle of the
region, of half its width. Set OMP_NUM_THREADS=1.
"""

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import skimage
from PIL import Image
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize
from skimage.segmentation import felzenszwalb

from benchmarks.sides import table
from segmentation import refine
from segmentation.corrections import Stroke, StrokeKind
from segmentation.matting.alpha import warm_up
from segmentation.matting.brush import distance_from
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_mask
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.score.mattes import MatteErrors, measure_mattes

Plane = npt.NDArray[Any]
Way = Literal["painted alpha", "painted mask, matted", "strokes", "dabs"]
WAYS: tuple[Way, ...] = get_args(Way)
OURS = "strokes", "dabs"
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


def cases(truth: Path, names: Collection[str] = ()) -> Iterator[Case]:
    """All cases of a folder, or of the photographs with these names."""
    data = Path(skimage.__file__).parent / "data"
    for number, file in enumerate(sorted((truth / "image").iterdir())):
        if names and file.stem not in names:
            continue
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


def next_stroke(alpha: Plane, truth: Plane, can_solve: bool, is_dab: bool = False) -> Stroke | None:
    """A stroke over the largest wrong region, along its medial axis, or a dab of half its width in its middle.

    Args:
        alpha: What there is, 0..1.
        truth: What should be.
        can_solve: Whether the way has a brush for hair.
        is_dab: Dab.
    """
    error = alpha - truth
    wrong = np.abs(error) > WRONG
    if can_solve and not is_dab:
        hair = lost_hair(error, wrong, truth)
        if hair is not None:
            return along(hair, "solve")
    region = heaviest(~opened(~wrong, 2), error)
    if region is None or region.sum() < 12:
        return None
    kind: StrokeKind = "keep" if error[region].sum() < 0 else "remove"
    if not is_dab:
        return along(region, kind)
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return Stroke(kind, max(1.0, float(depth.max()) / 2), ((float(x) + 0.5, float(y) + 0.5),))


def lost_hair(error: Plane, wrong: Plane, truth: Plane) -> Plane | None:
    """The heaviest wrong region, gaps included, if it is something fine or soft that was lost."""
    cluster = heaviest(~opened(~wrong, min(truth.shape) / 50), error)
    if cluster is None or error[cluster].sum() > 0:
        return None
    soft = np.mean((truth[cluster] > 0.1) & (truth[cluster] < 0.9))
    gaps = np.mean(truth[cluster] <= 0.1)
    return cluster if soft > 0.4 or gaps > 0.25 else None


def heaviest(region: Plane, error: Plane) -> Plane | None:
    """The connected part of a region with the largest error."""
    labels, count = ndimage.label(region, np.ones((3, 3)))
    if not count:
        return None
    return np.asarray(labels == 1 + int(np.argmax(ndimage.sum_labels(np.abs(error), labels, range(1, count + 1)))))


def along(region: Plane, kind: StrokeKind) -> Stroke:
    """A stroke along the medial axis of a region, of a radius that fits it; to solve, of one that covers it."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    path = longest_path(skeletonize(region))
    depths = depth[path[:, 0], path[:, 1]]
    radius = float(depths.max()) * 1.2 if kind == "solve" else float(depths.mean())
    if kind != "solve":
        inner = depths >= 0.7 * radius  # a person stops short of the ends
        path = path[np.argmax(inner) : len(path) - np.argmax(inner[::-1])]
    step = min(max(1, int(radius / 2)), max(1, len(path) - 1))
    return Stroke(kind, max(1.0, radius), tuple((float(x) + 0.5, float(y) + 0.5) for y, x in path[::step]))


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


def measured(case: Case, way: Way, folder: Path | None) -> dict[int, MatteErrors]:
    """Errors by number of strokes."""
    base = refine(case.picture, case.probability)
    mask = to_mask(case.probability, case.picture.size)
    result, strokes, errors = base, list[Stroke](), dict[int, MatteErrors]()
    seen = mask if way == "painted mask, matted" else base.alpha  # by the person who paints
    for count in range(max(COUNTS) + 1):
        if count in COUNTS:
            alpha = seen
            if way == "painted mask, matted" and count:
                small = resize((seen / np.float32(255)).astype(np.float32), (NETWORK, NETWORK), "box")
                alpha = refine(case.picture, small, mask=seen).alpha
            elif not count:
                alpha = base.alpha
            errors[count] = measure_mattes(alpha / np.float32(255), case.truth)
            if folder:
                name = f"{case.name}, {case.mistake}, {way}, {count}.png"
                show(case, alpha, strokes).save(folder / name.replace(", ", "-").replace(" ", "_"))
        stroke = next_stroke(seen / 255.0, case.truth, way == "strokes", way == "dabs")
        if stroke is not None and count < max(COUNTS):
            strokes.append(stroke)
            if way in OURS:
                result = refine(case.picture, case.probability, strokes=strokes, base=result.solved)
                seen = result.alpha
            else:
                seen = painted(seen, [stroke])
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


def row(name: str, errors: list[dict[int, MatteErrors]]) -> list[str]:
    """Means of SAD, MSE x 1000 and gradient error by number of strokes."""
    cells = [name]
    for count in COUNTS:
        means = np.mean([(each[count].sad, 1000 * each[count].mse, each[count].gradient) for each in errors], 0)
        cells.append(" / ".join(f"{value:.2f}" for value in means))
    return cells


def main() -> None:
    options, arguments = list[str](), list[str]()
    for argument in sys.argv[1:]:
        (options if argument.startswith("--pictures=") else arguments).append(argument)
    if not arguments or not (Path(arguments[0]) / "image").is_dir():
        sys.exit("usage: python -m benchmarks.correction TRUTH [NAMES] [--pictures=FOLDER]")
    folder = Path(options[0].partition("=")[2]) if options else None
    warm_up()
    errors: dict[tuple[str, str], list[dict[int, MatteErrors]]] = {}
    better = 0
    for case in cases(Path(arguments[0]), arguments[1].split(",") if len(arguments) > 1 else ()):
        perfect = refine(case.picture, resize(case.truth, (NETWORK, NETWORK), "box"))
        floor = measure_mattes(perfect.alpha / np.float32(255), case.truth)
        of_way: dict[str, dict[int, MatteErrors]] = {"no mistake": dict.fromkeys(COUNTS, floor)}
        of_way |= {way: measured(case, way, folder) for way in WAYS}
        better += of_way["strokes"][3].sad <= of_way["painted alpha"][3].sad
        for way, each in of_way.items():
            errors.setdefault((case.mistake, way), []).append(each)
        print(case.name, case.mistake, *(f"{way} {each[3].sad:.2f}" for way, each in of_way.items()), flush=True)
    mistakes = list(dict.fromkeys(mistake for mistake, _ in errors))
    ways = list(dict.fromkeys(way for _, way in errors))
    head = ["SAD / MSE / gradient after", *(f"{count} strokes" for count in COUNTS)]
    for mistake in mistakes:
        print(f"\n**{mistake}** ({len(errors[mistake, ways[0]])} cases)\n")
        print(table(head, [row(way, errors[mistake, way]) for way in ways]))
    together = {way: [each for mistake in mistakes for each in errors[mistake, way]] for way in ways}
    print(f"\n**all** ({len(together[ways[0]])} cases)\n")
    print(table(head, [row(way, together[way]) for way in ways]))
    print(f"\nAfter 3 strokes ours were no worse than painted alpha in SAD in {better} of {len(together[ways[0]])}.")


if __name__ == "__main__":
    main()
