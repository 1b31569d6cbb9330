"""What a visitor can turn: names and defaults of the ComfyUI node *ImageSegmentationCustom* and more, checked once."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from segmentation.errors import SettingsError
from segmentation.messages import Message

MAX_ERODE_SIZE = 500  # pixels
MATTING_METHODS = ("fast", "closed-form")
BACKGROUNDS = ("transparent", "picture", "blur", "mask")  # or a colour
FITS = ("fill", "fit")
FORMATS = ("png", "webp", "jpeg")
OUTPUT_ENDINGS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
MIN_SIZE, MAX_SIZE = 32, 4096  # edge of the network's input in pixels; a model may allow less


def _setting(default: Any, help_: str) -> Any:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a picture is segmented and matted. Every field is checked when it is made, and carries its help text.

    Raises:
        SettingsError: A value is out of its range, or the thresholds cross.
    """

    alpha_matting: bool = _setting(True, "Solve for the opacity of the pixels around the outline (hair, fur, blur)")
    alpha_matting_foreground_threshold: int = _setting(240, "Mask values above it (0 to 255) are certainly subject")
    alpha_matting_background_threshold: int = _setting(20, "Mask values below it (0 to 255) are certainly background")
    alpha_matting_erode_size: int | Literal["auto"] = _setting(
        10,
        "Pixels by which both certain regions shrink; what is between is solved. 'auto' fits picture and model",
    )
    matting_method: Literal["fast", "closed-form"] = _setting(
        "fast",
        "'fast' solves at a megapixel and carries the answer up, 'closed-form' solves every pixel, as rembg",
    )
    trust_mask: float = _setting(
        0.003, "What the mask has to say where the outline is solved: 0 is nothing (classic matting), 0.1 is nearly all"
    )
    post_process_mask: bool = _setting(False, "Remove specks, smooth the outline and make the mask yes or no")
    decontaminate: bool = _setting(
        False, "Clean the old background's colour off the edges without matting too; with matting it is always done"
    )
    mean: float | tuple[float, float, float] | None = _setting(
        None, "Subtracted from the scaled colours: one number, or red, green, blue. Empty: the model's own"
    )
    std: float | tuple[float, float, float] | None = _setting(
        None, "The colours are divided by it: one number, or red, green, blue. Empty: the model's own"
    )
    size: int | tuple[int, int] | None = _setting(
        None, "Pixels of the network's input: one number, or height x width. Empty: the model's own"
    )

    def __post_init__(self) -> None:
        for name in ("alpha_matting", "post_process_mask", "decontaminate"):
            _check_switch(name, getattr(self, name))
        set_ = object.__setattr__  # the dataclass is frozen; this is where its values get their final types
        for name in ("alpha_matting_foreground_threshold", "alpha_matting_background_threshold"):
            set_(self, name, _whole(name, getattr(self, name), 0, 255))
        name = "alpha_matting_erode_size"
        if self.alpha_matting_erode_size != "auto":
            set_(self, name, _whole(name, self.alpha_matting_erode_size, 0, MAX_ERODE_SIZE, Message(" or auto")))
        _check_choice("matting_method", self.matting_method, MATTING_METHODS)
        set_(self, "trust_mask", _number("trust_mask", self.trust_mask, 0, 1))
        if self.alpha_matting_background_threshold >= self.alpha_matting_foreground_threshold:
            raise SettingsError(
                Message(
                    "alpha_matting_background_threshold ({alpha_matting_background_threshold}) must be below "
                    "alpha_matting_foreground_threshold ({alpha_matting_foreground_threshold}).",
                    alpha_matting_background_threshold=self.alpha_matting_background_threshold,
                    alpha_matting_foreground_threshold=self.alpha_matting_foreground_threshold,
                )
            )
        set_(self, "mean", _one_or_three("mean", self.mean))
        set_(self, "std", _one_or_three("std", self.std))
        if self.std is not None and 0.0 in (self.std if isinstance(self.std, tuple) else (self.std,)):
            raise SettingsError(Message("std must not be 0: the colours are divided by it."))
        set_(self, "size", _size(self.size))


@dataclass(frozen=True, slots=True)
class Export:
    """How a cutout is written: what lies behind the subject, which part of it, in which format. Checked as `Settings`.

    Raises:
        SettingsError: A value is out of its range.
    """

    background: str = _setting(
        "transparent",
        "What lies behind the subject: 'transparent', a colour such as '#ffffff', 'picture' (the backdrop), 'blur' (its"
        " own background out of focus), or 'mask' for the alpha alone as a grey picture",
    )
    background_fit: Literal["fill", "fit"] = _setting(
        "fill", "'fill' covers everything with the backdrop and crops it, 'fit' shows all of it"
    )
    background_blur: float = _setting(2.0, "How far out of focus, in percent of the picture's longer side")
    format: Literal["png", "webp", "jpeg"] = _setting(
        "png", "'png' and 'webp' are lossless, 'jpeg' is small and holds no transparency"
    )
    crop: bool = _setting(False, "Crop to the subject")
    crop_margin: float = _setting(5.0, "Room around a cropped subject, in percent of its longer side")

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if self.background not in BACKGROUNDS:
            set_(self, "background", _hex_colour(self.background))
        _check_choice("background_fit", self.background_fit, FITS)
        set_(self, "background_blur", _number("background_blur", self.background_blur, 0.1, 20))
        _check_choice("format", self.format, FORMATS)
        _check_switch("crop", self.crop)
        set_(self, "crop_margin", _number("crop_margin", self.crop_margin, 0, 100))

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """The colour behind the subject as red, green, blue, 0..255; None where it is something else."""
        if not self.background.startswith("#"):
            return None
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue

    @property
    def ending(self) -> str:
        """Of the file's name."""
        return {"jpeg": ".jpg"}.get(self.format, f".{self.format}")


def _shown(value: object) -> str:
    return repr(value)[:60]


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SettingsError(Message("{setting} must be true or false, not {value}.", setting=name, value=_shown(value)))


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        listed = ", ".join(choices[:-1])
        raise SettingsError(
            Message(
                "{setting} must be {listed} or {choices}, not {value}.",
                setting=name,
                listed=listed,
                choices=choices[-1],
                value=_shown(value),
            )
        )


def _number(name: str, value: object, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(
            Message(
                "{setting} must be a number from {low:g} to {high:g}, not {value}.",
                setting=name,
                low=low,
                high=high,
                value=_shown(value),
            )
        )
    return float(value)


def _hex_colour(value: object) -> str:
    """A colour as people and colour pickers write it (#f00, #ff0000, rgb(255, 0, 0), rgba(255, 0, 0, 1)): #rrggbb."""
    text = value.strip().lower() if isinstance(value, str) and len(value) < 60 else ""
    if short := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", text):
        return "#" + "".join(digit * 2 for digit in short.groups())
    if re.fullmatch(r"#[0-9a-f]{6}", text):
        return text
    if parts := re.fullmatch(r"rgba?\(([\d.]+), ?([\d.]+), ?([\d.]+)(?:, ?1(?:\.0*)?)?\)", text):
        levels = [float(part) for part in parts.groups() if part.count(".") < 2 and part != "."]
        if len(levels) == 3 and max(levels) <= 255:
            return "#" + "".join(f"{round(level):02x}" for level in levels)
    raise SettingsError(
        Message(
            "background must be {backgrounds} or a colour such as #ffffff, not {value}.",
            backgrounds=", ".join(BACKGROUNDS),
            value=_shown(value),
        )
    )


def _whole(name: str, value: object, low: int, high: int, or_else: str = "") -> int:
    # JSON and sliders give 10.0 for 10; a bool is an int to Python but not to a person
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingsError(
            Message(
                "{setting} must be a whole number from {low} to {high}{or_else}, not {value}.",
                setting=name,
                low=low,
                high=high,
                or_else=or_else,
                value=_shown(value),
            )
        )
    if not low <= value <= high:
        raise SettingsError(
            Message(
                "{setting} must lie between {low} and {high}, not {value}.",
                setting=name,
                low=low,
                high=high,
                value=_shown(value),
            )
        )
    return value


def _one_or_three(name: str, value: object) -> float | tuple[float, float, float] | None:
    if value is None:
        return None
    parts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [
        float(n) if abs(n) < 1e9 else math.inf for n in parts if isinstance(n, int | float) and not isinstance(n, bool)
    ]
    if len(numbers) not in (1, 3) or len(numbers) != len(parts):
        raise SettingsError(
            Message(
                "{setting} must be one number or three (red, green, blue), not {value}.",
                setting=name,
                value=_shown(value),
            )
        )
    if not all(math.isfinite(n) and abs(n) <= 1000 for n in numbers):
        raise SettingsError(
            Message(
                "{setting} must be ordinary numbers between -1000 and 1000, not {value}.",
                setting=name,
                value=_shown(value),
            )
        )
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1], numbers[2])


def _size(value: object) -> int | tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise SettingsError(
                Message("size must be one number or height and width, not {value}.", value=_shown(value))
            )
        return _whole("size", value[0], MIN_SIZE, MAX_SIZE), _whole("size", value[1], MIN_SIZE, MAX_SIZE)
    return _whole("size", value, MIN_SIZE, MAX_SIZE)


def help_text(name: str) -> str:
    """What a setting does, for the page and the command line."""
    text: str = next(entry.metadata["help"] for entry in (*fields(Settings), *fields(Export)) if entry.name == name)
    return f"{text}."


# ------------------------------------------------------------------- what people type, on the page and the command line


def parse_numbers(name: str, text: str | None) -> float | tuple[float, ...] | None:
    """Read "0.5" as 0.5, "0.485, 0.456, 0.406" as a triple and "" as None; decimal commas are understood.

    Raises:
        SettingsError: The text holds something else than numbers.
    """
    parts = _parts((text or "").strip(" ,;[]()"))
    if parts == [""]:
        return None
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError as error:
        raise SettingsError(
            Message(
                "{setting} must be one number or three (red, green, blue), not {text}.", setting=name, text=_shown(text)
            )
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def _parts(text: str) -> list[str]:
    """The numbers of a text, with decimal points. Two numbers mean nothing here, so 0,485 is one."""
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
    """Read "512" as 512, "512x768" as (512, 768), which is (height, width), and "" as None.

    Raises:
        SettingsError: The text holds something else than whole numbers.
    """
    stripped = (text or "").strip(" []()")
    if not stripped:
        return None
    try:
        numbers = tuple(int(part) for part in re.split(r"[x×,;\s]+", stripped.lower()))
    except ValueError as error:
        raise SettingsError(
            Message("size must be one number, or height x width, not {text}.", text=_shown(text))
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers
