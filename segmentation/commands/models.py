"""`models`: list the models; `models add`: write a registry entry for another one."""

import argparse
import sys
from pathlib import Path

from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers, add_command
from segmentation.config import Config
from segmentation.errors import RegistryError, SessionError
from segmentation.messages import Message
from segmentation.models.finder import ModelFinder
from segmentation.models.inspection.propose import IN_WORDS
from segmentation.models.registry import Registry
from segmentation.models.weights import where_available

EXAMPLES = """\
examples:
  {prog} models
  {prog} models add Xenova/modnet -o mine.yaml
"""


def add(parsers: Parsers) -> None:
    """Add the commands."""
    models = add_command(parsers, "models", "list the models, or add one to your registry", "", EXAMPLES)
    models.set_defaults(command=_list)
    adding = models.add_subparsers(metavar="add").add_parser(
        "add", help="write a registry entry for a model", description="Write a registry entry for a model."
    )
    adding.set_defaults(command=_add)
    adding.add_argument("model", help="owner/name on the Hub, or the path of an .onnx file or folder")
    adding.add_argument(
        "-o", "--output", type=Path, metavar="FILE",
        help="the file to write (default: a new one in the folder that SEGMATTE_REGISTRY names, else the terminal)",
    )  # fmt: skip


def _list(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    for spec in registry.values():
        here = "here" if where_available(spec, config.models_folder) else "    "
        size = f"{spec.weights.total / 1e6:6.0f} MB" if spec.weights.total else "         "
        print(f"{spec.id:24} {size}  {here}  {spec.licence.name}: {spec.about}")
    return 0


def _add(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    with Bars() as bars:
        found = ModelFinder.of(config, registry).inspect(options.model, bars.show)
    if found.spec.registered:
        raise RegistryError(Message("{model} is in the registry already.", model=found.spec.id))
    if found.proposal.problem:
        raise SessionError(found.proposal.problem)
    text = found.entry()
    file = options.output
    if file is None and config.registry and Path(config.registry).is_dir():
        file = Path(config.registry) / f"{found.entry_id}.yaml"
    print(f"Its contract is {IN_WORDS[found.confidence]}.", file=sys.stderr)
    if file is None:
        print(text, end="")
        print("Save this as a file and name it in SEGMATTE_REGISTRY.", file=sys.stderr)
        return 0
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise RegistryError(Message("{file} exists: name another file with -o.", file=file)) from error
    print(file)
    return 0
