"""What Chromium shows is read in the same size, the same way up, with the same pixels: a sample of damaged files."""

import base64
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from segmentation import load_image
from tests.picture.test_decoding import chunk, encoded, exif, with_chunk, with_segment

pytestmark = pytest.mark.browser

Y, X = np.mgrid[:60, :90]
PIXELS = np.dstack([X * 2, Y * 4, 255 - X]).astype(np.uint8)
PIXELS[10:20, 10:40] = (250, 0, 0)

XMP = (
    b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    b"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation='6'/></rdf:RDF></x:xmpmeta>"
)
SHOW = """async ([kind, data]) => {
    const image = new Image();
    const loaded = new Promise((done) => { image.onload = () => done(true); image.onerror = () => done(false); });
    image.src = `data:image/${kind};base64,${data}`;
    if (!(await loaded)) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const all = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.width, canvas.height, btoa(Array.from(all, (byte) => String.fromCharCode(byte)).join(""))];
}"""


def tagged(kind: str, **options: Any) -> bytes:
    tags = Image.Exif()
    tags[0x112], tags[0x10F] = 6, "A maker"
    tags.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, exif=tags, **options)
    return file.getvalue()


def samples() -> dict[str, tuple[str, bytes]]:
    rng = np.random.default_rng(11)
    found: dict[str, tuple[str, bytes]] = {}
    for kind, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = tagged(kind, **options)
        block = data.index(b"II*\0") if b"II*\0" in data else data.index(b"MM\0*")
        for number in range(14):
            changed = bytearray(data)
            for place in rng.integers(block, block + 90, rng.integers(1, 5)):
                changed[place] = rng.integers(256)
            found[f"{kind.lower()} exif {number}"] = (kind.lower(), bytes(changed))
    png, jpeg = encoded(PIXELS), encoded(PIXELS, "JPEG", quality=95, subsampling=0)
    for name, made in {
        "text crc": chunk(b"tEXt", b"a\0b", crc=1), "short gamma": chunk(b"gAMA", b"\0"),
        "short size": chunk(b"pHYs", b"\0"), "profile": chunk(b"iCCP", b"no end"),
        "turned": chunk(b"eXIf", exif(6)), "turned crc": chunk(b"eXIf", exif(6), crc=1),
        "turned wrongly": chunk(b"eXIf", exif(6, kind=4)),
    }.items():  # fmt: skip
        found[f"png {name}"] = ("png", with_chunk(png, made))
    found["png no end"] = ("png", png[:-12])
    for name, body in {
        "bad header": b"Exif\0\0XX*\0" + bytes(30), "turned": b"Exif\0\0" + exif(6),
        "a long": b"Exif\0\0" + exif(6, kind=4),
        "twice": b"Exif\0\0" + exif(3, count=2), "nine": b"Exif\0\0" + exif(9), "odd byte": b"Exif\0\1" + exif(8),
        "xmp": XMP,
    }.items():  # fmt: skip
        found[f"jpeg {name}"] = ("jpeg", with_segment(jpeg, 0xE1, body))
    found["jpeg two blocks"] = (
        "jpeg", with_segment(with_segment(jpeg, 0xE1, b"Exif\0\0" + exif(3)), 0xE1, b"Exif\0\0" + exif(6))
    )  # fmt: skip
    found["jpeg no end"] = ("jpeg", jpeg[:-2])
    found["jpeg bytes behind"] = ("jpeg", jpeg + b"more")
    found["gif"] = ("gif", encoded(PIXELS, "GIF"))
    found["bmp"] = ("bmp", encoded(PIXELS, "BMP"))
    for turn in (1, 3, 6, 8):
        tags = Image.Exif()
        tags[0x112] = turn
        found[f"avif {turn}"] = ("avif", encoded(PIXELS, "AVIF", quality=95, exif=tags.tobytes()))
    found["webp odd size"] = ("webp", _without_padding(encoded(PIXELS, "WEBP", lossless=True)))
    return found


def _without_padding(data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def test_what_chromium_shows_is_read_as_it_shows_it(browser: Browser) -> None:
    page = browser.new_page()
    shown = 0
    for name, (kind, data) in samples().items():
        seen = page.evaluate(SHOW, [kind, base64.b64encode(data).decode()])
        if seen is None:
            continue
        shown += 1
        width, height, text = seen
        theirs = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
        ours = load_image(data)  # never refused
        assert ours.size == (height, width), name
        drawn = theirs[..., 3] == 255
        assert np.abs(ours.rgb[drawn].astype(int) - theirs[drawn][:, :3]).mean() < 2.5, name
    assert shown > 60
    page.close()
