"""How a large picture moves under the hand: frames a second while it is dragged at one pixel of it a pixel.

`python -m benchmarks.panning [megapixels]`. Headless Chromium without a graphics card paints on the CPU, so each row
stands beside the floor: the same drag on a page with nothing but a frame that scrolls over a gradient.
"""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as app.py does, before Gradio is imported

from playwright.sync_api import Page, sync_playwright

from benchmarks.sides import machine, photo, table
from segmentation.config import Config
from segmentation.models.weights import DEFAULT_FOLDER
from tests.web.browser import chromium
from tests.web.browser.browsing import FLAGS, Watched
from tests.web.conftest import served

SCREENS = {"1366 x 768": (1366, 768, 1), "390 x 844, density 3": (390, 844, 3)}
SECONDS = 4
FLOOR = """<body style="margin:0"><div id="stage" style="overflow:hidden;width:100vw;height:40vh">
<div style="width:6000px;height:4000px;background:linear-gradient(90deg,#345,#abc)"></div></div><script>
let from = null;
stage.onpointerdown = (e) => { from = [e.clientX + stage.scrollLeft, e.clientY + stage.scrollTop]; };
stage.onpointermove = (e) => from && stage.scrollTo(from[0] - e.clientX, from[1] - e.clientY);
stage.onpointerup = () => { from = null; };
</script>"""
FRAMES = """(seconds) => new Promise((done) => {
    const times = [];
    const look = (now) => {
        times.push(now);
        if (now - times[0] < 1000 * seconds) requestAnimationFrame(look);
        else done(times.slice(1).map((each, place) => each - times[place]));
    };
    requestAnimationFrame(look);
})"""


def pan(page: Page, stage: str, slower: int) -> tuple[float, float, float]:
    """Drag to and fro: frames a second, and in ms, the longest frame and how long the page's thread is busy in one."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})  # CPU time: other work does not count
    session.send("Performance.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    box = page.locator(stage).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def spent() -> float:
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    # the hand is in the page: each message of a driver outside it would take part of the frame
    drag = f"""(seconds) => {{
        const stage = document.querySelector({stage!r});
        const say = (kind, dx, dy) => stage.dispatchEvent(new PointerEvent(kind, {{
            bubbles: true, cancelable: true, pointerId: 1, isPrimary: true, button: 0, buttons: 1,
            clientX: {x} + dx, clientY: {y} + dy }}));
        stage.setPointerCapture = () => {{}};
        stage.hasPointerCapture = () => true;
        const start = performance.now();
        say("pointerdown", 0, 0);
        const step = () => {{
            const at = (performance.now() - start) / 1000;
            const way = 900 * at; // CSS pixels a second, as a quick thumb
            const there = Math.floor(way / 1200) % 2;
            const dx = there ? way % 1200 - 1200 : -(way % 1200);
            say("pointermove", dx, dx / 2);
            if (at < seconds) requestAnimationFrame(step);
            else say("pointerup", 0, 0);
        }};
        requestAnimationFrame(step);
        return ({FRAMES})(seconds);
    }}"""
    page.evaluate(drag, 2)  # the tiles come
    before = spent()
    frames: list[float] = page.evaluate(drag, SECONDS)
    busy = 1000 * (spent() - before) / len(frames)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    session.detach()
    return 1000 * len(frames) / sum(frames), max(frames), busy


def main() -> None:
    megapixels = sys.argv[1] if sys.argv[1:] else "24"
    rows = []
    with (
        TemporaryDirectory() as uploads,
        contextmanager(served)(Config(models_folder=DEFAULT_FOLDER, device="cpu"), Path(uploads)) as server,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        for screen, (width, height, density) in SCREENS.items():
            for slower in (1, 4):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, device_scale_factor=density, has_touch=density > 1
                )
                empty = context.new_page()
                empty.set_content(FLOOR)
                floor = pan(empty, "#stage", slower)
                empty.close()
                watched = Watched(context.new_page(), server.url, "/?model=u2netp&alpha_matting=false", starts=True)
                watched.page.set_input_files("#pictures input[type=file]", [photo(megapixels)])
                watched.done()
                watched.page.click("#viewer [data-zoom=actual]")
                watched.page.wait_for_timeout(2000)
                ours = pan(watched.page, "#viewer .stage", slower)
                rows.append(
                    [screen, f"{slower}", *(f"{a:.0f} / {b:.0f}" for a, b in zip(ours, floor, strict=True))],
                )
                print(rows[-1], flush=True)
                context.close()
        browser.close()
    print(f"\n{machine()}\n")
    print(
        table(
            [
                "screen",
                "CPU slowed by",
                "frames/s, ours / empty page",
                "longest frame, ms",
                "page's thread busy, ms a frame",
            ],
            rows,
        )
    )


if __name__ == "__main__":
    main()
