"""Our side of the comparisons."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import worker
from segmentation import Settings, load_image, load_registry, load_session, predict, refine
from segmentation.batch import Outcome, run_batch
from segmentation.matting.mask import post_processed, to_mask
from segmentation.models.weights import fetch_weights
from segmentation.network.machine import available_cores
from segmentation.network.pool import threads_for
from segmentation.network.session import Session
from segmentation.network.tensor import to_tensor
from segmentation.picture.compose import save_cutout
from segmentation.predictor import from_session

PLAIN = Settings(alpha_matting=False)

session = load_session(load_registry()["u2netp"], device="cpu")


def _png(photo: str, settings: Settings) -> int:
    picture = load_image(Path(photo).read_bytes())
    result = refine(picture, predict(picture, session, settings).maps[""], settings)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        save_cutout(result.foreground, result.alpha, file.name, picture.icc_profile)
        return Path(file.name).stat().st_size


def plain(photo: str) -> Callable[[], Any]:
    """Bytes to PNG bytes, without matting."""
    return lambda: _png(photo, Settings(alpha_matting=False))


def matted(photo: str) -> Callable[[], Any]:
    """Bytes to PNG bytes, with matting."""
    return lambda: _png(photo, Settings())


def matting(photo: str, **settings: Any) -> Callable[[], Any]:
    """From the probability map to the cutout."""
    picture = load_image(Path(photo).read_bytes())
    probability = predict(picture, session).maps[""]
    return lambda: list(refine(picture, probability, Settings(**settings)).warnings)


def post_processing(photo: str) -> Callable[[], Any]:
    """Of a mask at the picture's size."""
    picture = load_image(Path(photo).read_bytes())
    mask = to_mask(predict(picture, session).maps[""], picture.size)
    return lambda: post_processed(mask) is None


def batch(photos: list[str]) -> Callable[[], Any]:
    """Many pictures through the batch, into files."""
    paths = [Path(photo) for photo in photos]
    own = load_session(session.spec, device="cpu", threads=threads_for(session.spec, len(paths)))  # as the app does

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            events = run_batch(paths, from_session(own, PLAIN), PLAIN, Path(folder))
            return sum(isinstance(event, Outcome) for event in events)

    return run


def bare(photos: list[str], callers: int, threads: int) -> Callable[[], Any]:
    """The network alone on prepared tensors, as so many callers of so many threads each."""
    own = Session(session.spec, fetch_weights(session.spec), "cpu", threads=threads)
    tensor, _ = to_tensor(load_image(Path(photos[0])).rgb, own.input)
    own.run(tensor)

    def run() -> None:
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(lambda _: own.run(tensor), photos))

    return run


if __name__ == "__main__":
    worker.time_the_network()
    tasks: dict[str, Callable[..., Callable[[], Any]]] = {
        "plain": plain,
        "matted": matted,
        "matting": matting,
        "post_processing": post_processing,
        "batch": batch,
        "bare": bare,
        "cores": lambda: available_cores,
    }
    worker.serve(tasks)
