"""The command line: `segmatte cut photos/`, or `python -m segmentation cut photos/` where it is not installed."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import metadata

os.environ.setdefault("NUMBA_CPU_NAME", "generic")  # as in app.py: both share compiled code, valid on any CPU

from segmentation import serve
from segmentation.commands import completion, cut, doctor, fetch, frames, inspect, models, score, watch
from segmentation.commands.command import program
from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.models.registry import load_offered

COMMANDS = (cut, watch, frames, serve, models, fetch, inspect, score, doctor, completion)
"""In the order of the help."""
EXAMPLES = """\
examples:
  {prog} cut cat.jpg
  {prog} cut photos/ -o cutouts/ --model modnet
  {prog} cut --help
"""


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


def _parser(name: str | None = None) -> argparse.ArgumentParser:
    prog = name or program()
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Cut subjects out of pictures.",
        epilog=EXAMPLES.format(prog=prog),
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=26),
    )
    parser.set_defaults(parser=lambda: _parser("segmatte"))
    parser.add_argument("--verbose", action="store_true", help="log progress and details")
    parser.add_argument("--version", action="version", version=_version())
    parsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        command.add(parsers)
    return parser


def _version() -> str:
    try:
        return f"segmatte {metadata.version('segmatte')}"
    except metadata.PackageNotFoundError:
        return "segmatte, not installed"


if __name__ == "__main__":
    sys.exit(main())
