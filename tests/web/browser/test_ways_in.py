"""How pictures get onto the page: drop, paste, file picker, webcam, address, and an example at one click."""

import base64
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.browser.browsing import SAVE, Watched

pytestmark = pytest.mark.browser

TRANSFER = """async ([name, data]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
    return transfer;
}"""


def test_an_example_is_cut_out_at_one_click(watched: Watched) -> None:
    watched.page.get_by_label("A running cheetah").click()
    watched.done()
    expect(watched.page.locator("#pictures .thumbnail-item")).to_have_count(1)
    expect(watched.page.locator(SAVE)).to_have_attribute("download", "cheetah-cutout.png")
    watched.page.get_by_label("A lion").click()
    expect(watched.page.locator(SAVE)).to_have_attribute("download", "lion-cutout.png", timeout=30000)
    # it joins what was there: nothing that a visitor made disappears
    expect(watched.page.locator("#pictures .thumbnail-item")).to_have_count(2)
    expect(watched.page.locator("#viewer .thumb")).to_have_count(2)


def test_a_picture_is_dropped(watched: Watched, photos: dict[str, Path]) -> None:
    data = base64.b64encode(photos["cheetah"].read_bytes()).decode()
    transfer = watched.page.evaluate_handle(TRANSFER, ["dropped.jpg", data])
    watched.page.dispatch_event("#pictures button[aria-dropeffect]", "drop", {"dataTransfer": transfer})
    expect(watched.page.locator("#pictures .thumbnail-item")).to_have_count(1)
    watched.run(1)
    expect(watched.page.locator(SAVE)).to_have_attribute("download", "dropped-cutout.png")


def test_a_picture_is_dropped_and_pasted_anywhere(watched: Watched, photos: dict[str, Path]) -> None:
    page = watched.page
    watched.add(photos["chelsea"])
    data = base64.b64encode(photos["cheetah"].read_bytes()).decode()
    transfer = page.evaluate_handle(TRANSFER, ["dropped.jpg", data])
    page.dispatch_event("#viewer", "drop", {"dataTransfer": transfer})
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2)
    page.evaluate(
        """(transfer) => document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }))""",
        page.evaluate_handle(TRANSFER, ["pasted.jpg", data]),
    )
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(3)


def test_a_picture_is_pasted(watched: Watched, photos: dict[str, Path]) -> None:
    watched.page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const png = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
        }""",
        base64.b64encode(photos["chelsea"].read_bytes()).decode(),
    )
    watched.page.click("#hero [data-act=paste]")
    expect(watched.page.locator("#pictures .thumbnail-item")).to_have_count(1, timeout=15000)
    watched.run(1)


def test_the_webcam_takes_a_picture(watched: Watched) -> None:
    page = watched.page
    page.click("#hero [data-act=camera]")
    page.locator("#pictures").get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#pictures video')?.videoWidth > 0", timeout=15000)
    page.locator("#pictures").get_by_label("capture photo").click(timeout=15000)
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(1, timeout=15000)
    watched.choose("bright.onnx")
    watched.run(1)


@pytest.fixture
def web_site(photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host of the public web, as far as this process can tell: its name has a public address, which leads here."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(photos["cheetah"].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        resolve, connect = socket.getaddrinfo, socket.create_connection

        def resolved(host: object, *args: object, **kwargs: object) -> object:
            public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))]
            return public if host == "pictures.example" else resolve(host, *args, **kwargs)  # type: ignore[arg-type]

        def connected(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
            leads_to = site.server_address if address[0] == "93.184.215.14" else address
            return connect(leads_to, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setattr(socket, "create_connection", connected)
        yield "http://pictures.example"
        site.shutdown()


def test_a_pictures_address_adds_it_to_those_that_are_there(
    watched: Watched, web_site: str, photos: dict[str, Path]
) -> None:
    page = watched.page
    watched.add(photos["chelsea"])
    page.locator("#address input, #address textarea").fill(f"{web_site}/cheetah.jpg")
    page.click("#add_address")
    expect(page.locator("#pictures .thumbnail-item")).to_have_count(2, timeout=15000)
    expect(page.locator("#address input, #address textarea")).to_have_value("")
    watched.run(2)
    expect(page.locator("#report")).to_contain_text("cheetah.jpg")
    expect(page.locator("#report")).to_contain_text("chelsea.png")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://127.0.0.1:7860/", "usual ports"),
        ("http://localhost/a.jpg", "no public web site"),
        ("http://169.254.169.254/latest/meta-data", "no public web site"),
        ("file:///etc/passwd", "not a web address"),
        ("", "Enter the address of a picture first"),
    ],
)
def test_an_address_that_leads_to_no_picture_of_the_web_is_refused_in_a_sentence(
    watched: Watched, address: str, sentence: str
) -> None:
    watched.page.locator("#address input, #address textarea").fill(address)
    watched.page.click("#add_address")
    expect(watched.page.locator(".toast-body")).to_contain_text(sentence, timeout=15000)
    expect(watched.page.locator("#pictures .thumbnail-item")).to_have_count(0)
