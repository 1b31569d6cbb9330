"""How much of the page's scripts the browser tests run: `SCRIPT_COVERAGE=folder pytest tests/web/browser`, then
`python -m tests.web.browser.coverage folder`.

Chromium counts what ran (V8's precise block coverage). Gradio runs each script as the body of a function, bundled with
its imports, so a module is there several times: a character counts as covered if one of them ran it. Comments and
spaces are not counted. What ran before a page is reloaded within a test is lost.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from segmentation.web.page.scripts import FOLDER, handler

FOLDER_NAME = "SCRIPT_COVERAGE"
"""Environment variable: where to write what ran. Without it, nothing is measured."""

_LEFT_OUT = re.compile(r'^import \{[^}]*\} from "[^"]+";\n|^export (?=\w)', re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|(?:^|(?<=\s))//[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """A part of a file as Gradio gets it."""

    file: str
    text: str
    places: list[int]
    """Character of the text -> character of the file."""


def pieces() -> Iterator[Piece]:
    """All modules, and each function of `events.js`, which comes alone."""
    for path in sorted(FOLDER.glob("*.js")):
        text = path.read_text(encoding="utf-8")
        if path.stem == "events":
            for name in re.findall(r"^export function (\w+)", text, re.MULTILINE):
                start = text.index(handler(name))
                yield Piece(path.name, handler(name), list(range(start, start + len(handler(name)))))
            continue
        left_out = {at for found in _LEFT_OUT.finditer(text) for at in range(*found.span())}
        places = [at for at in range(len(text)) if at not in left_out]
        yield Piece(path.name, "".join(text[at] for at in places), places)


class Coverage:
    """What ran of each file, on all pages."""

    def __init__(self, target: Path) -> None:
        """Start with nothing.

        Args:
            target: Folder of what is written.
        """
        self._target, self._pieces = target, list(pieces())
        self._ran: dict[str, set[int]] = {piece.file: set() for piece in self._pieces}
        self._sessions: dict[Page, CDPSession] = {}

    def watch(self, browser: Browser) -> None:
        """Measure all pages that are opened from now on, until each is closed."""
        new_context = browser.new_context

        def measured(**options: Any) -> BrowserContext:
            context = new_context(**options)
            new_page, close = context.new_page, context.close

            def page() -> Page:
                opened = new_page()
                self._begin(opened)
                return opened

            def closed(**how: Any) -> None:
                for opened in context.pages:
                    self._end(opened)
                close(**how)

            context.new_page, context.close = page, closed  # type: ignore[method-assign]
            return context

        browser.new_context = measured  # type: ignore[method-assign]

    def write(self) -> None:
        """Write what ran."""
        self._target.mkdir(parents=True, exist_ok=True)
        names = {file: sorted(ran) for file, ran in self._ran.items()}
        number = len(list(self._target.glob("*.json")))
        (self._target / f"{os.getpid()}-{number}.json").write_text(json.dumps(names))

    def _begin(self, page: Page) -> None:
        session = page.context.new_cdp_session(page)
        session.send("Profiler.enable")
        session.send("Profiler.startPreciseCoverage", {"callCount": False, "detailed": True})
        session.send("Debugger.enable")
        session.send("Debugger.setSkipAllPauses", {"skip": True})
        self._sessions[page] = session
        close = page.close

        def closed(**how: Any) -> None:
            self._end(page)
            close(**how)

        page.close = closed  # type: ignore[method-assign]

    def _end(self, page: Page) -> None:
        session = self._sessions.pop(page, None)
        if session is None or page.is_closed():
            return
        for script in session.send("Profiler.takePreciseCoverage")["result"]:
            if script["url"]:  # ours have none
                continue
            source = session.send("Debugger.getScriptSource", {"scriptId": script["scriptId"]})["scriptSource"]
            self._add(source, [part for function in script["functions"] for part in function["ranges"]])
        session.detach()

    def _add(self, source: str, ranges: list[dict[str, int]]) -> None:
        """Note what ran of a script. Of ranges within one another, the innermost counts, which comes last."""
        found = [(piece, source.find(piece.text)) for piece in self._pieces]
        if all(start < 0 for _, start in found):
            return
        ran = bytearray(len(source))
        for part in sorted(ranges, key=lambda each: (each["startOffset"], -each["endOffset"])):
            start, end = part["startOffset"], part["endOffset"]
            ran[start:end] = bytes([bool(part["count"])]) * (end - start)
        for piece, start in found:
            if start >= 0:
                self._ran[piece.file].update(at for offset, at in enumerate(piece.places) if ran[start + offset])


def shares(folder: Path) -> dict[str, tuple[int, int]]:
    """File -> characters that ran, and all that could."""
    ran: dict[str, set[int]] = {}
    for written in folder.glob("*.json"):
        for file, places in json.loads(written.read_text()).items():
            ran.setdefault(file, set()).update(places)
    counted = {}
    for path in sorted(FOLDER.glob("*.js")):
        text = path.read_text(encoding="utf-8")
        code = {at for at, character in enumerate(text) if not character.isspace()}
        for left_out in (*_COMMENT.finditer(text), *_LEFT_OUT.finditer(text)):
            code -= set(range(*left_out.span()))
        counted[path.name] = len(code & ran.get(path.name, set())), len(code)
    return counted


if __name__ == "__main__":
    of_files = shares(Path(sys.argv[1]))
    for file, (covered, code) in sorted(of_files.items(), key=lambda entry: entry[1][0] / entry[1][1]):
        print(f"{file:20} {covered / code:6.1%} of {code:6} characters")
    covered, code = (sum(each) for each in zip(*of_files.values(), strict=True))
    print(f"{'all':20} {covered / code:6.1%} of {code:6} characters")
