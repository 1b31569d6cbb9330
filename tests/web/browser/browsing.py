"""A page in a real browser, and what went wrong on it; shared by the browser tests."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",  # a webcam that shows a green picture, and no question about it
    "--use-fake-device-for-media-stream",
]


SAVE = "#viewer a.save"  # the link to the file of the selected cutout

STILL = """() => new Promise((done) => {
    let [before, frames] = ["", 0];
    const look = () => {
        const fields = [...document.querySelectorAll("#settings :is(input, textarea)")];
        const now = [document.body.scrollHeight, ...fields.map((each) => [each.value, each.checked])].join();
        const moves = document.getAnimations().some(
            ({ playState, effect }) => playState === "running" && effect.getComputedTiming().iterations !== Infinity);
        frames = now === before && !moves ? frames + 1 : 0;
        before = now;
        if (frames < 10) requestAnimationFrame(look);
        else done();
    };
    look();
})"""

expect.set_options(timeout=20_000)  # a busy machine shows everything late


def violations(page: Page) -> list[str]:
    """What axe-core finds that is serious, with where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


class Visitors:
    """Pages of visitors who were never here before.

    Those with the same options take turns in one browser context: its HTTP cache and compiled scripts stay, which
    spares a third of loading the page, and all that a page could know of an earlier one is deleted.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: dict[str, BrowserContext] = {}
        self._busy: list[BrowserContext] = []

    def page(self, url: str, **options: Any) -> Page:
        """An empty page of a new visitor to a site. Options are those of a browser context."""
        name = repr(sorted(options.items()))
        context = self._contexts.get(name)
        if context is None or context in self._busy:
            context = self._contexts[name] = self._browser.new_context(**options)
        self._busy.append(context)
        page = context.new_page()
        context.clear_cookies()
        session = context.new_cdp_session(page)
        session.send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
        session.detach()
        return page

    def leave(self) -> None:
        """Close all pages."""
        for context in self._busy:
            if context not in self._contexts.values():
                context.close()
            for page in context.pages:
                page.close()
        self._busy.clear()


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, page: Page, url: str, query: str = "", *, starts: bool = False) -> None:
        """Load the page. Unless it `starts`, pictures are not cut out by themselves: most tests first turn settings."""
        self.page = page
        if not starts:
            page.add_init_script("localStorage.setItem('segmatte-autostart', 'off')")
        self.console: list[str] = []
        self.off_host: list[str] = []
        self._marked: str | None = None
        page.on("console", lambda message: self.console.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((url, "data:", "blob:")) else self.off_host.append(request.url)
            ),
        )
        page.goto(url + query)
        expect(page.locator("#hero .hero")).to_be_attached(timeout=30000)
        expect(page.locator("#viewer .nothing")).to_be_attached()
        self.loaded()

    def loaded(self) -> None:
        """Wait until a page that loads has its remembered settings, its model and its last results.

        What is turned before that is turned back.
        """
        called = "({ name }) => new URL(name).pathname.endsWith('/run/predict')"
        self.page.wait_for_function(f"performance.getEntriesByType('resource').filter({called}).length >= 3")
        self.still()

    def still(self) -> None:
        """Wait until nothing has moved, and no value has changed, for some frames: no hand is quicker."""
        self.page.evaluate(STILL)

    def add(self, *files: Path) -> None:
        self.page.set_input_files("#pictures input[type=file]", list(files))
        expect(self.page.locator("#pictures .thumbnail-item")).to_have_count(len(files), timeout=30000)

    def sheet(self, *, shown: bool = True) -> None:
        """On phones, open the sheet of settings, or close it."""
        toggle = self.page.locator("#sheet_toggle")
        if toggle.is_visible() and (toggle.get_attribute("aria-expanded") == "true") != shown:
            toggle.click()
            self.still()

    def choose(self, model: str) -> None:
        """Choose a model in the list of all, which is folded at first."""
        self.sheet()
        if self.page.locator("#model").is_hidden():
            self.page.click("#model_choice .now button")
        self.page.locator("#model input").click()
        self.page.get_by_role("option", name=f"({model})").click()

    def press(self, button: str) -> None:
        """Click on what changes the status line, and wait until it is another: an earlier one may say the same."""
        self.page.locator("#status .line").evaluate("(line) => line.setAttribute('data-before', '')")
        self.page.click(button)
        expect(self.page.locator("#status .line:not([data-before])")).to_have_count(1)

    def run(self, cutouts: int) -> None:
        self.still()  # the page has made room for what was added
        self.press("#run")
        # first: until a run has started, the status line is still that of the last one, which is done
        expect(self.page.locator("#viewer .thumb")).to_have_count(cutouts, timeout=90000)
        self.done()
        # a picture of the film gives way to the next one when that is loaded
        self.page.wait_for_function(
            "[...document.querySelectorAll('#viewer .thumb img')].every((each) => each.src === each.dataset.source)"
        )

    def done(self) -> None:
        """Wait for the end of a run."""
        expect(self.page.locator("#status .line")).to_contain_text(re.compile("(is|are) done"), timeout=90000)
        expect(self.page.locator("#status progress")).to_have_count(0, timeout=30000)
        self.mark()

    def mark(self) -> None:
        """Take note of the cutout that is shown now, so that `tuned` knows another one."""
        self._marked = self.page.locator(SAVE).get_attribute("href") if self.page.locator(SAVE).count() else None

    def open(self, section: str) -> None:
        """Unfold a section of the settings, or fold it."""
        self.sheet()
        inside = self.page.locator(f"#section_{section} .block").first
        folds = inside.is_visible()
        self.page.click(f"#section_{section} > button")
        expect(inside).to_be_visible(visible=not folds)
        self.still()  # until what unfolds has taken its values

    def drawer(self, name: str) -> None:
        """Unfold what lies below the settings: "compare" or "code"."""
        self.sheet()
        inside = self.page.locator(f"#section_{name} .block").first
        if not inside.is_visible():
            self.page.click(f"#section_{name} > button")
        expect(inside).to_be_visible()

    def turn(self, name: str, value: float) -> None:
        """Move a slider by its number field, as by hand."""
        self.sheet()
        self.page.locator(f"#{name} input[type=number]").fill(str(value))

    def tuned(self) -> None:
        """Wait for the full size of what was turned since the last mark."""
        expect(self.page.locator(SAVE)).not_to_have_attribute("href", self._marked or "", timeout=60000)
        expect(self.page.locator("#viewer .badge")).to_be_hidden(timeout=60000)  # a preview takes the link away at once
        self.mark()

    def shot(self, name: str) -> None:
        if shots := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=f"{shots}/{name}.png", full_page=True)

    def fetched(self, selector: str, attribute: str) -> bytes:
        """The bytes of what a link or a picture on the page leads to."""
        address = self.page.locator(selector).first.get_attribute(attribute)
        assert address
        content: bytes = self.page.request.get(address).body()
        return content

    def pixels(self, selector: str, attribute: str, folder: Path) -> NDArray[Any]:
        file = folder / "fetched"
        file.write_bytes(self.fetched(selector, attribute))
        with Image.open(file) as image:
            return np.asarray(image)


class Visits:
    """Opens a page for one visitor after another. Nothing may have gone wrong on any, nor left this host."""

    def __init__(self, visitors: Visitors, url: str, query: str = "") -> None:
        self._visitors, self._url, self._query = visitors, url, query
        self._watched: list[Watched] = []

    def __call__(self, query: str | None = None, *, starts: bool = False, **options: Any) -> Watched:
        page = self._visitors.page(self._url, **options)
        self._watched.append(Watched(page, self._url, self._query if query is None else query, starts=starts))
        return self._watched[-1]

    def end(self) -> None:
        self._visitors.leave()
        assert [watched.console for watched in self._watched] == [[] for _ in self._watched]
        assert [watched.off_host for watched in self._watched] == [[] for _ in self._watched]
