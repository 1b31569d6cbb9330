"""The command line: `python -m segmentation cut photos/*.jpg`, `models`, `fetch`, `doctor`."""

import argparse
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_CPU_NAME", "generic")  # as in app.py: both share compiled code, valid on any CPU

from tqdm import tqdm

from segmentation.batch import Outcome, run_batch
from segmentation.config import DEVICES, Config
from segmentation.doctor import examine
from segmentation.errors import SegmentationError, SettingsError
from segmentation.inputs import find_pictures
from segmentation.models.registry import Registry, load_offered
from segmentation.models.weights import fetch_weights, where_available
from segmentation.network.pool import threads_for
from segmentation.network.session import load_configured
from segmentation.outputs import Namer, Outputs
from segmentation.picture.load import load_image
from segmentation.predictor import from_session
from segmentation.recipe import DEFAULTS, Recipe, load_recipe, parse_value, write_value
from segmentation.settings import OUTPUT_ENDINGS, help_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 if a picture or the whole command failed, or if the doctor has advice.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that the terminal cannot encode must not end a batch
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.ERROR, format="%(name)s: %(message)s")
    try:
        config = Config.from_environment()
        registry = load_offered(config)
        return int(options.command(options, config, registry))
    except (SegmentationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m segmentation", description="Cut subjects out of pictures.")
    parser.add_argument("--verbose", action="store_true", help="log progress and details")
    commands = parser.add_subparsers(required=True, metavar="command")

    cut = commands.add_parser("cut", help="cut the subjects out of pictures")
    cut.set_defaults(command=_cut)
    cut.add_argument("pictures", nargs="+", type=Path, help="files, or folders of files")
    cut.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        help="folder for the cutouts, or the file itself for one picture, such as cat.png (default: here)",
    )
    cut.add_argument("--overwrite", action="store_true", help="replace files that were not made from these pictures")
    cut.add_argument("-m", "--model", help="id of a model (default: the first of the registry)")
    cut.add_argument("--settings", type=Path, metavar="FILE", help="settings.yaml of an earlier run; flags override it")
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

    models = commands.add_parser("models", help="list the models")
    models.set_defaults(command=_models)

    fetch = commands.add_parser("fetch", help="download the weights of models, for use offline")
    fetch.set_defaults(command=_fetch)
    fetch.add_argument("models", nargs="*", help="ids (default: the first of the registry)")

    doctor = commands.add_parser("doctor", help="report what is installed, what runs where, and what to fix")
    doctor.set_defaults(command=_doctor)
    return parser


def _cut(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    recipe, backdrop = load_recipe(options.settings) if options.settings else (Recipe(registry.default.id), None)
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
    for note in found.notes:
        print(note, file=sys.stderr)
    folder, namer, recipe = _target(options.output, sources, recipe, "format" in given)
    with _Bars() as bars:
        spec = registry[recipe.model]
        threads = threads_for(spec, len(sources))
        session = load_configured(spec, config, device=options.device, threads=threads, on_progress=bars.show)
    predictor = from_session(session, recipe.settings)
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


def _models(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    for spec in registry.values():
        here = "here" if where_available(spec, config.models_folder) else "    "
        size = f"{spec.weights.size / 1e6:6.0f} MB" if spec.weights.size else "         "
        print(f"{spec.id:24} {size}  {here}  {spec.licence.name}: {spec.about}")
    return 0


def _fetch(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    for model_id in options.models or [registry.default.id]:
        with _Bars() as bars:
            path = fetch_weights(
                registry[model_id],
                config.models_folder,
                accepted_licences=config.accepted,
                on_progress=bars.show,
            )
        print(path)
    return 0


def _doctor(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    found = examine(config, registry)
    print("\n".join(found.lines))
    print(*("\nWhat to do:", *found.advice) if found.advice else ["\nNothing to do."], sep="\n- ")
    return int(bool(found.advice))


class _Bars:
    """A download progress bar in the terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar."""
        bar: tqdm[Any] = self._bar or tqdm(desc=name, total=total or None, unit="B", unit_scale=True, file=sys.stderr)
        self._bar = bar
        bar.update(done - bar.n)


if __name__ == "__main__":
    sys.exit(main())
