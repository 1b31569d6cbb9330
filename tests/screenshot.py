"""Takes the README's picture of the page: `make screenshot`."""

import io
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as app.py does, before Gradio is imported

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from segmentation.config import Config
from segmentation.models.weights import DEFAULT_FOLDER
from segmentation.web.page.examples import PHOTOS
from tests.conftest import PHOTOS as OTHERS
from tests.web.browser import chromium
from tests.web.browser.browsing import FLAGS, Watched
from tests.web.conftest import served

FILE = Path(__file__).parents[1] / "segmentation" / "web" / "page" / "screenshot.png"
SIZE = {"width": 1366, "height": 820}


def main() -> None:
    """Cut out two photos, and take the picture."""
    config = Config(models_folder=DEFAULT_FOLDER, device="cpu")
    with (
        TemporaryDirectory() as uploads,
        contextmanager(served)(config, Path(uploads)) as server,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5, locale="en")  # type: ignore[arg-type]
        watched = Watched(page, server.url, "/?model=modnet", starts=True)
        page.set_input_files("#pictures input[type=file]", [PHOTOS / "astronaut.jpg", OTHERS["cheetah"]])
        expect(page.locator("#viewer .thumb")).to_have_count(2, timeout=90_000)
        watched.done()
        watched.still()
        taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        taken.quantize(256, method=Image.Quantize.MEDIANCUT).save(FILE, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
