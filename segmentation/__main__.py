"""The command line: `python -m segmentation cut photos/*.jpg`, `score`, `inspect`, `models`, `fetch`, `doctor`."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("NUMBA_CPU_NAME", "generic")  # as in app.py: both share compiled code, valid on any CPU

from segmentation.commands import cut, doctor, fetch, inspect, models, score
from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.models.registry import load_offered

COMMANDS = (cut, score, inspect, models, fetch, doctor)
"""In the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 if a picture or the whole command failed, or if the doctor has advice.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that the terminal cannot encode must not end a batch
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.ERROR, format="%(name)s: %(message)s")
    try:
        config = Config.from_environment()
        registry = load_offered(config)
        return int(options.command(options, config, registry))
    except (SegmentationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m segmentation", description="Cut subjects out of pictures.")
    parser.add_argument("--verbose", action="store_true", help="log progress and details")
    parsers = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(parsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
