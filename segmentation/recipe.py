"""The model and settings of a run as one value: stored, shared by link, saved beside the cutouts, and repeatable."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from segmentation.corrections import Correction, read_correction, read_strokes
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.settings import Export, Settings, parse_numbers, parse_size

SETTINGS = {name: field.default for name, field in Settings.model_fields.items()}
EXPORT = {name: field.default for name, field in Export.model_fields.items()}
DEFAULTS: dict[str, Any] = SETTINGS | EXPORT
"""Every setting by name, with its default, in the order used by the page, the API and the README."""

_MANY = 500  # points of strokes beyond which they are written as JSON text, which YAML reads quickly
_HEAD = """\
# The settings of these cutouts. To reproduce them:
#     python -m segmentation cut {pictures} --settings {name}
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model and its settings: what turns pictures into cutouts."""

    model: str
    """Id of the model."""
    settings: Settings = Settings()
    export: Export = Export()

    @classmethod
    def of(cls, model: str, values: Mapping[str, Any]) -> "Recipe":
        """The recipe with these values by name, and defaults for the rest.

        Raises:
            SettingsError: A value is wrong, or a setting is unknown.
        """
        unknown = [str(name)[:40] for name in values if name not in DEFAULTS]
        if unknown:
            raise SettingsError(
                Message(
                    "There is no setting {unknown}. Choose one of: {defaults}.",
                    unknown=repr(unknown[0]),
                    defaults=", ".join(DEFAULTS),
                )
            )
        return cls(
            model,
            Settings(**{name: value for name, value in values.items() if name in SETTINGS}),
            Export(**{name: value for name, value in values.items() if name in EXPORT}),
        )

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by name."""
        return {name: getattr(self.settings if name in SETTINGS else self.export, name) for name in DEFAULTS}

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults, by name."""
        return {name: value for name, value in self.values.items() if value != DEFAULTS[name]}


def write_value(value: Any) -> str:
    """A setting's value as people type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")  # keep every digit: some means have eight
    return ",".join(write_value(part) for part in value) if isinstance(value, tuple) else str(value)


def parse_value(name: str, text: str) -> Any:
    """The value of a setting as people type it; `Settings` and `Export` check it.

    Raises:
        SettingsError: The setting is unknown, or a list of numbers cannot be parsed.
    """
    if name not in DEFAULTS:
        raise SettingsError(
            Message(
                "There is no setting {name}. Choose one of: {defaults}.",
                name=repr(name[:40]),
                defaults=", ".join(DEFAULTS),
            )
        )
    if name in ("mean", "std"):
        return parse_numbers(name, text)
    if name == "size":
        return parse_size(text)
    if name == "canvas_margin":
        return _numbers_or_text(name, text)
    if name in ("classes", "prompt_model"):  # a class may be called 7
        return text
    if isinstance(DEFAULTS[name], bool):
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    return number_or_text(text)


def _numbers_or_text(name: str, text: str) -> Any:
    try:
        numbers = parse_numbers(name, text)
    except SettingsError:  # `Export` says what is wrong with the text
        return text
    return DEFAULTS[name] if numbers is None else numbers


def number_or_text(text: str) -> int | float | str:
    """A whole number or another one, if the text is one; else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class _Loader(yaml.SafeLoader):
    """YAML without the numbers of base 60, so that 16:9 is no 969."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (
            tag,
            re.compile(rf"(?!.*:)(?:{pattern.pattern})", pattern.flags)
            if tag.endswith((":int", ":float"))
            else pattern,
        )
        for tag, pattern in resolvers
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _OnOneLine(list[Any]):
    """A list that YAML writes as [1, 2]."""


class _Dumper(yaml.SafeDumper):
    """Writes marked lists on one line."""


_Dumper.add_representer(
    _OnOneLine, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def save_recipe(
    recipe: Recipe,
    path: Path,
    backdrop: str | None = None,
    pictures: Sequence[str] = (),
    corrections: Mapping[str, Correction] | None = None,
) -> None:
    """Write a recipe as YAML.

    Args:
        recipe: The recipe.
        path: The file.
        backdrop: Name of the backdrop's file beside it, if any.
        pictures: Names of the pictures it was used for, for the comment at the top.
        corrections: By name of the picture; their masks and trimaps are files beside it.

    Raises:
        OSError: The file cannot be written.
    """
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in recipe.values.items()}
    if backdrop and recipe.export.background == "picture":
        values["backdrop"] = backdrop
    text = yaml.safe_dump({"model": recipe.model} | values, sort_keys=False, allow_unicode=True)
    if corrections:
        said = {name: _as_yaml(correction) for name, correction in corrections.items()}
        text += yaml.dump({"corrections": said}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    named = " ".join(shlex.join(pictures).split()) or "PICTURES"
    head = _HEAD.format(pictures=named, name=shlex.quote(path.name))
    path.write_text(head + text, encoding="utf-8")


def _as_yaml(correction: Correction) -> dict[str, Any]:
    said = correction.as_json()
    if sum(len(stroke.points) for stroke in correction.strokes) > _MANY:
        said["strokes"] = json.dumps(said["strokes"])
    else:
        said |= {"strokes": [stroke | {"points": _OnOneLine(stroke["points"])} for stroke in said.get("strokes", ())]}
    if "box" in said:
        said["box"] = _OnOneLine(said["box"])
    files = {"mask": correction.mask, "trimap": correction.trimap}
    said = {name: part for name, part in said.items() if part}
    return said | {name: file.name for name, file in files.items() if file}


class Saved(NamedTuple):
    """What a settings file holds."""

    recipe: Recipe
    backdrop: Path | None
    """The picture behind, if there is one."""
    corrections: dict[str, Correction]
    """By name of the picture."""


def load_recipe(path: Path) -> Saved:
    """What `save_recipe` wrote.

    Raises:
        SettingsError: The file cannot be read, or is not a settings file.
    """
    values = _read(path)
    if not isinstance(values, dict) or not isinstance(values.get("model"), str):
        raise SettingsError(
            Message("{path} is not a settings file: it must name a model, then one setting per line.", path=path)
        )
    model, backdrop = values.pop("model"), values.pop("backdrop", None)
    corrections = _corrections(values.pop("corrections", None) or {}, path)
    return Saved(Recipe.of(model, values), path.parent / str(backdrop) if backdrop else None, corrections)


def load_corrections(path: Path) -> dict[str, Correction]:
    """The corrections in a JSON or YAML file, by name of the picture; "" stands for the only picture.

    Args:
        path: A settings file, or one with a list of strokes for each picture's name, or with one such list.

    Raises:
        SettingsError: The file cannot be read, or a correction is wrong.
    """
    values = _read(path)
    if isinstance(values, list):
        return {"": Correction(read_strokes(values))}
    if isinstance(values, dict) and isinstance(values.get("model"), str):
        values = values.get("corrections") or {}
    return _corrections(values, path)


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        try:
            return json.loads(text)  # which is YAML too, and read in no time
        except ValueError:
            return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: not UTF-8, or 2020-99-99
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
        raise SettingsError(
            Message("{path} cannot be read as settings ({reason}).", path=path, reason=reason)
        ) from error


def _corrections(values: object, path: Path) -> dict[str, Correction]:
    if not isinstance(values, dict):
        raise SettingsError(
            Message("{path} has no strokes: it must be a list of them, or one for each picture's name.", path=path)
        )
    corrections = {}
    for name, value in values.items():
        try:
            corrections[str(name)] = _correction(value, path.parent)
        except SettingsError as error:
            raise SettingsError(Message("{name}: {problem}", name=name, problem=error.message)) from error
    return corrections


def _correction(value: object, folder: Path) -> Correction:
    if isinstance(value, list | str):
        return Correction(read_strokes(value))
    if not isinstance(value, dict):
        return read_correction(value)
    mask, trimap = (folder / str(value[name]) if value.get(name) else None for name in ("mask", "trimap"))
    said = {name: part for name, part in value.items() if name not in ("mask", "trimap")}
    return read_correction(said).with_files(mask, trimap)
