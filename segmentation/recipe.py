"""The model and settings of a run as one value: stored, shared by link, saved beside the cutouts, and repeatable."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.settings import Export, Settings, parse_numbers, parse_size

SETTINGS = {name: field.default for name, field in Settings.model_fields.items()}
EXPORT = {name: field.default for name, field in Export.model_fields.items()}
DEFAULTS: dict[str, Any] = SETTINGS | EXPORT
"""Every setting by name, with its default, in the order used by the page, the API and the README."""

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
    if name == "classes":  # a class may be called 7
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


def save_recipe(recipe: Recipe, path: Path, backdrop: str | None = None, pictures: Sequence[str] = ()) -> None:
    """Write a recipe as YAML.

    Args:
        recipe: The recipe.
        path: The file.
        backdrop: Name of the backdrop's file beside it, if any.
        pictures: Names of the pictures it was used for, for the comment at the top.

    Raises:
        OSError: The file cannot be written.
    """
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in recipe.values.items()}
    if backdrop and recipe.export.background == "picture":
        values["backdrop"] = backdrop
    text = yaml.safe_dump({"model": recipe.model} | values, sort_keys=False, allow_unicode=True)
    named = " ".join(shlex.join(pictures).split()) or "PICTURES"
    head = _HEAD.format(pictures=named, name=shlex.quote(path.name))
    path.write_text(head + text, encoding="utf-8")


def load_recipe(path: Path) -> tuple[Recipe, Path | None]:
    """A recipe that `save_recipe` wrote, and the path of its backdrop, if it has one.

    Raises:
        SettingsError: The file cannot be read, or is not a settings file.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: not UTF-8, or 2020-99-99
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
        raise SettingsError(
            Message("{path} cannot be read as settings ({reason}).", path=path, reason=reason)
        ) from error
    if not isinstance(values, dict) or not isinstance(values.get("model"), str):
        raise SettingsError(
            Message("{path} is not a settings file: it must name a model, then one setting per line.", path=path)
        )
    model, backdrop = values.pop("model"), values.pop("backdrop", None)
    return Recipe.of(model, values), path.parent / str(backdrop) if backdrop else None
