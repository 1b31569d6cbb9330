"""What the command line says about pictures: strokes, points, a box, and masks and trimaps of one's own."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from segmentation.corrections import NOTHING, Correction, read_box, read_candidate, read_points
from segmentation.errors import SettingsError
from segmentation.inputs import note
from segmentation.picture.file_kind import file_kind
from segmentation.recipe import load_corrections


@dataclass(frozen=True, slots=True)
class Said:
    """Corrections, and what was not found."""

    corrections: dict[int, Correction]
    """By index of the picture."""
    notes: tuple[str, ...]
    """Sentences."""


def add_corrections(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options."""
    parser.add_argument(
        "--mask-dir", type=Path, metavar="FOLDER", help="your own masks, with the pictures' names; see --mask-mode"
    )
    parser.add_argument(
        "--trimap-dir",
        type=Path,
        metavar="FOLDER",
        help="your own trimaps, with the pictures' names: black, grey (unknown) and white",
    )
    parser.add_argument(
        "--strokes",
        type=Path,
        metavar="FILE",
        help="JSON or YAML: a list of strokes for each picture's name, or for the only picture; or a settings.yaml",
    )
    parser.add_argument(
        "--points",
        metavar="X,Y",
        help="clicks on the subjects of the only picture, such as '120,80 300,90', or as JSON with keep",
    )
    parser.add_argument("--box", metavar="L,T,R,B", help="a box around the subject of the only picture, in pixels")
    parser.add_argument(
        "--candidate", type=int, metavar="N", help="which answer of a model that is pointed at: 1 is its best (default)"
    )


def read_corrections(options: argparse.Namespace, sources: Sequence[Path], saved: Mapping[str, Correction]) -> Said:
    """The corrections of pictures, from the options over those of a settings file.

    Args:
        options: The command's.
        sources: The pictures.
        saved: By name of the picture.

    Raises:
        SettingsError: An option is wrong, or it cannot be told which picture it is about.
    """
    notes: list[str] = []
    said = {index: saved[source.name] for index, source in enumerate(sources) if source.name in saved}
    if options.strokes:
        given = load_corrections(options.strokes)
        if "" in given:
            _only(sources, "--strokes with a list")
            given = {sources[0].name: given[""]}
        names = {source.name for source in sources}
        if not names & given.keys():
            raise SettingsError(f"{options.strokes} has no strokes for any of the pictures: name them as they are.")
        notes += note(
            sorted(given.keys() - names),
            "{count} pictures with strokes are not among these: {names}.",
            "1 picture with strokes is not among these: {names}.",
        )
        for index, source in enumerate(sources):
            if source.name in given:
                said[index] = _over(said.get(index, NOTHING), given[source.name])
    if options.points:
        _only(sources, "--points")
        said[0] = replace(said.get(0, NOTHING), points=read_points(_points(options.points)))
    if options.box:
        _only(sources, "--box")
        text = options.box.strip()
        said[0] = replace(said.get(0, NOTHING), box=read_box(text if text.startswith("[") else f"[{text}]"))
    if options.candidate is not None:
        _only(sources, "--candidate")
        said[0] = replace(said.get(0, NOTHING), candidate=read_candidate(options.candidate))
    for kind, folder in (("mask", options.mask_dir), ("trimap", options.trimap_dir)):
        if folder:
            found = _beside(folder, sources, kind)
            for index, file in found.items():
                own = said.get(index, NOTHING)
                said[index] = own.with_files(file, own.trimap) if kind == "mask" else own.with_files(own.mask, file)
            notes += note(
                [source.name for index, source in enumerate(sources) if index not in found],
                f"{{count}} pictures have no {kind} in {folder} and use the model: {{names}}.",
                f"1 picture has no {kind} in {folder} and uses the model: {{names}}.",
            )
    _distinct(said, sources)
    return Said({index: correction for index, correction in said.items() if correction}, tuple(notes))


def _over(known: Correction, given: Correction) -> Correction:
    """What is given over what is known: its strokes, and whatever else it says."""
    parts = {part.name: getattr(given, part.name) for part in fields(Correction)}
    said = {name: value for name, value in parts.items() if name == "strokes" or value != getattr(NOTHING, name)}
    return replace(known, **said)


def _only(sources: Sequence[Path], option: str) -> None:
    if len(sources) != 1:
        raise SettingsError(f"{option} is about one picture, but there are {len(sources)}.")


def _distinct(said: Mapping[int, Correction], sources: Sequence[Path]) -> None:
    """Corrections by name cannot tell pictures of the same name apart."""
    names = [source.name for source in sources]
    for index, correction in said.items():
        if names.count(names[index]) > 1 and (correction.strokes or correction.prompt):
            raise SettingsError(
                f"{names[index]} has strokes, but several pictures have that name. Cut them out one by one."
            )


def _points(text: str) -> str:
    if text.lstrip().startswith("["):
        return text
    points = []
    for part in text.split():
        try:
            x, y = (float(number) for number in part.split(","))
        except ValueError:
            raise SettingsError(f"--points must be like '120,80 300,90', or JSON, not {text[:60]!r}.") from None
        points.append({"x": x, "y": y})
    return json.dumps(points)


def _beside(folder: Path, sources: Sequence[Path], kind: str) -> dict[int, Path]:
    """The file of each picture's stem in a folder, by index of the picture.

    Raises:
        SettingsError: There is no such folder, or a picture has several such files.
    """
    if not folder.is_dir():
        raise SettingsError(f"--{kind}-dir {folder} is not a folder.")
    by_stem: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file_kind(file).is_readable:
            by_stem.setdefault(file.stem, []).append(file)
    found = {}
    for index, source in enumerate(sources):
        files = [file for file in by_stem.get(source.stem, []) if not file.samefile(source)]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise SettingsError(f"{source.name} has several files in {folder} that may be its {kind}: {names}.")
        if files:
            found[index] = files[0]
    return found
