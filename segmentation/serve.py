"""`serve`: build the page and serve it. `python app.py` does the same."""

import argparse
import os
import sys

from segmentation.commands.command import Parsers, add_command
from segmentation.commands.engines import add_lender, read_lender
from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.models.registry import Registry

EXAMPLES = """\
examples:
  {prog} serve
  {prog} serve --host 0.0.0.0 --port 8000
  SEGMATTE_MODELS=u2netp,modnet {prog} serve
  {prog} serve --engine ray --address 10.0.0.1:6379 --workers 2-16

Environment variables configure the server: see docs/hosting.md.
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    serve = add_command(parsers, "serve", "serve the page and its API", "", EXAMPLES)
    serve.set_defaults(command=_run)
    _add_options(serve)


def main() -> None:
    """Serve until interrupted, with the options of the command line."""
    parser = argparse.ArgumentParser(description="Serve the Segmatte page.")
    _add_options(parser)
    _serve(parser.parse_args())


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="where to listen (default: here only)"
    )
    parser.add_argument(
        "--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT", "7860"), help="the port (default: 7860)"
    )
    add_lender(parser.add_argument_group("where networks run"))


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:  # noqa: ARG001
    _serve(options)
    return 0


def _serve(options: argparse.Namespace) -> None:
    try:
        from segmentation.web.app import serve  # takes seconds, and sets what Gradio reads

        config = Config.from_environment()
        with read_lender(options, config) as lent:
            serve(config, options.host, options.port, lent)
    except SegmentationError as error:
        sys.exit(f"Segmatte cannot start. {error}")
