"""`fetch`: download the weights of models."""

import argparse

from segmentation.commands.bars import Bars
from segmentation.commands.command import Parsers, add_command
from segmentation.config import Config
from segmentation.models.registry import Registry
from segmentation.models.weights import fetch_weights

EXAMPLES = """\
examples:
  {prog} fetch
  {prog} fetch modnet isnet-general-use
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    fetch = add_command(parsers, "fetch", "download the weights of models, for use offline", "", EXAMPLES)
    fetch.set_defaults(command=_run)
    fetch.add_argument("models", nargs="*", help="ids (default: the first of the registry)")


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:
    for model_id in options.models or [registry.default.id]:
        with Bars() as bars:
            path = fetch_weights(
                registry[model_id],
                config.models_folder,
                accepted_licences=config.accepted,
                on_progress=bars.show,
            )
        print(path)
    return 0
