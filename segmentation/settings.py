"""A picture's settings, with the names and defaults of the ComfyUI node *ImageSegmentationCustom*, and more.

This is the only place that defines a setting's default, range, choices and help. The page, the API, the command line
and the README read them from `FIELDS`, `RANGES`, `CHOICES` and `help_text`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from annotated_types import Ge, GroupedMetadata, Le
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from segmentation.errors import SettingsError
from segmentation.messages import Message

MAX_ERODE_SIZE = 500  # pixels
MIN_SIZE, MAX_SIZE = 32, 4096  # edge of the network's input in pixels; a model may allow less
MAX_CONTRACT = 500  # characters
MAX_CLASSES = 500
NETWORK_SETTINGS = ("mean", "std", "size", "contract")
"""Settings that belong to one network: to change them, it must be run again."""
OUTPUT_ENDINGS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}

Method = Literal["fast", "closed-form", "knn", "lbdm", "rw", "lkm"]
MaskMode = Literal["replace", "add", "subtract", "intersect"]
Subjects = Literal["all", "each", "largest"]
Background = Literal["transparent", "picture", "blur", "mask"]  # or a colour
BACKGROUNDS: tuple[Background, ...] = get_args(Background)
Canvas = Literal["none"]  # or its shape, or its size
Shadow = Literal["none", "drop", "contact", "both"]
MIN_CANVAS, MAX_CANVAS = 16, 7000  # pixels a side
MAX_EDGE = 30_000  # pixels
MAX_CANVAS_RATIO = 10  # of the longer side to the shorter one
MAX_MARGIN = 45.0  # percent of the canvas, so that two opposite ones leave some of it
EachOrAll = Literal["each", "all"]
EACH_OR_ALL: tuple[EachOrAll, ...] = get_args(EachOrAll)
Classes = EachOrAll | tuple[str, ...]
"""Which classes become cutouts: each a cutout of its own, all joined into one, or these joined into one."""

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Range(GroupedMetadata):
    """The range of a number, and the step of its slider."""

    low: float
    high: float
    step: float = 1
    useful: float | None = None
    """Where the slider ends, if below `high`. Typed and linked values may still go up to `high`."""

    def __iter__(self) -> Iterator[object]:
        """The range as pydantic constraints."""
        return iter((Ge(self.low), Le(self.high)))


def _short_repr(value: object) -> str:
    return repr(value)[:60]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value  # JSON and sliders give 10.0 for 10


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    if len(value) != 2:
        raise SettingsError(
            Message("size must be one number or height and width, not {value}.", value=_short_repr(value))
        )
    return tuple(value)


def _levels(value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    levels = tuple(value) if isinstance(value, list | tuple) else (value,)
    try:
        return check(levels[0] if len(levels) == 1 else levels)
    except ValidationError as error:
        out_of_range = any(wrong["type"].endswith("than_equal") for wrong in error.errors())
        raise SettingsError(
            Message(
                "{setting} must be ordinary numbers between -1000 and 1000, not {value}."
                if out_of_range
                else "{setting} must be one number or three (red, green, blue), not {value}.",
                setting=info.field_name,
                value=_short_repr(value),
            )
        ) from None


def _background(value: object) -> object:
    if value in BACKGROUNDS or (colour := _hex(value) or _translucent(value)):
        return value if value in BACKGROUNDS else colour
    raise SettingsError(
        Message(
            "background must be {backgrounds} or a colour such as #ffffff, not {value}.",
            backgrounds=", ".join(BACKGROUNDS),
            value=_short_repr(value),
        )
    )


def _colour(value: object, info: ValidationInfo) -> object:
    if colour := _hex(value):
        return colour
    raise SettingsError(
        Message(
            "{setting} must be a colour such as #ffffff, not {value}.",
            setting=info.field_name,
            value=_short_repr(value),
        )
    )


def _hex(value: object) -> str | None:
    """#rrggbb from any notation that people and colour pickers use: #f00, rgb(255, 0, 0), rgba(255, 0, 0, 1)."""
    text = value.strip().lower() if isinstance(value, str) and len(value) < 60 else ""
    if short := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", text):
        return "#" + "".join(digit * 2 for digit in short.groups())
    if re.fullmatch(r"#[0-9a-f]{6}", text):
        return text
    if parts := re.fullmatch(r"rgba?\(([\d.]+), ?([\d.]+), ?([\d.]+)(?:, ?1(?:\.0*)?)?\)", text):
        levels = [float(part) for part in parts.groups() if part.count(".") < 2 and part != "."]
        if len(levels) == 3 and max(levels) <= 255:
            return "#" + "".join(f"{round(level):02x}" for level in levels)
    return None


def _translucent(value: object) -> str | None:
    """#rrggbbaa from #rrggbbaa or #rgba."""
    text = value.strip().lower() if isinstance(value, str) and len(value) < 60 else ""
    if short := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])([0-9a-f])", text):
        return "#" + "".join(digit * 2 for digit in short.groups())
    return text if re.fullmatch(r"#[0-9a-f]{8}", text) else None


def _canvas(value: object) -> object:
    """Such as "4:5" for a shape, "1000x1500" for a size; one number is the size of a square."""
    text = "".join(str(value).lower().split())[:40] if type(value) in (str, int) else ""
    if text in ("", "none") and isinstance(value, str):
        return "none"
    if shape := re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,4})?):([0-9]{1,4}(?:\.[0-9]{1,4})?)", text):
        across, down = map(float, shape.groups())
        if 0 < max(across, down) <= MAX_CANVAS_RATIO * min(across, down):
            return text
    elif sides := re.fullmatch(r"([0-9]{1,6})(?:[x×]([0-9]{1,6}))?", text):
        width, height = int(sides[1]), int(sides[2] or sides[1])
        if MIN_CANVAS <= min(width, height) <= max(width, height) <= MAX_CANVAS:
            return f"{width}x{height}"
    raise SettingsError(
        Message(
            "{setting} must be none, a shape such as 4:5 (at most {ratio}:1), or width x height such as 1000x1500 "
            "({low} to {high} pixels each), not {value}.",
            setting="canvas", ratio=MAX_CANVAS_RATIO, low=MIN_CANVAS, high=MAX_CANVAS, value=_short_repr(value),
        )
    )  # fmt: skip


def _margins(value: object, check: ValidatorFunctionWrapHandler) -> object:
    margins = tuple(value) if isinstance(value, list | tuple) else (value,)
    try:
        return check(margins[0] if len(margins) == 1 else margins)
    except ValidationError:
        raise SettingsError(
            Message(
                "{setting} must be one number from 0 to {high:g}, or four (top, right, bottom, left), not {value}.",
                setting="canvas_margin",
                high=MAX_MARGIN,
                value=_short_repr(value),
            )
        ) from None


def _pairs(value: object) -> object:
    if isinstance(value, str) and len(value) <= MAX_CONTRACT and re.fullmatch(r"\s*(\w+=[^\s=]+(\s+|$))*", value):
        return " ".join(value.split())
    raise SettingsError(
        Message(
            "contract must be pairs such as 'scale=255 mean=0.5,0.5,0.5 activation=sigmoid', not {value}.",
            value=_short_repr(value),
        )
    )


def _classes(value: object) -> Classes:
    """Different names in alphabetical order, so that what means the same is the same; nothing means each."""
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, list | tuple) and len(parts) <= MAX_CLASSES and all(isinstance(part, str) for part in parts):
        names = sorted({name for part in parts if (name := "-".join(part.lower().split()))})
        if names in ([], ["each"]):
            return "each"
        if all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) for name in names) and "each" not in names:
            return "all" if "all" in names else tuple(names)
    raise SettingsError(
        Message(
            "{setting} must be each, all, or names of classes such as hair,hat, not {value}.",
            setting="classes",
            value=_short_repr(value),
        )
    )


def _model_id(value: object) -> object:
    if value is None or (isinstance(value, str) and re.fullmatch(r"(?:[a-z0-9][a-z0-9._-]{0,63})?", value)):
        return value or ""
    raise SettingsError(
        Message(
            "{setting} must be the id of a model that takes clicks, such as slimsam-77, or empty, not {value}.",
            setting="prompt_model", value=_short_repr(value),
        )
    )  # fmt: skip


WHOLE = BeforeValidator(_whole)
Edge = Annotated[int, Range(MIN_SIZE, MAX_SIZE), WHOLE]
Level = Annotated[float, Range(-1000.0, 1000.0)]
Percent = Annotated[float, Range(0.0, MAX_MARGIN)]
Margins = Annotated[Percent | tuple[Percent, Percent, Percent, Percent], WrapValidator(_margins)]
Colour = Annotated[str, BeforeValidator(_colour)]
Levels = Annotated[Level | tuple[Level, Level, Level] | None, WrapValidator(_levels)]

_SENTENCES = {
    "bool_type": Message("{setting} must be true or false, not {value}."),
    "literal_error": Message("{setting} must be {listed} or {choices}, not {value}."),
    "float_type": Message("{setting} must be a number from {low:g} to {high:g}, not {value}."),
    "int_type": Message("{setting} must be a whole number from {low} to {high}{or_else}, not {value}."),
    "greater_than_equal": Message("{setting} must lie between {low} and {high}, not {value}."),
    "less_than_equal": Message("{setting} must lie between {low} and {high}, not {value}."),
}
"""Type of pydantic's error -> sentence."""


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="wrap")
    @classmethod
    def _in_a_sentence(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return check(values)
        except ValidationError as error:
            wrong = max(error.errors(), key=lambda each: len(each["loc"]))  # the union member that fits best
            name, kind = str(next(iter(wrong["loc"]), "")), wrong["type"]
            if name not in cls.model_fields:  # a bug in the caller
                raise
            facts: dict[str, Any] = {"setting": name, "value": _short_repr(wrong["input"])}
            named = CHOICES.get(name, ())
            if range_ := RANGES.get(name):
                kind = "float_type" if isinstance(range_.low, float) else kind
                facts |= {"low": range_.low, "high": range_.high, "or_else": Message(" or auto") if named else ""}
            elif named:
                facts |= {"listed": ", ".join(named[:-1]), "choices": named[-1]}
            raise SettingsError(Message(_SENTENCES[kind], **facts)) from None


class Settings(_Checked):
    """How a picture is segmented and matted.

    Raises:
        SettingsError: A value is out of range, or the thresholds cross.
    """

    alpha_matting: bool = True
    """Solve for the opacity of the pixels around the outline (hair, fur, blur)."""
    alpha_matting_foreground_threshold: Annotated[int, Range(0, 255), WHOLE] = 240
    """Mask values above this (0 to 255) are certainly subject."""
    alpha_matting_background_threshold: Annotated[int, Range(0, 255), WHOLE] = 20
    """Mask values below this (0 to 255) are certainly background."""
    alpha_matting_erode_size: Annotated[int, Range(0, MAX_ERODE_SIZE, useful=100), WHOLE] | Literal["auto"] = 10
    """Pixels to shrink both certain regions by; what lies between is solved. 'auto' fits the picture and the model."""
    matting_method: Method = "fast"
    """'fast' solves at one megapixel and upsamples the result; 'closed-form' solves every pixel, like rembg. 'knn',
    'lbdm', 'rw' and 'lkm' are PyMatting's: from colours and trimap alone, at a quarter of a megapixel at most."""
    trust_mask: Annotated[float, Range(0.0, 1.0, step=0.001, useful=0.1)] = 0.003
    """How much the mask counts where the outline is solved: 0 is not at all (classic matting), 0.1 almost entirely."""
    post_process_mask: bool = False
    """Remove specks, smooth the outline and make the mask binary."""
    decontaminate: bool = False
    """Remove the old background's colour from the edges even without matting; matting always does it."""
    invert: bool = False
    """Cut out the background instead of the subject."""
    mask_mode: MaskMode = "replace"
    """How a mask of your own joins the model's: 'replace' uses yours alone, and no model; 'add' takes what either has,
    'subtract' removes yours from the model's, and 'intersect' takes what both have."""
    subjects: Subjects = "all"
    """Subjects that do not touch each other: 'all' in one cutout, 'each' in a cutout of its own, by size, or only the
    'largest'."""
    prompt_model: Annotated[str, BeforeValidator(_model_id)] = ""
    """Id of a model that cuts out what it is pointed at, such as 'slimsam-77': clicks and boxes restrict the answer to
    what it finds there. Empty: they choose among the subjects that were found."""
    classes: Annotated[Classes, BeforeValidator(_classes)] = "each"
    """Classes to join into one cutout, such as hair,hat; 'all' joins everything but the background, 'each' makes a
    cutout of every class found. For models that tell classes apart."""
    mean: Levels = None
    """Subtracted from the scaled colours: one number, or red, green, blue. Empty: the model's own."""
    std: Levels = None
    """The colours are divided by this: one number, or red, green, blue. Empty: the model's own."""
    size: Annotated[Edge | tuple[Edge, Edge] | None, BeforeValidator(_pair)] = None
    """Size of the network's input in pixels: one number, or height x width. Empty: the model's own."""
    contract: Annotated[str, BeforeValidator(_pairs)] = ""
    """How to use a model without a registry entry, in the registry's keys, such as 'scale=255 activation=sigmoid'.
    Empty: as proposed by its inspection."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.alpha_matting_background_threshold >= self.alpha_matting_foreground_threshold:
            raise SettingsError(
                Message(
                    "alpha_matting_background_threshold ({alpha_matting_background_threshold}) must be below "
                    "alpha_matting_foreground_threshold ({alpha_matting_foreground_threshold}).",
                    alpha_matting_background_threshold=self.alpha_matting_background_threshold,
                    alpha_matting_foreground_threshold=self.alpha_matting_foreground_threshold,
                )
            )
        if 0.0 in (self.std if isinstance(self.std, tuple) else (self.std,)):
            raise SettingsError(Message("std must not be 0: the colours are divided by it."))
        return self


class Export(_Checked):
    """How a cutout is written: background, crop or canvas, outline, shadow, and the file itself.

    Raises:
        SettingsError: A value is out of range.
    """

    background: Annotated[Background | str, BeforeValidator(_background)] = "transparent"
    """What lies behind the subject: 'transparent', a colour such as '#ffffff' or '#ffffff80' (translucent), 'picture'
    (the backdrop), 'blur' (its own background out of focus), or 'mask' for only the alpha, as a grey picture."""
    background_fit: Literal["fill", "fit"] = "fill"
    """'fill' covers everything with the backdrop and crops it; 'fit' shows all of it."""
    background_blur: Annotated[float, Range(0.1, 20.0, step=0.1)] = 2.0
    """Strength of the blur, in percent of the picture's longer side."""
    crop: bool = False
    """Crop to the subject with its outline and shadow. A canvas does without."""
    crop_margin: Annotated[float, Range(0.0, 100.0)] = 5.0
    """Margin around the cropped subject, in percent of its longer side."""
    canvas: Annotated[Canvas | str, BeforeValidator(_canvas)] = "none"
    """Put the subject on a canvas: its shape such as '4:5', or its width x height in pixels such as '1000x1500'. 'none'
    leaves it in the picture."""
    canvas_fill: Annotated[float, Range(1.0, 200.0, useful=100)] = 85.0
    """Share of the canvas's width or height that the subject fills, in percent; above 100 it is cropped."""
    canvas_align: Literal["box", "mass", "bottom"] = "box"
    """'box' centres the subject's outermost edges, 'mass' its centre of mass; 'bottom' stands all subjects on one
    line."""
    canvas_margin: Margins = 0.0
    """Margins to keep free besides, in percent of the canvas's width or height: one number, or top, right, bottom,
    left."""
    outline_width: Annotated[float, Range(0.0, 20.0, step=0.1, useful=5)] = 0.0
    """Width of an outline around the subject, as on a sticker, in percent of its longer side; 0 is none."""
    outline_colour: Colour = "#ffffff"
    """Colour of the outline, such as '#ffffff'."""
    shadow: Shadow = "none"
    """'none', 'drop' (falls behind the subject), 'contact' (lies under it, where it touches the ground), or 'both'."""
    shadow_angle: Annotated[float, Range(0.0, 360.0)] = 60.0
    """Where the drop shadow falls, in degrees: 0 is right, 90 is down, 180 is left."""
    shadow_distance: Annotated[float, Range(0.0, 50.0, step=0.1, useful=20)] = 3.0
    """How far the drop shadow falls, in percent of the subject's longer side."""
    shadow_blur: Annotated[float, Range(0.0, 20.0, step=0.1, useful=10)] = 2.5
    """Softness of the shadow, in percent of the subject's longer side."""
    shadow_opacity: Annotated[float, Range(0.0, 100.0)] = 50.0
    """Opacity of the shadow, in percent."""
    format: Literal["png", "webp", "jpeg"] = "png"
    """'png' and 'webp' are lossless; 'jpeg' is small and has no transparency."""
    max_edge: Annotated[int, Range(0, MAX_EDGE), WHOLE] = 0
    """The most pixels on the file's longer side; larger ones are scaled down. 0 is no limit."""
    max_kb: Annotated[int, Range(0, 100_000), WHOLE] = 0
    """The most kB that a JPEG or WebP may have; its quality is lowered as far as needed, and WebP is lossless only if
    that fits. 0 is no limit."""

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """The colour behind the subject as red, green, blue, 0..255; None if the background is not a colour.

        A translucent one is put on white in a JPEG.
        """
        if not self.background.startswith("#"):
            return None
        red, green, blue = rgb_of(self.background)
        if self.format != "jpeg" or len(self.background) == 7:
            return red, green, blue
        share = int(self.background[7:], 16) / 255
        red, green, blue = (round(share * level + (1 - share) * 255) for level in (red, green, blue))
        return red, green, blue

    @property
    def colour_opacity(self) -> int | None:
        """Opacity of that colour, 0..255; None if the file has no alpha channel for it."""
        translucent = self.colour is not None and len(self.background) == 9 and self.format != "jpeg"
        return int(self.background[7:], 16) if translucent else None

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """The margins of the canvas: top, right, bottom, left, in percent."""
        return self.canvas_margin if isinstance(self.canvas_margin, tuple) else (self.canvas_margin,) * 4

    @property
    def ending(self) -> str:
        """The file name's extension."""
        return {"jpeg": ".jpg"}.get(self.format, f".{self.format}")


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Red, green, blue (0..255) of #rrggbb or #rrggbbaa."""
    red, green, blue = bytes.fromhex(colour[1:7])
    return red, green, blue


def _annotated(type_: Any) -> Iterator[Any]:
    for part in get_args(type_):
        yield part
        yield from _annotated(part)


FIELDS = Settings.model_fields | Export.model_fields
"""Every setting, in the order used by the page, the API and the README."""
_PARTS = {name: [*field.metadata, *_annotated(field.annotation)] for name, field in FIELDS.items()}
RANGES = {name: part for name, parts in _PARTS.items() for part in parts if isinstance(part, Range)}
CHOICES = {name: named for name, parts in _PARTS.items() if (named := tuple(p for p in parts if isinstance(p, str)))}


def help_text(name: str) -> str:
    """The description of a setting, for the page and the command line."""
    return " ".join((FIELDS[name].description or "").split())


def with_values(model: _Model, **values: Any) -> _Model:
    """A validated copy of the settings with these values replaced; what was left at its default stays unset.

    Raises:
        SettingsError: As in the constructor.
    """
    return type(model)(**({name: getattr(model, name) for name in model.model_fields_set} | values))


def parse_numbers(name: str, text: str | None) -> float | tuple[float, ...] | None:
    """Parse "0.5" as 0.5, "0.485, 0.456, 0.406" as a triple and "" as None; decimal commas are accepted.

    Raises:
        SettingsError: The text is not a list of numbers.
    """
    parts = _parts((text or "").strip(" ,;[]()"))
    if parts == [""]:
        return None
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError as error:
        raise SettingsError(
            Message(
                "{setting} must be one number or three (red, green, blue), not {text}.",
                setting=name,
                text=_short_repr(text),
            )
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def _parts(text: str) -> list[str]:
    """The numbers in a text, with decimal points. No setting takes two numbers or six, so 0,485 is one."""
    if "." in text or "," not in text:
        return re.split(r"[,;\s]+", text)
    if re.search(r"[;\s]", text):
        parts = [part.strip(",") for part in re.split(r"[;\s]+", text)]
        return [part.replace(",", ".", 1) for part in parts if part]
    digits = text.split(",")
    if len(digits) in (2, 6):
        return [".".join(pair) for pair in zip(digits[::2], digits[1::2], strict=True)]
    return digits


def parse_size(text: str | None) -> int | tuple[int, ...] | None:
    """Parse "512" as 512, "512x768" as (512, 768), which is (height, width), and "" as None.

    Raises:
        SettingsError: The text is not one or more whole numbers.
    """
    stripped = (text or "").strip(" []()")
    if not stripped:
        return None
    try:
        numbers = tuple(int(part) for part in re.split(r"[x×,;\s]+", stripped.lower()))
    except ValueError as error:
        raise SettingsError(
            Message("size must be one number, or height x width, not {text}.", text=_short_repr(text))
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers
