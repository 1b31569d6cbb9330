"""What all commands have in common."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name
"""What `add` of a command adds its parser to."""


def program() -> str:
    """What was typed: the installed command, or the module."""
    name = Path(sys.argv[0]).stem
    return name if name == "segmatte" else "python -m segmentation"


def add_command(
    parsers: Parsers, name: str, what: str, arguments: str = "", examples: str = ""
) -> argparse.ArgumentParser:
    """Add a command whose help has a short usage line and examples.

    Args:
        parsers: Where to add it.
        name: The command.
        what: What it does, in a few words.
        arguments: Its arguments, for the usage line; empty for argparse's own line.
        examples: Shown at the end, with {prog} for the program.
    """
    return parsers.add_parser(
        name,
        help=what,
        description=f"{what[:1].upper()}{what[1:]}.",
        usage=f"{program()} {name} {arguments} [options]" if arguments else None,
        epilog=examples.format(prog=program()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
