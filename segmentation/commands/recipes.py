"""The options of model and settings, which several commands share."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from segmentation.config import DEVICES, Config
from segmentation.corrections import Correction
from segmentation.errors import SettingsError
from segmentation.models.registry import Registry
from segmentation.picture.load import load_image
from segmentation.picture.picture import Picture
from segmentation.recipe import DEFAULTS, EXPORT, SETTINGS, Recipe, Saved, load_recipe, parse_value, write_value
from segmentation.settings import CHOICES, FIELDS, RANGES, help_text

_SEVERAL = ("mean", "std", "size", "canvas_margin")  # take one number or several


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options say about model and settings."""

    recipe: Recipe
    backdrop: Path | None
    behind: Picture | None
    """The backdrop's picture."""
    corrections: dict[str, Correction]
    """Those of the settings file, by name of the picture."""
    flags: frozenset[str]
    """Settings that were given as flags."""


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "-m",
        "--model",
        help="id of a model, owner/name on the Hub, or path of a file (default: the first of the registry)",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings.yaml of an earlier run; flags override it"
    )
    parser.add_argument("--device", choices=DEVICES, help="where to compute (default: SEGMATTE_DEVICE or auto)")
    _add(parser.add_argument_group("how the subject is found and its outline solved"), SETTINGS)
    file = parser.add_argument_group("how the file is written")
    _add(file, EXPORT)
    file.add_argument("--backdrop", type=Path, metavar="FILE", help="the picture behind, for --background picture")


def _add(group: "argparse._ArgumentGroup", settings: dict[str, Any]) -> None:
    for name, default in settings.items():
        flag = f"--{name.replace('_', '-')}"
        # an omitted flag stays unset, so that a settings file can provide the value
        help_ = help_text(name) if default in (None, "") else f"{help_text(name)} (default: {write_value(default)})"
        help_ = help_.replace("%", "%%")  # argparse expands %
        if isinstance(default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_)
        else:
            group.add_argument(flag, default=argparse.SUPPRESS, metavar=_metavar(name), help=help_)


def _metavar(name: str) -> str:
    """What a setting takes: its range or its choices, as far as they can be listed."""
    if get_origin(FIELDS[name].annotation) is Literal:
        return "|".join(CHOICES[name])
    if range_ := RANGES.get(name):
        ends = f"{range_.low:g}..{range_.high:g}"
        return "|".join((ends, *CHOICES.get(name, ()))) if name not in _SEVERAL else "VALUE"
    return "VALUE"


def read_recipe(options: argparse.Namespace, config: Config, registry: Registry) -> Chosen:
    """What the options say.

    Raises:
        SettingsError: A value is wrong, or the backdrop is missing.
        ImageError: The backdrop cannot be read.
    """
    saved = load_recipe(options.settings) if options.settings else Saved(Recipe(registry.default.id), None, {})
    given = {
        name: value if isinstance(value, bool) else parse_value(name, value)
        for name, value in vars(options).items()
        if name in DEFAULTS
    }
    recipe = Recipe.of(options.model or saved.recipe.model, saved.recipe.values | given)
    if options.backdrop and recipe.export.background != "picture":
        raise SettingsError("--backdrop needs --background picture: add that, or leave out --backdrop.")
    backdrop = options.backdrop or saved.backdrop
    behind = load_image(backdrop, **config.limits._asdict()) if backdrop else None
    if recipe.export.background == "picture" and behind is None:
        raise SettingsError("--background picture needs a picture: name it with --backdrop.")
    return Chosen(recipe, backdrop, behind, saved.corrections, frozenset(given))
