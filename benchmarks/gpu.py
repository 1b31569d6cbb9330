"""Pictures a second through the app and of the bare network, on the GPU where there is one, else on the CPU.

`python -m benchmarks.gpu [photos a batch, 24]`. Bare is ONNX Runtime alone on tensors that are on the device already,
with all cores or the card. Through the app is from JPEG files to PNG files, without matting. Where there is a GPU, its
masks are compared with the CPU's as well, and where it computes several pictures in one run, the app is also timed with
one at a time.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.sides import machine, photo, table
from segmentation import Session, Settings, load_image, load_registry, predict
from segmentation.batch import Outcome, run_batch
from segmentation.models.spec import ModelSpec, own_file_spec
from segmentation.models.weights import fetch_weights
from segmentation.network.gpu.devices import gpus
from segmentation.network.gpu.options import GpuOptions, with_options
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.pool import threads_for
from segmentation.network.providers import CPU
from segmentation.predictor import from_session

REPEATS = 3
BARE_SECONDS = 3.0
BATCH = 4  # pictures in one run, where a network takes several; the app computes one by one by default
PLAIN = Settings(alpha_matting=False)


def isnet_sized(path: Path) -> Path:
    """A network as large as ISNet with weights of chance: an encoder and decoder with 44 million weights, at 1024.

    Its first axis is free, so it takes batches. What it answers means nothing.
    """
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def conv(source: str, name: str, wide: int, out: int, stride: int = 1) -> str:
        kernel = rng.normal(0, (2 / (9 * wide)) ** 0.5, (out, wide, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}.w"))
        pads: dict[str, Any] = {"strides": [stride, stride], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [source, f"{name}.w"], [f"{name}.c"], **pads))
        nodes.append(helper.make_node("Relu", [f"{name}.c"], [name]))
        return name

    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "double"))
    widths = (48, 96, 128, 256, 512, 512, 512)
    at, wide, levels = conv("image", "stem", 3, 32, stride=2), 32, []
    for level, width in enumerate(widths):  # at 512 pixels and down
        at = conv(at, f"down{level}", wide, width, stride=2 if level else 1)
        for step in range(2):
            at = conv(at, f"in{level}.{step}", width, width)
        levels.append((at, width))
        wide = width
    for level, (skip, width) in reversed(list(enumerate(levels[:-1]))):
        resize = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes.append(helper.make_node("Resize", [at, "", "double"], [f"up{level}"], **resize))
        nodes.append(helper.make_node("Concat", [f"up{level}", skip], [f"both{level}"], axis=1))
        at = conv(f"both{level}", f"out{level}.0", wide + width, width)
        at = conv(at, f"out{level}.1", width, width)
        wide = width
    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    nodes.append(helper.make_node("Resize", [at, "", "twice"], ["wide"], mode="linear"))
    at = conv("wide", "last", wide, 8)
    weights.append(numpy_helper.from_array(rng.normal(0, 0.1, (1, 8, 1, 1)).astype(np.float32), "one.w"))
    nodes.append(helper.make_node("Conv", [at, "one.w"], ["logits"]))
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["matte"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ("n", 3, 1024, 1024))
    matte = helper.make_tensor_value_info("matte", TensorProto.FLOAT, ("n", 1, 1024, 1024))
    graph = helper.make_graph(nodes, "isnet-sized", [image], [matte], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def bare(spec: ModelSpec, path: Path, batch: int, size: tuple[int, int]) -> float | None:
    """Pictures a second of the network alone; None where it takes no such batch."""
    providers, _ = usable_providers("auto")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(str(path), options, with_options(providers, GpuOptions(), graphs=False))
    node = session.get_inputs()[0]
    if isinstance(node.shape[0], int) and node.shape[0] != batch:
        return None
    tensor = np.random.default_rng(0).random((batch, 3, *size)).astype(np.float32)
    output = spec.output.name or session.get_outputs()[spec.output.index].name
    if session.get_providers()[0] == CPU:
        return batch / _seconds_of(lambda: session.run([output], {node.name: tensor}))
    binding = session.io_binding()
    binding.bind_ortvalue_input(node.name, onnxruntime.OrtValue.ortvalue_from_numpy(tensor, "cuda"))
    binding.bind_output(output, "cuda")

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return batch / _seconds_of(run)


def _seconds_of(run: Callable[[], Any]) -> float:
    run()
    run()  # the first ones choose algorithms and fill the arena
    start, runs = time.perf_counter(), 0
    while not runs or time.perf_counter() - start < BARE_SECONDS:
        run()
        runs += 1
    return (time.perf_counter() - start) / runs


def takes_batches(path: Path) -> bool:
    session = onnxruntime.InferenceSession(str(path), providers=[CPU])
    return not any(isinstance(node.shape[0], int) for node in (*session.get_inputs(), *session.get_outputs()))


def through_the_app(session: Session, photos: list[Path]) -> float:
    """Pictures a second from files to files."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        events = run_batch(photos, from_session(session, PLAIN), PLAIN, Path(folder))
        outcomes = [event for event in events if isinstance(event, Outcome)]
        took = time.perf_counter() - start
    assert not any(outcome.report.error for outcome in outcomes), outcomes[0].report
    return len(photos) / took


def mask_difference(spec: ModelSpec, path: Path, session: Session) -> str:
    """Mean difference of the masks from the CPU's, in steps of 1/255."""
    if session.provider == CPU:
        return ""
    picture = load_image(photo("1"))
    ours, theirs = predict(picture, session).maps, predict(picture, Session(spec, path, "cpu")).maps
    return f"{255 * max(float(np.abs(ours[label] - theirs[label]).mean()) for label in ours):.3f}"


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 24
    registry = load_registry()
    with tempfile.TemporaryDirectory() as folder:
        graph = isnet_sized(Path(folder) / "isnet-sized.onnx")
        models = [(registry[name], fetch_weights(registry[name])) for name in ("u2netp", "modnet")]
        models.append((own_file_spec(graph), graph))
        rows = []
        for spec, path in models:
            session = Session(spec, path, "auto", threads_for(spec, count), GpuOptions(batch=BATCH))
            single = None
            if session.provider != CPU and takes_batches(path) and spec.is_small:
                single = Session(spec, path, "auto", gpu=GpuOptions(batch=1))
            size = predict(load_image(photo("1")), session).network_size
            for megapixels in ("1", "12"):
                photos = [photo(megapixels, name) for name in ("astronaut.png", "chelsea.png", "coffee.png")]
                photos = (photos * count)[:count]
                through_the_app(session, photos)  # chooses algorithms, and tries whether it takes batches
                alone, whole, singly = [], [], []
                for _ in range(REPEATS):
                    alone.append(bare(spec, path, 1, size) or 0.0)
                    whole.append(through_the_app(session, photos))
                    if single:
                        singly.append(through_the_app(single, photos))
                best, mine = statistics.median(alone), statistics.median(whole)
                rows.append([
                    spec.title, session.provider.removesuffix("ExecutionProvider"), f"{size[0]} x {size[1]}",
                    megapixels, f"{best:.2f}", f"{mine:.2f}", f"{mine / best:.0%}",
                    f"{statistics.median(singly):.2f}" if singly else "-", mask_difference(spec, path, session),
                ])  # fmt: skip
                print(rows[-1], flush=True)
            eight = bare(spec, path, 8, size)
            rows.append(
                [spec.title, rows[-1][1], rows[-1][2], "8 at once", f"{eight:.2f}" if eight else "-", "", "", "", ""]
            )
            print(rows[-1], flush=True)
    shown = ", ".join(f"{card.name} (driver {card.driver})" for card in gpus() or []) or "no GPU"
    print(f"\n{machine().partition(', against')[0]}, {shown}\n")
    head = [
        "network", "on", "input", "MP", "bare, pictures/s", "app, pictures/s", "share", "app one by one, pictures/s",
        "mask off the CPU's, 1/255",
    ]  # fmt: skip
    print(table(head, rows))


if __name__ == "__main__":
    main()
