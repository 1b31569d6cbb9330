"""`score`: how good models and settings are on pictures with true mattes or masks."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers, add_command
from segmentation.config import DEVICES, Config, names
from segmentation.matting.estimators import prepare
from segmentation.models.finder import ModelFinder
from segmentation.models.registry import Registry
from segmentation.models.spec import ModelSpec
from segmentation.network.pool import threads_for
from segmentation.network.session import Session, load_configured
from segmentation.predictor import Predictor, from_session
from segmentation.recipe import load_recipe
from segmentation.score.board import Board
from segmentation.score.page import to_html
from segmentation.score.pairs import find_pairs
from segmentation.score.run import Candidate, score_pairs
from segmentation.score.tables import to_csv, to_text
from segmentation.settings import Settings

_SHOWN = 240  # pixels of the longer side of the pictures on the page

EXAMPLES = """\
examples:
  {prog} score truth/ --models u2netp,modnet --csv scores.csv
  {prog} score masks.zip --pictures photos/ --settings a.yaml,b.yaml --html worst.html
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    score = add_command(
        parsers, "score", "measure models and settings on pictures with true mattes or masks", "TRUTH", EXAMPLES
    )
    score.set_defaults(command=_run)
    score.add_argument(
        "truth",
        type=Path,
        help="a folder or ZIP with pictures and their truths: in two folders (images, masks), or beside each other "
        "(cat.jpg with cat.png or cat-mask.png)",
    )
    score.add_argument("--pictures", type=Path, metavar="FOLDER", help="the pictures, if TRUTH holds only truths")
    score.add_argument(
        "-m",
        "--models",
        metavar="A,B",
        help="ids of models, or owner/name on the Hub (default: the first of the registry)",
    )
    score.add_argument(
        "--settings", metavar="A.YAML,B.YAML", help="settings.yaml files of earlier runs (default: the defaults)"
    )
    score.add_argument("--device", choices=DEVICES, help="where to compute (default: SEGMATTE_DEVICE or auto)")
    for kind, what in (("csv", "the numbers"), ("json", "the numbers"), ("html", "a page of the worst pictures")):
        score.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write {what} to this file")


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    candidates = _candidates(names(options.models or ""), names(options.settings or ""), registry.default.id)
    for candidate in candidates:
        prepare(candidate.settings, lambda sentence: print(sentence, file=sys.stderr))
    with Bars() as bars:  # an unknown model is an error now, not a row for each picture
        finder = ModelFinder.of(config, registry)
        specs = {model: finder.spec(model, bars.show) for model in {candidate.model for candidate in candidates}}
    found = find_pairs(options.truth, options.pictures)
    for note in found.notes:
        print(note, file=sys.stderr)
    for file in filter(None, (options.csv, options.json, options.html)):
        file.parent.mkdir(parents=True, exist_ok=True)  # before the work, not after
    load = _Loader(options, config, specs, len(found.pairs))
    board = Board([candidate.name for candidate in candidates])
    rows = score_pairs(found.pairs, candidates, load, limits=config.limits, shown=_SHOWN if options.html else 0)
    with tqdm(total=len(found.pairs) * len(candidates), unit="cutout", file=sys.stderr, disable=None) as bar:
        for row in rows:
            if row:
                board.add(row)
                bar.update()
    for line in board.errors:
        print(line, file=sys.stderr)
    print(to_text(board))
    if options.csv:
        options.csv.write_text(to_csv(board), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(board.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.html:
        title = f"{options.truth.name or options.truth}: {len(found.pairs)} pictures"
        options.html.write_text(to_html(board, title), encoding="utf-8")
    return int(bool(board.errors))


def _candidates(models: list[str], files: list[str], default: str) -> list[Candidate]:
    """Every model with all settings; settings alone are for the models that they name."""
    recipes = {Path(file): load_recipe(Path(file))[0] for file in files}
    if not recipes:
        return [Candidate(model, model) for model in dict.fromkeys(models or [default])]
    stems = [path.stem for path in recipes]
    called = {path: path.stem if stems.count(path.stem) == 1 else str(path) for path in recipes}
    return [
        Candidate(f"{model}, {called[path]}", model, recipe.settings)
        for path, recipe in recipes.items()
        for model in dict.fromkeys(models or [recipe.model])
    ]


class _Loader:
    """Loads one network at a time, with a progress bar."""

    def __init__(
        self, options: argparse.Namespace, config: Config, specs: Mapping[str, ModelSpec], pictures: int
    ) -> None:
        self._options, self._config, self._specs, self._pictures = options, config, specs, pictures
        self._session: Session | None = None

    def __call__(self, model: str, settings: Settings) -> Predictor:
        if self._session is None or self._session.spec is not self._specs[model]:
            self._session = None  # the last one's memory
            spec = self._specs[model]
            with Bars() as bars:
                self._session = load_configured(
                    spec, self._config, device=self._options.device, threads=threads_for(spec, self._pictures),
                    on_progress=bars.show,
                )  # fmt: skip
        return from_session(self._session, settings)
