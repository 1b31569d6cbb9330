"""What a script says about the pictures of a request, checked: strokes, points, boxes, masks and trimaps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segmentation.corrections import Correction, parsed, read_box, read_candidate, read_points, read_strokes
from segmentation.errors import ImageError, SettingsError
from segmentation.messages import Message
from segmentation.web.guard.uploads import named_path, touch_files, uploaded_files

PARAMETERS = ("strokes", "points", "box", "candidate", "mask", "trimap")


def said_about(pictures: Sequence[int], given: Mapping[str, Any]) -> dict[int, Correction]:
    """The corrections of pictures, by number.

    Args:
        pictures: Numbers of the pictures of the request, in its order.
        given: By name of the parameter, a list with an entry for each picture; of a single picture, the entry itself
            will do.

    Raises:
        SegmentationError: One is wrong, or is no upload.
    """
    # an entry is a list itself, of objects or numbers
    strokes = _entries("strokes", given.get("strokes"), len(pictures), lambda value: _all_are(value, Mapping))
    points = _entries("points", given.get("points"), len(pictures), lambda value: _all_are(value, Mapping))
    boxes = _entries("box", given.get("box"), len(pictures), lambda value: _all_are(value, int | float))
    candidates = _entries(
        "candidate", given.get("candidate"), len(pictures), lambda value: isinstance(value, int | float)
    )
    masks, trimaps = (_uploads(name, given.get(name), len(pictures)) for name in ("mask", "trimap"))
    said = {}
    for place, index in enumerate(pictures):
        correction = Correction(
            read_strokes(strokes[place]), read_points(points[place]), read_box(boxes[place]),
            read_candidate(candidates[place]), masks[place], trimaps[place],
        )  # fmt: skip
        if correction:
            said[index] = correction
    return said


def _entries(name: str, value: Any, count: int, is_entry: Callable[[Any], bool]) -> list[Any]:
    if value is None or value in ("", []):
        return [None] * count
    value = parsed(value)
    entries = [value] if is_entry(value) else value
    if not isinstance(entries, list):
        raise SettingsError(Message("{name} must be a JSON list.", name=name))
    if len(entries) != count:
        raise SettingsError(
            Message(
                "{name} must have one entry for each picture, null for none: {count}, not {given}.",
                name=name, count=count, given=len(entries),
            )
        )  # fmt: skip
    return entries


def _all_are(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)


def _uploads(name: str, value: Any, count: int) -> list[Path | None]:
    entries = _entries(name, value, count, lambda value: isinstance(value, dict))
    paths = [named_path(entry) for entry in entries]
    given = [path for path in paths if path is not None]
    if not given:
        return [None] * count
    try:
        files = iter(uploaded_files(given, count))
    except ImageError as error:
        raise ImageError(
            Message("{name} must be files uploaded to this server, or null. Upload them again.", name=name)
        ) from error
    found = [None if path is None else next(files) for path in paths]
    touch_files(file for file in found if file)
    return found
