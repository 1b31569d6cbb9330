"""`/v1.0/removebg`, with the parameters, headers and errors of remove.bg's API; nothing is ever charged."""

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from segmentation.arrays import Size
from segmentation.corrections import Correction
from segmentation.cutout_files import write_zip
from segmentation.errors import ImageError, SettingsError
from segmentation.picture.encode import save_jpeg
from segmentation.picture.kinds import named_colour
from segmentation.picture.load import load_image, picture_size
from segmentation.picture.png import save_png
from segmentation.prediction import NO_SUBJECT
from segmentation.recipe import Recipe
from segmentation.settings import MAX_CANVAS
from segmentation.web.doors.counter import Counter, Done, DoorError, Order, Visit, wrong
from segmentation.web.guard.forms import Form, Tray, too_large

PATH, ACCOUNT = "/v1.0/removebg", "/v1.0/account"
_CREDITS = 1_000_000  # some clients look before they ask; none is ever taken
_MEGAPIXELS = {
    "preview": 0.25, "small": 0.25, "regular": 0.25, "medium": 1.5, "hd": 4.0,
    "full": math.inf, "4k": math.inf, "50mp": math.inf, "auto": math.inf,
}  # fmt: skip
_FORMATS = {"auto": "", "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp", "zip": "zip"}
_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".zip": "application/zip"}
_SHADOWS = {"": "none", "none": "none", "drop": "drop", "auto": "contact", "3d": "contact", "car": "contact"}
_SOURCES = ("image_file", "image_file_b64", "image_url")
KNOWN = {
    *_SOURCES, "size", "format", "crop", "crop_margin", "roi", "bg_color", "bg_image_file", "bg_image_url", "channels",
    "scale", "position", "shadow_type", "shadow_opacity",
    "type", "type_level", "semitransparency", "add_shadow",  # accepted, without effect but for X-Type
}  # fmt: skip
_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)(px|%)")
_CHUNK = 3 << 16  # bytes, a multiple of three, so that each piece of base64 needs no padding


def removebg_routes(counter: Counter) -> list[BaseRoute]:
    """The routes, for `launch`."""

    async def serve(visit: Visit) -> Response:
        form = await counter.form(visit, ("image_file", "bg_image_file"))
        if unknown := next((name for name in form.texts if name not in KNOWN), None):
            raise SettingsError(f"There is no parameter {unknown[:40]!r}.")
        picture = await _source(counter, visit, form)
        backdrop = await _backdrop(counter, visit, form)
        order = await counter.in_thread(_order, counter, visit.tray, form, picture, backdrop)
        done = await counter.cut(visit, order)
        if NO_SUBJECT in done.warnings:
            raise DoorError(400, "Could not identify foreground in image.", "unknown_foreground")
        file = done.cutout.file
        if _format(form) == "zip":
            file = await counter.in_thread(_zip, file)
        return _answer(visit.request, file, done, form.text("type_level", "1"))

    async def removebg(request: Request) -> Response:
        return await counter.answer(request, serve, _refusal)

    async def account(request: Request) -> Response:
        async def credits_left(_: Visit) -> Response:
            total = {"total": _CREDITS, "subscription": 0, "payg": _CREDITS, "enterprise": 0}
            return JSONResponse(
                {"data": {"attributes": {"credits": total, "api": {"free_calls": _CREDITS, "sizes": "all"}}}}
            )

        return await counter.answer(request, credits_left, _refusal, counts=False)

    return [Route(PATH, removebg, methods=["POST"]), Route(ACCOUNT, account, methods=["GET"])]


def _refusal(error: DoorError) -> Response:
    return JSONResponse(
        {"errors": [{"title": error.sentence, "code": error.code or "failed"}]}, error.status, error.headers
    )


async def _source(counter: Counter, visit: Visit, form: Form) -> Path:
    given = [name for name in _SOURCES if name in form.files or form.text(name)]
    if not given:
        raise DoorError(
            400, f"No image given. Send one as {', '.join(_SOURCES[:-1])} or {_SOURCES[-1]}.", "missing_source"
        )
    if len(given) > 1:
        raise DoorError(400, f"Multiple image sources given: {', '.join(given)}. Send one.", "multiple_sources")
    if "image_file" in form.files:
        return form.files["image_file"]
    if url := form.text("image_url"):
        return await counter.fetched(visit, url)
    # JSON has no files, so some clients send a file's base64 under its name
    encoded = form.text("image_file_b64") or form.text("image_file")
    return await counter.in_thread(_decoded, visit.tray, encoded, counter.config.max_upload_mb << 20)


def _decoded(tray: Tray, text: str, max_bytes: int) -> Path:
    try:
        data = base64.b64decode(text.partition("base64,")[2] or text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise ImageError("image_file_b64 is not base64.") from error
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    file = tray.new_file("picture")
    file.write_bytes(data)
    return file


async def _backdrop(counter: Counter, visit: Visit, form: Form) -> Path | None:
    given = [name for name in ("bg_color", "bg_image_file", "bg_image_url") if name in form.files or form.text(name)]
    if len(given) > 1:
        raise SettingsError(f"{', '.join(given)} exclude each other. Send one.")
    if url := form.text("bg_image_url"):
        return await counter.fetched(visit, url)
    return form.files.get("bg_image_file")


def _format(form: Form) -> str:
    return _FORMATS[_choice(form, "format", "auto", _FORMATS)]


def _order(counter: Counter, tray: Tray, form: Form, picture: Path, backdrop: Path | None) -> Order:
    """The parameters as our settings.

    Raises:
        SettingsError: One is wrong, or cannot be done here.
        ImageError: The picture cannot be read.
    """
    size = picture_size(picture, counter.config.limits)
    channels = _choice(form, "channels", "rgba", ("rgba", "alpha"))
    settings: dict[str, Any] = {"classes": "all", "background": "transparent"}
    if form.text("bg_color"):
        settings["background"] = named_colour(form.text("bg_color"))
    elif backdrop:
        settings["background"] = "picture"
    is_opaque = settings["background"] != "transparent" and len(settings["background"]) != 9
    if channels == "alpha":
        settings["background"] = "mask"
    kind = _format(form) or ("jpeg" if is_opaque and channels == "rgba" else "png")
    if kind == "zip" and settings["background"] != "transparent":
        raise wrong("format", "png, jpg or webp beside a background or channels=alpha", kind)
    settings["format"] = "png" if kind == "zip" else kind
    most = _MEGAPIXELS[_choice(form, "size", "preview", _MEGAPIXELS)] * 1e6
    shrink = min(1.0, math.sqrt(most / (size[0] * size[1])))
    if shrink < 1:
        settings["max_edge"] = max(1, int(max(size) * shrink))
    settings |= _cropped(form) | _placed(form, size, shrink)
    if (shadow := _choice(form, "shadow_type", "", _SHADOWS)) and _SHADOWS[shadow] != "none":
        settings["shadow"] = _SHADOWS[shadow]
        if opacity := form.text("shadow_opacity"):
            settings["shadow_opacity"] = _number("shadow_opacity", opacity)
    correction = Correction()
    if form.text("roi"):
        settings["mask_mode"] = "intersect"
        correction = correction.with_files(_region(tray, form.text("roi"), size), None)
    model = counter.service.offered.registry().default.id
    return Order(
        picture, Recipe.of(model, settings), backdrop if settings["background"] == "picture" else None, correction
    )


def _cropped(form: Form) -> dict[str, Any]:
    if not _switch(form, "crop"):
        return {}
    given = set(form.text("crop_margin", "0").split())
    margin = _LENGTH.fullmatch("0%" if given <= {"0", "0px", "0%"} else given.pop())
    if given - {"0", "0px", "0%"} or not margin or margin[2] != "%":
        raise wrong("crop_margin", "one percentage of the subject's longer side, such as 10%", form.text("crop_margin"))
    return {"crop": True, "crop_margin": min(100.0, float(margin[1]))}


def _placed(form: Form, size: Size, shrink: float) -> dict[str, Any]:
    """Scale and position of the subject, on a canvas of the picture's size."""
    scale, position = form.text("scale", "original").lower(), form.text("position", "").lower()
    if scale == "original" and position in ("", "original"):
        return {}
    found = _LENGTH.fullmatch(scale)
    if not found or found[2] != "%" or not 10 <= float(found[1]) <= 100:
        raise wrong("scale", "10% to 100% (or original, unless a position is given)", scale)
    if position not in ("", "center", "50%", "50% 50%"):
        raise wrong("position", "center beside a scale, or original without one", position)
    shrink = min(shrink, MAX_CANVAS / max(size))
    height, width = (max(16, int(side * shrink)) for side in size)
    return {"canvas": f"{width}x{height}", "canvas_fill": float(found[1]), "max_edge": 0}


def _region(tray: Tray, text: str, size: Size) -> Path:
    """The mask of a region of interest, "x1 y1 x2 y2" in px or %."""
    lengths = [_LENGTH.fullmatch(part) for part in text.split()]
    edges = [
        float(found[1]) * (size[1 - place % 2] / 100 if found[2] == "%" else 1)
        for place, found in enumerate(lengths)
        if found
    ]
    if len(lengths) != 4 or len(edges) != 4 or edges[0] >= edges[2] or edges[1] >= edges[3]:
        raise wrong("roi", "x1 y1 x2 y2 in px or %, such as '10% 0% 90% 100%'", text)
    left, top, right, bottom = (round(edge) for edge in edges)
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 255
    file = tray.new_file("roi.png")
    save_png(mask, file)
    return file


def _choice(form: Form, name: str, default: str, choices: Any) -> str:
    text = form.text(name, default).lower()
    if text not in choices:
        raise wrong(name, "one of " + ", ".join(choice for choice in choices if choice), text)
    return text


def _switch(form: Form, name: str) -> bool:
    return _choice(form, name, "false", {"true": 1, "false": 0, "1": 1, "0": 0}) in ("true", "1")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise wrong(name, "a number", text) from error


def _zip(cutout: Path) -> Path:
    """color.jpg and alpha.png of a cutout."""
    picture = load_image(cutout)
    files = cutout.with_name("color.jpg"), cutout.with_name("alpha.png")
    save_jpeg(picture.rgb, files[0], picture.icc_profile)
    save_png(np.full(picture.size, 255, np.uint8) if picture.opacity is None else picture.opacity, files[1])
    return write_zip(files, cutout.with_suffix(".zip"))


def _answer(request: Request, file: Path, done: Done, type_level: str) -> Response:
    height, width = done.cutout.size
    left, top = (max(0, math.floor(edge + 1e-6)) for edge in done.cutout.subject[:2])
    right, bottom = (
        min(side, math.ceil(edge - 1e-6)) for edge, side in zip(done.cutout.subject[2:], (width, height), strict=True)
    )
    where = {"top": top, "left": left, "width": right - left, "height": bottom - top}
    headers = {"x-width": str(width), "x-height": str(height), "x-credits-charged": "0"}
    headers |= {f"x-foreground-{name}": str(value) for name, value in where.items()}
    if type_level != "none":
        headers["x-type"] = "other"  # what is in a picture is not classified here
    if "application/json" not in request.headers.get("accept", ""):
        return FileResponse(file, headers=headers, media_type=_MEDIA[file.suffix])
    return StreamingResponse(_as_json(file, where), headers=headers, media_type="application/json")


def _as_json(file: Path, where: dict[str, int]) -> Iterator[bytes]:
    """The answer in pieces: a photograph's would fill memory while a slow client reads it."""
    yield b'{"data": {"result_b64": "'
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            yield base64.b64encode(chunk)
    numbers = json.dumps({f"foreground_{name}": value for name, value in where.items()})
    yield b'", ' + numbers[1:].encode() + b"}"
