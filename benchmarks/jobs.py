"""Ten jobs that people come with, done with a mouse on our page and, where it can do them, on rembg's.

`python -m benchmarks.jobs [job ...]`. Both use U²-Net small with matting, on a photo of 1 megapixel. A job lasts from
the drop of its photo until the file is saved; a click is a press of the mouse, and choosing a file is none. A script
needs no time to think and aim, so the seconds are those of the page. rembg's model is chosen before: that counts for
neither.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as app.py does, before Gradio is imported

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.sides import machine, photo, rembg_python, table
from segmentation.config import Config
from segmentation.models.registry import load_registry
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
from tests.web.browser import chromium
from tests.web.browser.browsing import FLAGS, SAVE, Watched
from tests.web.browser.painting import Hand
from tests.web.conftest import served
from tests.web.test_app import free_port

WIDE, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
PICTURES = "#pictures input[type=file]"


class Files:
    """What is dropped on the pages."""

    def __init__(self, folder: Path) -> None:
        self.photo = photo("1")
        width, height = Image.open(self.photo).size
        self.twelve = [folder / f"{number}.jpg" for number in range(12)]
        for number, copy in enumerate(self.twelve):  # each another picture: rembg's page names files by content
            Image.open(self.photo).convert("RGB").crop((number, 0, width, height)).save(copy, quality=92)
        self.two = folder / "two.png"
        person = Image.open(self.photo).convert("RGB")
        both = Image.new("RGB", (2 * width, height))
        both.paste(person, (0, 0))
        both.paste(person.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (width, 0))
        both.resize((width, height // 2)).save(self.two)
        self.mask = folder / "mask.png"
        y, x = np.mgrid[:height, :width]
        inside = ((x / width - 0.45) / 0.3) ** 2 + ((y / height - 0.6) / 0.5) ** 2 < 1
        Image.fromarray((255 * inside).astype(np.uint8)).save(self.mask)


def start(watched: Watched, *files: Path) -> Page:
    """Drop files, and wait for the cutouts."""
    watched.page.set_input_files(PICTURES, list(files))
    watched.done()
    return watched.page


def save(page: Page, button: str = SAVE) -> None:
    with page.expect_download(timeout=120_000) as download:
        page.click(button)
    assert download.value.path().stat().st_size > 1000


def changed(page: Page, act: Callable[[], object]) -> None:
    """Do something, and wait for the cutout in full size that comes of it."""
    before = page.locator(SAVE).get_attribute("href") or ""
    act()
    expect(page.locator(SAVE)).not_to_have_attribute("href", before, timeout=60_000)
    expect(page.locator("#viewer .badge")).to_be_hidden(timeout=60_000)


def one(watched: Watched, files: Files) -> None:
    save(start(watched, files.photo))


def twelve(watched: Watched, files: Files) -> None:
    save(start(watched, *files.twelve), "#viewer .zip")


def corrected(watched: Watched, file: Path, tool: str, *places: tuple[float, float]) -> None:
    """One stroke, in shares of the picture's sides."""
    page = start(watched, file)
    width, height = Image.open(file).size
    hand = Hand(watched, (width, height))
    hand.take(tool)
    changed(page, lambda: hand.draw(*((x * width, y * height) for x, y in places)))
    page.click("#viewer [data-tool=done]")
    save(page)


def lost_part(watched: Watched, files: Files) -> None:
    corrected(watched, files.photo, "keep", (0.62, 0.8), (0.68, 0.85), (0.75, 0.9))


def hair(watched: Watched, files: Files) -> None:
    page = start(watched, files.photo)
    changed(page, lambda: page.click("#presets button:has-text('Fur')"))
    save(page)


def one_of_two(watched: Watched, files: Files) -> None:
    corrected(watched, files.two, "remove", (0.75, 0.15), (0.72, 0.5), (0.6, 0.9), (0.8, 0.9), (0.95, 0.95))


def product(watched: Watched, files: Files) -> None:
    page = start(watched, files.photo)
    changed(page, lambda: page.click("#presets button:has-text('Product')"))
    save(page)


def own_mask(watched: Watched, files: Files) -> None:
    page = start(watched, files.photo)

    def give() -> None:
        page.click("#section_matting > button")
        with page.expect_file_chooser() as chooser:
            page.click("#own_mask")
        chooser.value.set_files(files.mask)

    changed(page, give)
    save(page)


def two_models(watched: Watched, files: Files) -> None:
    page = start(watched, files.photo)
    page.click("#section_compare > button")
    page.click("#compare")
    expect(page.locator("#comparison figure img[src]")).to_have_count(2, timeout=60_000)


def undo_everything(watched: Watched, files: Files) -> None:
    page = start(watched, files.photo)
    changed(page, lambda: page.click("#presets button:has-text('Fur')"))
    changed(page, lambda: page.click("#presets button:has-text('Fur')"))
    save(page)


OURS: dict[str, Callable[[Watched, Files], None]] = {
    "one photo": one,
    "twelve photos": twelve,
    "bring a lost part back": lost_part,
    "hair": hair,
    "two people, keep one": one_of_two,
    "product: white canvas, shadow": product,
    "an own mask": own_mask,
    "compare two models": two_models,
    "a preset, and undo it": undo_everything,
    "one photo on a phone": one,
}


def theirs_cutout(page: Page, file: Path) -> None:
    """Drop a file on rembg's page, submit it, and save what comes."""
    link = page.get_by_test_id("download-link")
    before = link.get_attribute("href") or "" if link.count() else ""
    page.set_input_files("input[type=file]", [file])
    expect(page.get_by_role("button", name="Remove Image")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    expect(link).not_to_have_attribute("href", before, timeout=300_000)
    save(page, "[data-testid=download-link]")


def theirs_twelve(page: Page, files: Files) -> None:
    for number, file in enumerate(files.twelve):
        if number:  # Clear empties the model and the thresholds too
            page.get_by_role("button", name="Remove Image").click()
        theirs_cutout(page, file)


THEIRS: dict[str, Callable[[Page, Files], None]] = {
    "one photo": lambda page, files: theirs_cutout(page, files.photo),
    "twelve photos": theirs_twelve,
    "hair": lambda page, files: theirs_cutout(page, files.photo),
    "one photo on a phone": lambda page, files: theirs_cutout(page, files.photo),
}


INSTEAD = {"compare two models": "one after the other", "a preset, and undo it": "no presets"}
"""What rembg's page has for jobs that it cannot do as such."""


def measured(page: Page, job: Callable[[], None]) -> str:
    """Clicks and seconds of a job."""
    page.evaluate("window.presses = 0; addEventListener('pointerdown', () => { window.presses += 1; }, true)")
    began = time.monotonic()
    job()
    seconds = time.monotonic() - began
    return f"{page.evaluate('window.presses')}, {seconds:.1f} s"


def visit(browser: Browser, name: str) -> Page:
    phone = "phone" in name
    return browser.new_context(viewport=PHONE if phone else WIDE, has_touch=phone).new_page()  # type: ignore[arg-type]


@contextmanager
def rembg_page(scratch: Path) -> Iterator[str]:
    """The address of rembg's page."""
    port = free_port()
    shutil.copy(fetch_weights(load_registry()["u2netp"]), scratch / "u2netp.onnx")
    environment = {**os.environ, "U2NET_HOME": str(scratch), "GRADIO_TEMP_DIR": str(scratch / "theirs")}
    process = subprocess.Popen(
        [rembg_python().with_name("rembg"), "s", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None
            try:
                httpx.get(url, timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


def main() -> None:
    jobs = sys.argv[1:] or list(OURS)
    rows = []
    with (
        tempfile.TemporaryDirectory() as name,
        contextmanager(served)(
            Config(models_folder=DEFAULT_FOLDER, device="cpu", keep_minutes=60), Path(name) / "uploads"
        ) as server,
        rembg_page(Path(name)) as url,
        sync_playwright() as play,
    ):
        files = Files(Path(name))
        browser = play.chromium.launch(executable_path=chromium.find(), args=FLAGS)

        def ours(job: str) -> str:
            watched = Watched(visit(browser, job), server.url, "/?model=u2netp", starts=True)
            cost = measured(watched.page, lambda: OURS[job](watched, files))
            watched.page.context.close()
            return cost

        def theirs(job: str) -> str:
            if job not in THEIRS:
                return INSTEAD.get(job, "cannot")
            page = visit(browser, job)
            page.goto(url)
            page.locator("input[aria-label=Models]").click()
            page.get_by_role("option", name="u2netp", exact=True).click()
            cost = measured(page, lambda: THEIRS[job](page, files))
            page.context.close()
            return cost

        for warm in (ours, theirs):
            warm("one photo")
        for job in jobs:
            rows.append([job, ours(job), theirs(job)])
            print(rows[-1], flush=True)
        browser.close()
    print(f"\n{machine()}\n")
    print(table(["job", "ours: clicks, seconds", "rembg's page"], rows))


if __name__ == "__main__":
    main()
