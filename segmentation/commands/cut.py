"""`cut`: cut the subjects out of pictures."""

import argparse
import shutil
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePath

from segmentation.commands.command import Parsers, add_command
from segmentation.commands.corrections import add_corrections, read_corrections
from segmentation.commands.engines import Reporter, add_engine, read_engine, read_listing
from segmentation.commands.job import Job
from segmentation.commands.recipes import Chosen, add_recipe, read_recipe
from segmentation.commands.telling import Teller
from segmentation.config import Config
from segmentation.elsewhere import address_of, is_address
from segmentation.errors import SettingsError
from segmentation.inputs import STDIN, Found, find_pictures
from segmentation.models.registry import Registry
from segmentation.outputs import Namer, tree_names
from segmentation.recipe import Recipe
from segmentation.settings import OUTPUT_ENDINGS

EXAMPLES = """\
examples:
  {prog} cut cat.jpg                               cat-cutout.png beside you
  {prog} cut cat.jpg -o cat.webp --background '#fff'
  {prog} cut photos/ -o cutouts/                   a tree of folders; run again, it goes on where it stopped
  {prog} cut 'photos/**/*.jpg' @more.txt -o cutouts/ --flat
  {prog} cut - < cat.jpg > cat.png                 in a pipe
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    cut = add_command(parsers, "cut", "cut the subjects out of pictures", "INPUT [INPUT...]", EXAMPLES)
    cut.set_defaults(command=_run)
    cut.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="files; folders with all below them; patterns in quotes; @list.txt for a file of paths; - for standard "
        "input; with --engine ray also addresses: https://, s3://, gs:// and more",
    )
    cut.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="folder for the cutouts, or the file itself for one picture, such as cat.png; - for standard output "
        "(default: here)",
    )
    add_output(cut)
    add_engine(cut.add_argument_group("where the work is done"))
    add_recipe(cut)
    add_corrections(cut.add_argument_group("what you say about the pictures"))


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options about the output folder, which `watch` has too."""
    parser.add_argument(
        "--flat", action="store_true", help="write all cutouts into one folder, instead of keeping the tree"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that were not made from these pictures")
    parser.add_argument("--redo", action="store_true", help="cut out again what is done already")
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each picture as it finishes")


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    chosen = read_recipe(options, config, registry)
    with tempfile.TemporaryDirectory(prefix="segmatte-") as scratch:
        piped = options.inputs == [STDIN]
        output = options.output or (Path(STDIN) if piped else Path())
        if address := address_of(output):
            raise SettingsError(f"-o {address} is not possible: name a folder, such as that of a mounted bucket.")
        found = _piped(Path(scratch)) if piped else _found(options)
        if str(output) == STDIN:
            if options.engine != "local":
                raise SettingsError("-o - is for --engine local: name a folder.")
            return _to_stdout(options, config, registry, chosen, found, Path(scratch) / "cutouts")
        folder, namer, chosen = _target(output, found, chosen, options.flat)
        engine, reporter = read_engine(options, folder)
        job = Job(chosen, options, config, registry, folder, engine)
        return _cut(options, job, chosen, found, namer, reporter)


def _cut(options: argparse.Namespace, job: Job, chosen: Chosen, found: Found, namer: Namer, reporter: Reporter) -> int:
    said = read_corrections(options, found.pictures, chosen.corrections)
    for note in (*found.notes, *said.notes):
        print(note, file=sys.stderr)
    names = [str(place / picture.name) for place, picture in zip(found.places, found.pictures, strict=True)]
    events = job.run(found.pictures, namer, said.corrections, names=names, elsewhere=found.elsewhere)
    teller = Teller(len(found.pictures), as_json=options.json)
    with closing(events), reporter as report, teller:
        for finished in events:
            teller.tell(finished)
            report(finished)
    return int(teller.failed > 0)


def _found(options: argparse.Namespace) -> Found:
    listing = read_listing(options)
    address = next((name for name in options.inputs if is_address(name)), None)
    if address and listing is None:
        raise SettingsError(
            f"{address} is an address, which only --engine ray reads. Download it, or see docs/scale.md."
        )
    return find_pictures(options.inputs, options.output, listing)


def _piped(folder: Path) -> Found:
    """The picture on standard input, as a file."""
    if sys.stdin.isatty():
        raise SettingsError("- is the picture on standard input, but nothing is piped there: - < cat.jpg")
    picture = folder / "stdin"
    with picture.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return Found([picture], (), [PurePath()])


def _to_stdout(
    options: argparse.Namespace, config: Config, registry: Registry, chosen: Chosen, found: Found, folder: Path
) -> int:  # fmt: skip
    if len(found.pictures) > 1:
        raise SettingsError(f"-o - is for one cutout, but there are {len(found.pictures)} pictures. Name a folder.")
    if sys.stdout.isatty():
        raise SettingsError("The cutout would be written to the terminal: name a file with -o.")
    said = read_corrections(options, found.pictures, chosen.corrections)
    for note in (*found.notes, *said.notes):
        print(note, file=sys.stderr)
    namer = tree_names(found.places, ["cutout"], chosen.recipe.export.ending)
    job = Job(chosen, options, config, registry, folder)
    (finished,) = job.run(found.pictures, namer, said.corrections, is_recorded=False)
    with Teller(1, as_json=options.json, out=sys.stderr) as teller:
        teller.tell(replace(finished, files=()))
    if finished.report.error:
        return 1
    if len(finished.files) != 1:
        raise SettingsError(
            f"-o - is for one cutout, but the picture has {len(finished.files)}. Name a folder, or join them with "
            "--classes all."
        )
    sys.stdout.buffer.write(finished.files[0].read_bytes())
    sys.stdout.buffer.flush()
    return 0


def _target(output: Path, found: Found, chosen: Chosen, is_flat: bool) -> tuple[Path, Namer, Chosen]:
    """Folder, file names and recipe: `-o cat.png` names one file, and thereby the format.

    Args:
        output: The value of `-o`.
        found: The pictures.
        chosen: Model and settings.
        is_flat: Whether the tree is not kept.

    Raises:
        SettingsError: It names one file for several pictures, or contradicts `--format`.
    """
    kind = OUTPUT_ENDINGS.get(output.suffix.lower())
    recipe = chosen.recipe
    if kind is None or output.is_dir():
        names = [picture.name for picture in found.pictures]
        numbered = recipe.settings.subjects == "each"
        return output, tree_names(found.places, names, recipe.export.ending, numbered, flat=is_flat), chosen
    if len(found.pictures) > 1:
        raise SettingsError(f"-o {output} names one file, but there are {len(found.pictures)} pictures. Name a folder.")
    if "format" in chosen.flags and kind != recipe.export.format:
        raise SettingsError(f"-o {output} does not match --format {recipe.export.format}. Change one of them.")
    recipe = Recipe.of(recipe.model, recipe.values | {"format": kind})

    def name(_: int, label: str) -> str:
        return f"{output.stem}{f'-{label}' if label else ''}{output.suffix}"

    return output.parent, name, replace(chosen, recipe=recipe)
