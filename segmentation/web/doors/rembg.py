"""`/api/remove`, as `rembg s` serves it: a picture or its web address in, a PNG out."""

from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from segmentation.drop_in import own_name, rembg_recipe
from segmentation.errors import SettingsError
from segmentation.recipe import Recipe
from segmentation.web.doors.counter import Counter, DoorError, Order, Visit, wrong
from segmentation.web.guard.forms import Form

PATH = "/api/remove"
_TRUE, _FALSE = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}
_NUMBERS = {
    "af": "alpha_matting_foreground_threshold",
    "ab": "alpha_matting_background_threshold",
    "ae": "alpha_matting_erode_size",
}
_SWITCHES = {"a": "alpha_matting", "om": "only_mask", "ppm": "post_process_mask", "dc": "decontaminate"}


def rembg_routes(counter: Counter) -> list[BaseRoute]:
    """The route, for `launch`."""

    async def serve(visit: Visit) -> Response:
        form = await counter.form(visit, ("file",))
        values = _arguments(form)
        registry = counter.service.offered.registry()
        recipe = Recipe.of(own_name(form.text("model"), registry), {"classes": "all"} | rembg_recipe(**values))
        picture, address = form.files.get("file"), form.text("url")
        if picture is None and not address:
            raise DoorError(422, "Send a picture as `file`, or its web address as `url`.")
        done = await counter.cut(visit, Order(picture or await counter.fetched(visit, address), recipe))
        return FileResponse(done.cutout.file, media_type="image/png")

    async def remove(request: Request) -> Response:
        return await counter.answer(request, serve, _refusal)

    return [Route(PATH, remove, methods=["GET", "POST"])]


def _refusal(error: DoorError) -> Response:
    status = 422 if error.code == "invalid_parameter" else error.status
    return JSONResponse({"detail": error.sentence}, status, error.headers)


def _arguments(form: Form) -> dict[str, Any]:
    """Rembg's arguments by their long names.

    Raises:
        SettingsError: One cannot be read, or is not supported.
    """
    values: dict[str, Any] = {}
    for short, name in _SWITCHES.items():
        if text := form.text(short).lower():
            if text not in _TRUE | _FALSE:
                raise wrong(short, "true or false", text)
            values[name] = text in _TRUE
    for short, name in _NUMBERS.items():
        if text := form.text(short):
            if not text.isdecimal() or len(text) > 9:
                raise wrong(short, "a whole number", text)
            values[name] = int(text)
    if text := form.text("bgc"):
        parts = text.split(",")
        if len(parts) != 4 or not all(part.strip().isdecimal() and len(part) < 6 for part in parts):
            raise wrong("bgc", "red,green,blue,opacity from 0 to 255", text)
        values["bgcolor"] = tuple(map(int, parts))
    if form.text("vm", "false").lower() not in _FALSE:
        raise SettingsError("vm (ViTMatte) is not supported here.")
    if form.text("extras", "{}") not in ("{}", "null"):
        raise SettingsError("extras is not supported here.")
    return values
