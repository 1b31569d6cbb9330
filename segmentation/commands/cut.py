"""`cut`: cut the subjects out of pictures."""

import argparse
import json
import sys
from pathlib import Path

from segmentation.batch import Outcome, run_batch
from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers
from segmentation.commands.corrections import add_corrections, read_corrections
from segmentation.config import DEVICES, Config
from segmentation.corrected import needs_network
from segmentation.corrections import NOTHING, Correction
from segmentation.errors import SettingsError
from segmentation.inputs import find_pictures
from segmentation.matting.estimators import prepare
from segmentation.models.choice import promptable_of
from segmentation.models.finder import ModelFinder
from segmentation.models.registry import Registry
from segmentation.network.pool import threads_for
from segmentation.network.session import load_configured
from segmentation.outputs import Namer, Outputs
from segmentation.picture.load import load_image
from segmentation.predictor import Predictor, from_nothing, from_session
from segmentation.recipe import DEFAULTS, Recipe, Saved, load_recipe, parse_value, write_value
from segmentation.settings import OUTPUT_ENDINGS, help_text


def add(parsers: Parsers) -> None:
    """Add the command."""
    cut = parsers.add_parser("cut", help="cut the subjects out of pictures")
    cut.set_defaults(command=_run)
    cut.add_argument("pictures", nargs="+", type=Path, help="files, or folders of files")
    cut.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        help="folder for the cutouts, or the file itself for one picture, such as cat.png (default: here)",
    )
    cut.add_argument("--overwrite", action="store_true", help="replace files that were not made from these pictures")
    cut.add_argument(
        "-m",
        "--model",
        help="id of a model, owner/name on the Hub, or path of a file (default: the first of the registry)",
    )
    cut.add_argument("--settings", type=Path, metavar="FILE", help="settings.yaml of an earlier run; flags override it")
    add_corrections(cut)
    cut.add_argument("--device", choices=DEVICES, help="where to compute (default: SEGMATTE_DEVICE or auto)")
    cut.add_argument("--json", action="store_true", help="print the report as JSON")
    for name, default in DEFAULTS.items():
        flag = f"--{name.replace('_', '-')}"
        # an omitted flag stays unset, so that a settings file can provide the value
        help_ = help_text(name) if default is None else f"{help_text(name)} (default: {write_value(default)})"
        help_ = help_.replace("%", "%%")  # argparse expands %
        if isinstance(default, bool):
            cut.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_)
        else:
            cut.add_argument(flag, default=argparse.SUPPRESS, metavar="VALUE", help=help_)
    cut.add_argument("--backdrop", type=Path, metavar="FILE", help="the picture behind, for --background picture")


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    recipe, backdrop, saved = Saved(Recipe(registry.default.id), None, {})
    if options.settings:
        recipe, backdrop, saved = load_recipe(options.settings)
    given = {
        name: value if isinstance(value, bool) else parse_value(name, value)
        for name, value in vars(options).items()
        if name in DEFAULTS
    }
    recipe = Recipe.of(options.model or recipe.model, recipe.values | given)
    if options.backdrop and recipe.export.background != "picture":
        raise SettingsError("--backdrop needs --background picture: add that, or leave out --backdrop.")
    backdrop = options.backdrop or backdrop
    behind = load_image(backdrop, **config.limits._asdict()) if backdrop else None
    if recipe.export.background == "picture" and behind is None:
        raise SettingsError("--background picture needs a picture: name it with --backdrop.")
    found = find_pictures(options.pictures)
    sources = found.pictures
    said = read_corrections(options, sources, saved)
    for note in (*found.notes, *said.notes):
        print(note, file=sys.stderr)
    folder, namer, recipe = _target(options.output, sources, recipe, "format" in given)
    corrections = [said.corrections.get(index, NOTHING) for index in range(len(sources))]
    needing = [correction for correction in corrections if needs_network(correction, recipe.settings)]
    predictor = _loaded(recipe, options, config, registry, needing) if needing else from_nothing(recipe.model)
    prepare(recipe.settings, lambda sentence: print(sentence, file=sys.stderr))
    folder.mkdir(parents=True, exist_ok=True)
    reports = {}
    events = run_batch(
        sources,
        predictor,
        recipe.settings,
        folder,
        recipe.export,
        behind,
        limits=config.limits,
        namer=namer,
        outputs=Outputs(folder, sources, overwrite=options.overwrite),
        corrections=said.corrections,
    )
    for event in events:
        if isinstance(event, Outcome):
            reports[event.index] = event.report
            if not options.json:
                for warning in event.report.warnings:
                    print(f"{event.name}: {warning}", file=sys.stderr)
                if event.report.error:
                    print(_about(event.name, event.report.error), file=sys.stderr)
                for file in event.files:
                    print(file)
    if options.json:
        print(json.dumps([report.as_json() for _, report in sorted(reports.items())], indent=2))
    return int(any(report.error for report in reports.values()))


def _loaded(
    recipe: Recipe, options: argparse.Namespace, config: Config, registry: Registry, corrections: list[Correction]
) -> Predictor:
    with Bars() as bars:
        spec = ModelFinder.of(config, registry).spec(recipe.model, bars.show)
        threads = threads_for(spec, len(corrections))
        session = load_configured(spec, config, device=options.device, threads=threads, on_progress=bars.show)
        prompt_session = None
        if recipe.settings.prompt_model and not spec.prompt and any(each.prompt for each in corrections):
            asked = promptable_of(registry, recipe.settings.prompt_model)
            prompt_session = load_configured(asked, config, device=options.device, on_progress=bars.show)
    return from_session(session, recipe.settings, prompt_session=prompt_session)


def _about(name: str, sentence: str) -> str:
    """The sentence, starting with the picture's name unless it contains it."""
    return sentence if name in sentence else f"{name}: {sentence}"


def _target(output: Path, sources: list[Path], recipe: Recipe, named: bool) -> tuple[Path, Namer | None, Recipe]:
    """Folder, file names and recipe: `-o cat.png` names one file, and thereby the format.

    Args:
        output: The value of `-o`.
        sources: The pictures.
        recipe: Model and settings.
        named: Whether `--format` was given.

    Raises:
        SettingsError: It names one file for several pictures, or contradicts `--format`.
    """
    kind = OUTPUT_ENDINGS.get(output.suffix.lower())
    if kind is None or output.is_dir():
        return output, None, recipe
    if len(sources) > 1:
        raise SettingsError(f"-o {output} names one file, but there are {len(sources)} pictures. Name a folder.")
    if named and kind != recipe.export.format:
        raise SettingsError(f"-o {output} does not match --format {recipe.export.format}. Change one of them.")
    recipe = Recipe.of(recipe.model, recipe.values | {"format": kind})
    return output.parent, lambda _, label: f"{output.stem}{f'-{label}' if label else ''}{output.suffix}", recipe
