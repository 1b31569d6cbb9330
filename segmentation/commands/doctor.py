"""`doctor`: what is installed, what runs where, and what to fix."""

import argparse

from segmentation.commands.command import Parsers
from segmentation.config import Config
from segmentation.doctor import examine
from segmentation.models.registry import Registry


def add(parsers: Parsers) -> None:
    """Add the command."""
    doctor = parsers.add_parser("doctor", help="report what is installed, what runs where, and what to fix")
    doctor.set_defaults(command=_run)


def _run(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    found = examine(config, registry)
    print("\n".join(found.lines))
    print(*("\nWhat to do:", *found.advice) if found.advice else ["\nNothing to do."], sep="\n- ")
    return int(bool(found.advice))
