"""`doctor`: what is installed, what runs where, and what to fix."""

import argparse

from segmentation.commands.command import Parsers, add_command
from segmentation.config import Config
from segmentation.doctor import examine
from segmentation.models.registry import Registry

EXAMPLES = """\
The exit code is 0 if there is nothing to do, else 1.
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    doctor = add_command(parsers, "doctor", "report what is installed, what runs where, and what to fix", "", EXAMPLES)
    doctor.set_defaults(command=_run)


def _run(_: argparse.Namespace, config: Config, registry: Registry) -> int:
    found = examine(config, registry)
    print("\n".join(found.lines))
    print(*("\nWhat to do:", *found.advice) if found.advice else ["\nNothing to do."], sep="\n- ")
    return int(bool(found.advice))
