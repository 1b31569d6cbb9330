"""`inspect`: say what a model is, and how it would be used."""

import argparse
import json

from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers, add_command
from segmentation.config import Config
from segmentation.models.finder import ModelFinder
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.inspection.propose import IN_WORDS
from segmentation.models.registry import Registry

EXAMPLES = """\
examples:
  {prog} inspect Xenova/modnet
  {prog} inspect mine.onnx --json
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    inspect = add_command(
        parsers, "inspect", "say what a model is and how it would be used, without running it", "", EXAMPLES
    )
    inspect.set_defaults(command=_run)
    inspect.add_argument("model", help="owner/name on the Hub, an id, or the path of an .onnx file or folder")
    inspect.add_argument("--json", action="store_true", help="print everything as JSON")


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    with Bars() as bars:
        found = ModelFinder.of(config, registry).inspect(options.model, bars.show)
    print(json.dumps(found.as_json(), indent=2) if options.json else "\n".join(described(found)))
    return int(bool(found.proposal.problem))


def described(found: Inspection) -> list[str]:
    """The inspection in lines for a terminal."""
    spec, contract = found.spec, found.proposal.contract
    lines = [spec.title, *map(str, found.verdict), "", f"Contract: {IN_WORDS[found.confidence]}"]
    values = {f"input.{key}": value for key, value in contract.input.model_dump(exclude_none=True).items()}
    values |= {f"output.{key}": value for key, value in contract.output.model_dump(exclude_none=True).items()}
    lines += [
        f"  {key:20} {value!s:28} {source}"
        for key, value in values.items()
        if (source := found.proposal.sources.get(key))
    ]
    licence = spec.licence
    lines += ["", f"Licence: {licence.name} (commercial use: {licence.commercial})"]
    lines += [
        f"  {file.path} ({file.format}, {file.size / 1e6:.0f} MB)" for file in found.files if len(found.files) > 1
    ]
    return lines
