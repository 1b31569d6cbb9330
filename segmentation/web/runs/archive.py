"""All cutouts of a run in one ZIP, with the settings that reproduce them."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segmentation.corrections import NOTHING, Correction
from segmentation.cutout_files import write_zip
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.outputs import safe_stems
from segmentation.recipe import save_recipe
from segmentation.web.runs.outcomes import MadeBy
from segmentation.web.runs.run import NOTHING_YET, Run


def write_archive(run: Run) -> Path:
    """Write the ZIP: the cutouts, and a settings file for each recipe that names the pictures it applies to.

    Raises:
        SettingsError: There are no cutouts, or their files have expired.
    """
    made, sources = run.outcomes.made_by, run.predictions.sources
    if not made:
        raise SettingsError(NOTHING_YET)
    stems = safe_stems([source.name for source in sources])
    with run.files.all_kept() as files:
        try:
            alike = Counter(sources[index].name for index in made)
            # corrections are told apart by the pictures' names, and where these are the same, by file
            used = {
                i: one if alike[sources[i].name] > 1 else one._replace(correction=NOTHING) for i, one in made.items()
            }
            for place, (wanted, _) in enumerate(Counter(used.values()).most_common()):
                indices = [index for index, one in used.items() if one == wanted]
                stem = f"settings-{stems[indices[0]]}" if place else "settings"
                pictures = {stems[index]: (sources[index].name, made[index].correction) for index in indices}
                files += _write_settings(run.folder, stem, wanted, pictures)
            return write_zip(files, run.folder / "cutouts.zip")
        except FileNotFoundError as error:
            raise SettingsError(Message("The files of this run have expired. Cut out again.")) from error


def _write_settings(
    folder: Path, stem: str, made_by: MadeBy, pictures: Mapping[str, tuple[str, Correction]]
) -> list[Path]:
    """Write a settings file and the files that it names.

    Args:
        folder: Where they go.
        stem: Name of the settings file, without its extension.
        made_by: Recipe and backdrop.
        pictures: Stem of each picture's cutout -> its name and correction.
    """
    file = folder / f"{stem}.yaml"
    files, corrections = [file], {}
    behind = folder / f"{stem}-backdrop{made_by.backdrop.suffix}" if made_by.backdrop else None
    if made_by.backdrop and behind:
        files.append(_copied(made_by.backdrop, behind))
    for own, (name, correction) in pictures.items():
        mask, trimap = (
            plane and _copied(plane, folder / f"{own}-{kind}{plane.suffix}")
            for kind, plane in (("mask", correction.mask), ("trimap", correction.trimap))
        )
        files += [plane for plane in (mask, trimap) if plane]
        if correction:
            corrections[name] = correction.with_files(mask, trimap)
    names = [name for name, _ in pictures.values()]
    save_recipe(made_by.recipe, file, behind.name if behind else None, names, corrections)
    return files


def _copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target
