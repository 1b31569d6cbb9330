"""Tiny repositories in the Hub's layout, each a real network that needs its own contract, which is recorded.

Every network finds warm colours (red well above blue), as `scene` has them and as cats, cheetahs and faces do. It was
"trained" on one normalisation: fed with another one its colours are off, so it misses the subject, and where values
leave the range that it knows it hedges towards 0.5, as trained networks do.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper
from scipy import ndimage

from segmentation.models.spec import Contract, InputSpec, OutputSpec
from tests.graphs import Shape, write_graph

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF_UNIT = (0.5,) * 3, (1.0,) * 3
HALF_HALF = (0.5,) * 3, (0.5,) * 3
UNIT = (0.0,) * 3, (1.0,) * 3

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean, std

_WARM = 0.25  # red minus blue, in 0..1, where the subject begins
_GAIN = 25.0  # logits per unit of red minus blue
_KNOWN = 0.52  # distance from mid-grey up to which values are in the range the network knows
_HEDGE = 150.0  # how fast it becomes unsure beyond that


@dataclass(frozen=True)
class Repository:
    """A repository: its network, what it declares, and the contract that is true."""

    name: str
    contract: Contract
    """The true one. Names of input and output are left out."""
    preprocessor: dict[str, Any]
    config: dict[str, Any]
    build: Callable[[Path], Path]
    """Writes the network to a path."""


class _Net:
    """Collects nodes and constants; every method returns the name of a tensor."""

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.dtype = dtype
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def const(self, value: Any, dtype: Any = None) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype or self.dtype)
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def colours(self, pixels: str, mean: Sequence[float], std: Sequence[float], *, bgr: bool = False) -> str:
        """Normalised pixels (1, 3, h, w) -> slightly blurred RGB in 0..1, by the one convolution that undoes it."""
        kernel = np.full((3, 3), 0.05)
        kernel[1, 1] = 0.6
        weights = np.zeros((3, 3, 3, 3))
        for channel in range(3):
            weights[channel, 2 - channel if bgr else channel] = std[channel] * kernel
        return self.op("Conv", pixels, self.const(weights), self.const(mean), pads=[1, 1, 1, 1])

    def logit(self, colours: str) -> str:
        """(1, 3, h, w) RGB in 0..1 -> (1, 1, h, w), above 0 where the subject is."""
        weights = np.reshape([_GAIN, 0.0, -_GAIN], (1, 3, 1, 1))
        warm = self.op("Conv", colours, self.const(weights), self.const([-_GAIN * _WARM]))
        return self.op("Div", warm, self.doubt(colours))

    def doubt(self, colours: str) -> str:
        """1 where all colours are in the known range, more elsewhere: what logits are divided by."""
        far = self.op("Abs", self.op("Sub", colours, self.const(0.5)))
        beyond = self.op("Relu", self.op("Sub", far, self.const(_KNOWN)))
        mean = self.op("ReduceMean", beyond, axes=[1], keepdims=1)
        around = self.op("AveragePool", mean, kernel_shape=[5, 5], pads=[2, 2, 2, 2])
        return self.op("Add", self.op("Mul", around, self.const(_HEDGE)), self.const(1.0))

    def write(
        self,
        path: Path,
        inputs: dict[str, tuple[int, Shape]],
        outputs: dict[str, tuple[int, Shape | None]],
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_graph(path, self.nodes, inputs, outputs, self.constants)


@dataclass(frozen=True)
class _Plain:
    """A network with one input and, unless `finish` says otherwise, one output: a matte in 0..1."""

    normalisation: Normalisation = IMAGENET
    size: tuple[int | str, int | str] = (128, 128)
    bgr: bool = False
    input_name: str = "pixel_values"
    output_name: str = "alphas"
    finish: str = "sigmoid"  # or "logits", "background_first", "background_last", "several", "second", "labels"
    inside: Normalisation | None = None  # applied by nodes of the graph before anything else
    inside_scale: bool = False  # whether the graph divides by 255 first
    kind: int = TensorProto.FLOAT
    nhwc: bool = False
    levels: bool = field(default=False)  # float values 0..255 go in

    def __call__(self, path: Path) -> Path:
        half = self.kind == TensorProto.FLOAT16
        net = _Net(np.float16 if half else np.float32)
        pixels = self.input_name
        if self.kind == TensorProto.UINT8:
            pixels = net.op("Cast", pixels, to=TensorProto.FLOAT)
        if self.nhwc:
            pixels = net.op("Transpose", pixels, perm=[0, 3, 1, 2])
        if self.inside_scale:
            pixels = net.op("Div", pixels, net.const(255.0))
        mean, std = self.normalisation
        if self.inside:
            mean, std = self.inside
            pixels = net.op("Sub", pixels, net.const(np.reshape(mean, (1, 3, 1, 1))))
            pixels = net.op("Div", pixels, net.const(np.reshape(std, (1, 3, 1, 1))))
        if self.levels:
            mean, std = (0.0,) * 3, (1 / 255,) * 3
        outputs = self._outputs(net, net.colours(pixels, mean, std, bgr=self.bgr))
        shape: Shape = (1, *self.size, 3) if self.nhwc else (1, 3, *self.size)
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        named: dict[str, tuple[int, Shape | None]] = {name: (kind, shape) for name, shape in outputs.items()}
        return net.write(path, {self.input_name: (self.kind, shape)}, named)

    def _outputs(self, net: _Net, colours: str) -> dict[str, Shape]:
        plane: Shape = (1, 1, *self.size)
        if self.finish == "labels":
            return self._labels(net, colours)
        logit = net.logit(colours)
        if self.finish == "logits":
            net.op("Conv", logit, net.const(np.ones((1, 1, 1, 1))), out=self.output_name)  # as decoders end
            return {self.output_name: plane}
        if self.finish.startswith("background"):
            both = [net.op("Neg", logit), logit]
            both = both if self.finish == "background_first" else both[::-1]
            net.op("Softmax", net.op("Concat", *both, axis=1), axis=1, out=self.output_name)
            return {self.output_name: (1, 2, *self.size)}
        if self.finish == "several":
            return self._several(net, logit)
        if self.finish == "second":
            net.op("ReduceMean", colours, axes=[2, 3], keepdims=0, out="pooled")
            net.op("Sigmoid", logit, out=self.output_name)
            return {"pooled": (1, 3), self.output_name: plane}
        if self.nhwc:
            net.op("Transpose", net.op("Sigmoid", logit), perm=[0, 2, 3, 1], out=self.output_name)
            return {self.output_name: (1, *self.size, 1)}
        net.op("Sigmoid", logit, out=self.output_name)
        return {self.output_name: plane}

    def _several(self, net: _Net, logit: str) -> dict[str, Shape]:
        """d0 ... d6: the fused mask, and ever coarser ones, as U-2-Net returns them."""
        names = [f"d{number}" for number in range(7)]
        net.op("Sigmoid", logit, out=names[0])
        sizes = net.const([1, 1, *self.size], np.int64)
        for level, name in enumerate(names[1:]):
            edge = 2**level
            coarse = net.op("AveragePool", logit, kernel_shape=[edge, edge], strides=[edge, edge])
            net.op("Sigmoid", net.op("Resize", coarse, "", "", sizes, mode="linear"), out=name)
        return dict.fromkeys(names, (1, 1, *self.size))

    def _labels(self, net: _Net, colours: str) -> dict[str, Shape]:
        """Logits of `CLASSES` at a quarter of the size, as SegFormer returns them: warm ones by brightness."""
        warm = np.array([_GAIN, 0.0, -_GAIN])
        bright = np.array([10.0, 20.0, 10.0])  # around a brightness of 0.5
        rows = np.stack([-warm, warm - bright, warm + bright])
        bias = [_GAIN * _WARM, -_GAIN * _WARM + 20.0, -_GAIN * _WARM - 20.0]
        logits = net.op("Conv", colours, net.const(rows.reshape(3, 3, 1, 1)), net.const(bias))
        logits = net.op("Div", logits, net.doubt(colours))
        coarse = net.op("AveragePool", logits, kernel_shape=[4, 4], strides=[4, 4])
        net.op("Conv", coarse, net.const(np.eye(3).reshape(3, 3, 1, 1)), out="logits")
        height, width = (edge // 4 if isinstance(edge, int) else f"{edge}_4" for edge in self.size)
        return {"logits": (1, 3, height, width)}


CLASSES = {0: "background", 1: "hair", 2: "skin"}
"""Of the repository `labels`: hair is the dark part of the subject."""


def _encoder_decoder(path: Path) -> Path:
    """Halves five times and doubles five times: sizes that are no multiples of 32 fail at a skip, as MODNet's do."""
    net = _Net()
    logit = net.logit(net.colours("input", *HALF_HALF))
    skips = [logit]
    for _ in range(5):
        skips.append(net.op("AveragePool", skips[-1], kernel_shape=[2, 2], strides=[2, 2]))
    fine = skips.pop()
    scales = net.const([1, 1, 2, 2], np.float32)
    for skip in reversed(skips):
        up = net.op("Resize", fine, "", scales, mode="linear")
        fine = net.op("Add", net.op("Mul", up, net.const(0.2)), net.op("Mul", skip, net.const(0.8)))
    net.op("Sigmoid", fine, out="output")
    shape: Shape = ("batch_size", 3, "height", "width")
    return net.write(
        path,
        {"input": (TensorProto.FLOAT, shape)},
        {"output": (TensorProto.FLOAT, ("batch_size", 1, "height", "width"))},
    )


def _preprocessor(normalisation: Normalisation = IMAGENET, size: Any = None, **more: Any) -> dict[str, Any]:
    mean, std = normalisation
    return {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "ImageFeatureExtractor",
        "image_mean": list(mean),
        "image_std": list(std),
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": size or {"height": 128, "width": 128},
    } | more


_RAW: dict[str, Any] = {"do_rescale": False, "do_normalize": False}


def _input(normalisation: Normalisation = IMAGENET, **more: Any) -> InputSpec:
    mean, std = normalisation
    return InputSpec(**{"mean": mean, "std": std, "size": (128, 128), **more})


_SIGMOID = OutputSpec(kind="logits", activation="sigmoid")


def _repository(
    name: str,
    build: Callable[[Path], Path],
    input_: InputSpec,
    output: OutputSpec | None = None,
    preprocessor: dict[str, Any] | None = None,
    **config: Any,
) -> Repository:
    return Repository(
        name,
        Contract(input=input_, output=output or OutputSpec()),
        preprocessor or _preprocessor(),
        {"model_type": "modnet"} | config,
        build,
    )


def _all() -> list[Repository]:
    plain = _Plain
    softmax = OutputSpec(kind="logits", activation="softmax", channel=1)
    return [
        _repository("imagenet", plain(), _input()),
        _repository("half_unit", plain(HALF_UNIT), _input(HALF_UNIT), preprocessor=_preprocessor(HALF_UNIT)),
        _repository("half_half", plain(HALF_HALF), _input(HALF_HALF), preprocessor=_preprocessor(HALF_HALF)),
        _repository("unit", plain(UNIT), _input(UNIT), preprocessor=_preprocessor(do_normalize=False)),
        _repository("nhwc", plain(nhwc=True, input_name="image"), _input(layout="NHWC")),
        _repository(
            "bgr", plain(bgr=True), _input(channels="BGR"), preprocessor=_preprocessor(do_flip_channel_order=True)
        ),
        _repository("float16", plain(kind=TensorProto.FLOAT16), _input(dtype="float16")),
        _repository(
            "uint8",
            plain(kind=TensorProto.UINT8, inside=IMAGENET, inside_scale=True, input_name="image"),
            _input(UNIT, dtype="uint8", scale=1.0),
            preprocessor=_preprocessor(**_RAW),
        ),
        _repository("logits", plain(finish="logits", output_name="logits"), _input(), _SIGMOID),
        _repository(
            "softmax_background_first",
            plain(finish="background_first", output_name="planes"),
            _input(),
            softmax,
            id2label={"0": "background", "1": "person"},
        ),
        _repository(
            "softmax_background_last",
            plain(finish="background_last", output_name="planes"),
            _input(),
            OutputSpec(kind="logits", activation="softmax", channel=0),
            id2label={"0": "person", "1": "background"},
        ),
        _repository(
            "labels",
            plain(finish="labels"),
            _input(),
            OutputSpec(kind="labels", activation="softmax", classes=CLASSES),
            _preprocessor(feature_extractor_type="SegformerFeatureExtractor"),
            model_type="segformer",
            architectures=["SegformerForSemanticSegmentation"],
            id2label={str(number): name.capitalize() for number, name in CLASSES.items()},
        ),
        _repository("several_outputs", plain(finish="several", input_name="input.1"), _input()),
        _repository("mask_second", plain(finish="second"), _input(), OutputSpec(index=1)),
        _repository(
            "multiple_of_32",
            _encoder_decoder,
            _input(HALF_HALF, size=128, dynamic=True, multiple_of=32, resize="fit_short"),
            preprocessor=_preprocessor(HALF_HALF, {"shortest_edge": 128}, size_divisibility=32),
        ),
        _repository(
            "letterbox",
            plain(),
            _input(resize="letterbox_topleft", pad_value="mean"),
            preprocessor=_preprocessor(size={"longest_edge": 128}, do_pad=True, pad_size={"height": 128, "width": 128}),
        ),
        _repository(
            "normalised_inside",
            plain(inside=IMAGENET, inside_scale=True, input_name="image"),
            _input(UNIT, scale=1.0),
            preprocessor=_preprocessor(**_RAW),
        ),
        _repository(
            "normalised_inside_unit",
            plain(inside=IMAGENET, input_name="image"),
            _input(UNIT),
            preprocessor=_preprocessor(do_normalize=False),
        ),
        _repository(
            "levels",
            plain(levels=True),
            _input(UNIT, scale=1.0),
            preprocessor=_preprocessor(**_RAW),
        ),
    ]


REPOSITORIES: dict[str, Repository] = {repository.name: repository for repository in _all()}
"""By name."""


def write_repository(name: str, folder: Path, *, declared: bool = True) -> Path:
    """A folder as on the Hub: onnx/model.onnx, README.md and, if declared, the two configuration files."""
    repository = REPOSITORIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    repository.build(folder / "onnx" / "model.onnx")
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\npipeline_tag: image-segmentation\ntags: [onnx]\n---\n# Tiny\n", encoding="utf-8"
    )
    if declared:
        for file, content in (
            ("preprocessor_config.json", repository.preprocessor),
            ("config.json", repository.config),
        ):
            (folder / file).write_text(json.dumps(content, indent=2), encoding="utf-8")
    return folder


_NAMES = {"input": {"name"}, "output": {"name"}}


def differences(contract: Contract, truth: Contract) -> tuple[str, ...]:
    """The keys, such as "input.mean", in which a contract differs from the true one; names do not count."""
    given, true = (each.model_dump(exclude=_NAMES) for each in (contract, truth))
    return tuple(
        f"{section}.{key}"
        for section in ("input", "output")
        for key, value in true[section].items()
        if not _same(given[section][key], value)
    )


def _same(given: Any, true: Any) -> bool:
    if isinstance(true, tuple) and isinstance(given, tuple) and len(given) == len(true):
        return all(_same(one, other) for one, other in zip(given, true, strict=True))
    return abs(given - true) < 1e-4 if isinstance(given, float) and isinstance(true, float) else bool(given == true)


def scene(seed: int = 0, size: tuple[int, int] = (240, 320)) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A picture of a warm figure, with dark hair, before a cold cluttered background; and its true mask, 0 or 255."""
    random = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width] / min(size)
    middle, top = width / min(size) / 2 + random.uniform(-0.1, 0.1), random.uniform(0.32, 0.42)
    head = ((x - middle) / 0.15) ** 2 + ((y - top) / 0.19) ** 2 < 1
    shoulders = ((x - middle) / 0.33) ** 2 + ((y - top - 0.62) / 0.42) ** 2 < 1
    hair = head & (y < top - 0.06)
    figure = head | shoulders
    texture = ndimage.gaussian_filter(random.normal(size=(height, width)), 1.5)[..., None] * 0.12
    clutter = ndimage.gaussian_filter(random.normal(size=(height, width, 3)), (12, 12, 0))
    clutter = 0.14 * clutter / np.abs(clutter).max()
    cold = np.array([0.25, 0.45, 0.6]) + 0.25 * (y[..., None] - 0.5) * np.array([1.0, 0.8, 0.6]) + clutter
    bright = 0.85 + 0.1 * np.sin(3 * x)[..., None]
    warm = np.where(hair[..., None], [0.52, 0.28, 0.06], np.array([0.98, 0.68, 0.38]) * bright)
    edge = ndimage.gaussian_filter(figure.astype(float), 0.7)[..., None]
    picture = warm * edge + cold * (1 - edge) + texture
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8), np.where(figure, 255, 0).astype(np.uint8)
