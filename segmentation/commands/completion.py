"""`completion`: a script with which a shell completes commands, options, choices and files."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from segmentation.commands.command import Parsers, add_command
from segmentation.config import Config
from segmentation.models.registry import Registry
from segmentation.settings import CHOICES

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
EXAMPLES = """\
examples:
  {prog} completion bash > ~/.local/share/bash-completion/completions/segmatte
  {prog} completion zsh > ~/.zfunc/_segmatte       with ~/.zfunc in fpath
  {prog} completion fish > ~/.config/fish/completions/segmatte.fish
"""
_PATHS = ("inputs", "pictures", "truth")
_MODELS = ("model", "models")


def add(parsers: Parsers) -> None:
    """Add the command."""
    completion = add_command(
        parsers, "completion", "print a script that completes segmatte in your shell", "", EXAMPLES
    )
    completion.set_defaults(command=_run)
    completion.add_argument("shell", choices=SHELLS)


def _run(options: argparse.Namespace, config: Config, registry: Registry) -> int:  # noqa: ARG001
    import shtab  # a tenth of a second

    parser: argparse.ArgumentParser = options.parser()
    for action in _actions(parser):
        if action.type is Path or action.dest in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in _MODELS:
            action.choices = list(registry)
        elif action.dest in CHOICES and action.nargs is None:
            action.choices = CHOICES[action.dest]
    print(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  # there is no other way to walk them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in action.choices.values():
                yield from _actions(below)
