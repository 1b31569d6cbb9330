"""All cutouts of a run in one ZIP, with the settings that reproduce them."""

import shutil
from collections import Counter
from pathlib import Path

from segmentation.cutout_files import write_zip
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.outputs import safe_stems
from segmentation.recipe import save_recipe
from segmentation.web.runs.outcomes import Wanted
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
            used = {index: (one.recipe, one.backdrop) for index, one in made.items()}
            for place, (wanted, _) in enumerate(Counter(used.values()).most_common()):
                indices = [index for index, one in used.items() if one == wanted]
                stem = f"settings-{stems[indices[0]]}" if place else "settings"
                files += _write_settings(run.folder, stem, wanted, [sources[index].name for index in indices])
            return write_zip(files, run.folder / "cutouts.zip")
        except FileNotFoundError as error:
            raise SettingsError(Message("The files of this run have expired. Cut out again.")) from error


def _write_settings(folder: Path, stem: str, wanted: Wanted, pictures: list[str]) -> list[Path]:
    recipe, backdrop = wanted
    file = folder / f"{stem}.yaml"
    behind = folder / f"{stem}-backdrop{backdrop.suffix}" if backdrop else None
    if backdrop and behind:
        shutil.copyfile(backdrop, behind)
    save_recipe(recipe, file, behind.name if behind else None, pictures)
    return [file, *([behind] if behind else [])]
