"""`models`: list the models."""

import argparse

from segmentation.commands.command import Parsers
from segmentation.config import Config
from segmentation.models.registry import Registry
from segmentation.models.weights import where_available


def add(parsers: Parsers) -> None:
    """Add the command."""
    parsers.add_parser("models", help="list the models").set_defaults(command=_run)


def _run(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    for spec in registry.values():
        here = "here" if where_available(spec, config.models_folder) else "    "
        size = f"{spec.weights.size / 1e6:6.0f} MB" if spec.weights.size else "         "
        print(f"{spec.id:24} {size}  {here}  {spec.licence.name}: {spec.about}")
    return 0
