"""The kind of a file, by its first bytes; its name is ignored."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 1 << 16
"""How much of a file `kind_of` needs, if it is that long."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file."""

    name: str
    """As Pillow names it if readable, such as "JPEG"; else for people, such as "a camera raw file (CR2)"."""
    is_readable: bool = False
    """Whether it is a picture that we can decode."""


READABLE = {
    name: FileKind(name, is_readable=True) for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
}
PICTURE_ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif")
)
"""Of the names of pictures that can be decoded, where a file's content would have to be downloaded first."""
UNKNOWN = FileKind("")
JPEG_XL, JPEG_2000 = FileKind("a JPEG XL picture"), FileKind("a JPEG 2000 picture")
SVG, WEB_PAGE = FileKind("an SVG drawing"), FileKind("a web page")
_VIDEO = FileKind("a video")
_START = {
    b"\xff\xd8": READABLE["JPEG"],
    b"\x89PNG\r\n\x1a\n": READABLE["PNG"],
    b"GIF87a": READABLE["GIF"],
    b"GIF89a": READABLE["GIF"],
    b"BM": READABLE["BMP"],
    b"\xff\x0a": JPEG_XL,
    b"\0\0\0\x0cJXL \r\n\x87\n": JPEG_XL,
    b"\0\0\0\x0cjP  \r\n\x87\n": JPEG_2000,
    b"\xff\x4f\xff\x51": JPEG_2000,
    b"8BPS": FileKind("a Photoshop document (PSD)"),
    b"%PDF-": FileKind("a PDF document"),
    b"gimp xcf": FileKind("a GIMP document (XCF)"),
    b"\0\0\1\0": FileKind("an icon (ICO)"),
    b"FUJIFILMCCD-RAW": FileKind("a camera raw file (RAF)"),
    b"IIRO": FileKind("a camera raw file (ORF)"),
    b"IIRS": FileKind("a camera raw file (ORF)"),
    b"MMOR": FileKind("a camera raw file (ORF)"),
    b"IIU\0": FileKind("a camera raw file (RW2)"),
    b"FOVb": FileKind("a camera raw file (X3F)"),
    b"II\x1a\0\0\0HEAPCCDR": FileKind("a camera raw file (CRW)"),
    b"\0MRM": FileKind("a camera raw file (MRW)"),
    b"PK\3\4": FileKind("a ZIP or office document"),
    b"\x1aE\xdf\xa3": _VIDEO,
    b"\0\0\1\xba": _VIDEO,
    b"\0\0\1\xb3": _VIDEO,
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), READABLE["AVIF"]),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"),
        READABLE["HEIF"],
    ),
    b"crx ": FileKind("a camera raw file (CR3)"),
    b"jxl ": JPEG_XL,
    **dict.fromkeys((b"jp2 ", b"jpx ", b"jph "), JPEG_2000),
}
_OF_ANY_CODEC = (b"mif1", b"msf1", b"mif2")  # brands of the container; later brands name the content


def file_kind(path: Path) -> FileKind:
    """The kind of a file; `UNKNOWN` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES))
    except OSError:
        return UNKNOWN


def kind_of(data: bytes) -> FileKind:
    """The kind of a file that begins with these bytes."""
    if kind := next((kind for start, kind in _START.items() if data.startswith(start)), None):
        return kind
    if data[:4] == b"RIFF":
        return {b"WEBP": READABLE["WEBP"], b"AVI ": _VIDEO}.get(data[8:12], UNKNOWN)
    if data[4:8] == b"ftyp":
        return _of_brands(data)
    if data[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return _VIDEO
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _of_tiff(data)
    return _of_text(data)


def _of_brands(data: bytes) -> FileKind:
    """The kind of an ISO base media file (ISO/IEC 14496-12), by its brands in order."""
    size = int.from_bytes(data[:4], "big")
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))]
    specific = [brand for brand in brands if brand not in _OF_ANY_CODEC] + brands[:1]
    return next((_BRANDS[brand] for brand in specific if brand in _BRANDS), _VIDEO)


def _of_tiff(data: bytes) -> FileKind:
    """TIFF, or a camera raw: a TIFF whose first picture is a small preview (TIFF 6.0, DNG 1.7, TIFF/EP)."""
    if data[8:10] == b"CR":
        return FileKind("a camera raw file (CR2)")
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    tags: dict[int, int] = {}
    make = b""
    first = number(4, 4)
    if data[2:4] in (b"*\0", b"\0*"):
        for at in range(first + 2, min(first + 2 + 12 * number(first, 2), len(data) - 11), 12):
            tag = number(at, 2)
            tags[tag] = number(at + 8, 2 if number(at + 2, 2) == 3 else 4)
            if tag == 271 and number(at + 4, 4) > 4:
                make = data[tags[tag] : tags[tag] + 20].upper()
    if 50706 in tags:
        return FileKind("a camera raw file (DNG)")
    is_preview = 330 in tags and (tags.get(254, 0) & 1 or make.startswith((b"NIKON", b"SONY", b"PENTAX", b"SAMSUNG")))
    if is_preview or tags.get(262) in (32803, 34892):  # colour filter array, linear raw
        return FileKind("a camera raw file")
    return READABLE["TIFF"]


def _of_text(data: bytes) -> FileKind:
    head = data[:4096]
    if head[:2] == b"\x1f\x8b":  # drawings are often compressed
        try:
            head = zlib.decompressobj(31).decompress(data, 4096)
        except zlib.error:
            return UNKNOWN
    text = head.replace(b"\0", b"").lower()  # UTF-16 as well
    if b"<html" in text or b"<!doctype html" in text:  # first, as a page may contain drawings
        return WEB_PAGE
    return SVG if re.search(rb"<(\w+:)?svg[\s>]", text) else UNKNOWN
