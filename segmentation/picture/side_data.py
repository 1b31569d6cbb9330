"""A file's metadata: orientation as browsers apply it, and the file without what decoding does not need.

One wrong byte in EXIF, text or gamma makes Pillow refuse pictures that every browser shows. So decoders get a cleaned
file with only what the pixels need: their data, transparency and an RGB profile.
"""

import re
import struct
import zlib
from collections.abc import Iterator

_MARKER = re.compile(rb"\xff[^\xff\x00\x01\xd0-\xd8]", re.DOTALL)
_SEGMENTS, _CHUNKS, _BLOCKS = 4096, 100_000, 400_000  # no legitimate file of 50 MB has more
_MAX_PROFILE_BYTES = 4 << 20
_TRNS = {0: 2, 2: 6, 3: 256}  # PNG colour type -> bytes of its transparency


class CostlyError(Exception):
    """The file was constructed to take long to read."""


def cleaned(data: bytes, kind: str) -> bytes:
    """The same picture with only what decoding needs.

    Args:
        data: The file.
        kind: Its format, as Pillow names it.

    Raises:
        CostlyError: It has more parts than any legitimate file.
    """
    clean = {"JPEG": _clean_jpeg, "PNG": _clean_png, "WEBP": _clean_webp, "AVIF": _clean_avif, "GIF": _clean_gif}
    return clean[kind](data) if kind in clean else data


def orientation(data: bytes, kind: str) -> int:
    """The picture's orientation, 1 to 8 as in EXIF, by Chromium's rules.

    JPEG: the first EXIF block before the pixels; PNG: the first valid eXIf chunk before them. Chromium does not rotate
    WebP and ignores XMP. The decoders of AVIF, HEIF and TIFF apply theirs themselves.
    """
    if kind == "JPEG":
        for code, at, end in jpeg_segments(data):
            if code == 0xE1 and end - at >= 11 and data[at + 4 : at + 9] == b"Exif\0":
                return _of_exif(data[at + 10 : end])
    elif kind == "PNG":
        for name, at, end, whole in png_chunks(data):
            if name == b"IDAT" or not whole:
                break
            if name == b"eXIf" and _crc_fits(data, at, end):
                return _of_exif(data[at:end])
    return 1


def _of_exif(block: bytes) -> int:
    """Orientation in a TIFF block: the first entry that is one SHORT from 1 to 8 (EXIF 3.0, 4.6.5.1)."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(block[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for at in range(first + 2, min(first + 2 + 12 * number(first, 2), len(block) - 11), 12):
        entry = number(at, 2), number(at + 2, 2), number(at + 4, 4)
        if entry == (0x112, 3, 1) and 1 <= number(at + 8, 2) <= 8:
            return number(at + 8, 2)
    return 1


def is_animated(data: bytes, kind: str) -> bool:
    """Whether the file has more than one frame."""
    if kind == "GIF":
        return _first_frame(data)[1]
    if kind == "PNG":
        return any(name == b"acTL" for name, *_ in png_chunks(data))
    if kind == "WEBP":
        return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)
    return kind == "AVIF" and data[8:12] == b"avis"


def jpeg_scans(data: bytes) -> int:
    """Number of scans of a JPEG; the two bytes that begin one cannot occur in coded pixels."""
    return max(1, data.count(b"\xff\xda"))


def is_progressive(data: bytes) -> bool:
    """Whether a JPEG has several scans, each of the whole picture."""
    return jpeg_scans(data) > 1 and b"\xff\xc2" in data[: data.find(b"\xff\xda")]


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Code, start and end of each segment up to the first scan; garbage between them is skipped, as in libjpeg."""
    at = 2
    for _ in range(_SEGMENTS):
        found = _MARKER.search(data, at)
        if not found or data[found.start() + 1] == 0xD9:
            return
        at = found.start()
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if end > len(data):
            return
        yield data[at + 1], at, end
        if data[at + 1] == 0xDA:
            return
        at = end
    raise CostlyError


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Name, start and end of the body of each chunk, and whether it is complete."""
    at = 8
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, min(end, len(data)), end + 4 <= len(data)
        at = end + 4
    raise CostlyError


def _crc_fits(data: bytes, start: int, end: int) -> bool:
    return zlib.crc32(memoryview(data)[start - 4 : end]) == int.from_bytes(data[end : end + 4], "big")


def _clean_jpeg(data: bytes) -> bytes:
    kept = [b"\xff\xd8"]
    for code, at, end in jpeg_segments(data):
        if code == 0xDA:
            return b"".join([*kept, memoryview(data)[at:]])
        body = data[at + 4 : end]
        if (
            (code < 0xE0 or 0xF0 <= code < 0xFE)
            or (code == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 14)
            or (code == 0xE2 and body[:12] == b"ICC_PROFILE\0" and len(body) > 14)
            or (code == 0xEE and body[:5] == b"Adobe" and len(body) >= 12)
        ):
            kept.append(data[at:end])
    return data


def _clean_png(data: bytes) -> bytes:
    head: list[bytes] = []
    pixels: list[bytes | memoryview] = []
    colour = None
    seen: set[bytes] = set()
    view = memoryview(data)
    for name, at, end, whole in png_chunks(data):
        if name == b"IDAT":  # unchanged: Pillow ignores its checksum
            pixels.append(view[at - 8 : end + 4] if whole else _chunk(name, data[at:end]))
        elif name == b"IEND":
            break
        elif pixels or not whole or not _crc_fits(data, at, end):
            continue
        elif name == b"IHDR" and end - at == 13:
            colour = data[at + 9]
            head.append(data[at - 8 : end + 4])
        elif name in seen:  # the first one counts
            continue
        elif name in (b"PLTE", b"iCCP"):
            seen.add(name)
            if name == b"PLTE" or _unpacks(data[at:end]):
                head.append(data[at - 8 : end + 4])
        elif name == b"tRNS" and colour in _TRNS and end - at >= (1 if colour == 3 else _TRNS[colour]):
            head.append(_chunk(name, data[at : min(end, at + _TRNS[colour])]))
    if colour is None or not pixels or (colour == 3 and b"PLTE" not in seen):
        return data  # the decoder reports what is wrong
    return b"".join([data[:8], *head, *pixels, _chunk(b"IEND", b"")])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _unpacks(profile: bytes) -> bool:
    try:
        packed = profile[profile.index(b"\0") + 2 :]
        return 128 < len(zlib.decompressobj().decompress(packed, _MAX_PROFILE_BYTES + 1)) <= _MAX_PROFILE_BYTES
    except (ValueError, zlib.error):
        return False


def _clean_webp(data: bytes) -> bytes:
    out, at, is_clean = [], 12, True
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            break
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        name, body = data[at : at + 4], data[at + 8 : at + 8 + size]
        is_clean &= name in (b"VP8 ", b"VP8L") and len(body) == size
        if name == b"VP8X" and body:
            body = bytes([body[0] & 0xF3]) + body[1:]  # no EXIF, no XMP
        if name not in (b"EXIF", b"XMP "):
            out += [name, struct.pack("<I", len(body)), body, b"\0" * (len(body) & 1)]
        at += 8 + size + (size & 1)
    else:
        raise CostlyError
    if is_clean and at == len(data) == 8 + int.from_bytes(data[4:8], "little"):
        return data
    body = b"".join(out)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _clean_avif(data: bytes) -> bytes:
    """Without Exif and mime items: their types are overwritten in place, so that no offset moves (ISO/IEC 23008-12)."""
    at = 0
    while at + 8 <= len(data) and (size := int.from_bytes(data[at : at + 4], "big")) >= 8:
        if data[at + 4 : at + 8] == b"meta":
            meta = re.sub(
                rb"(infe[\x02\x03]...(?:..|....)\0\0)(?:Exif|mime)", rb"\1skip", data[at : at + size], flags=re.DOTALL
            )
            return data[:at] + meta + data[at + size :]
        at += size
    return data


def _clean_gif(data: bytes) -> bytes:
    return _first_frame(data)[0]


def _first_frame(data: bytes) -> tuple[bytes, bool]:
    """A GIF of only the first frame, without comments, and whether there were more."""
    if len(data) < 13:
        return data, False
    blocks = 0

    def after_blocks(at: int) -> int:
        nonlocal blocks
        while at < len(data) and data[at]:
            at += data[at] + 1
            blocks += 1
            if blocks > _BLOCKS:
                raise CostlyError
        return at + 1

    at = 13 + _palette(data[10])
    head, control, frame = data[:at], b"", None
    while at < len(data):
        blocks += 1
        if data[at] == 0x21:  # an extension
            end = after_blocks(at + 2)
            if data[at + 1 : at + 3] == b"\xf9\4":
                control = data[at:end]
            at = end
        elif data[at] == 0x2C and len(data) >= at + 10:  # an image
            if frame is not None:
                return frame, True
            end = after_blocks(at + 11 + _palette(data[at + 9]))
            frame = b"".join([head, control, data[at:end], b";" if end <= len(data) else b""])
            at = end
        elif data[at] == 0x3B:  # the end
            break
        else:
            at += 1
        if blocks > _BLOCKS:
            raise CostlyError
    return (head + b";" if frame is None else frame), False


def _palette(flags: int) -> int:
    """Size in bytes of the palette announced by a GIF's flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def tiff_problem(data: bytes, pixels: int | None = None) -> bool:
    """Whether the first page of a TIFF is constructed to be costly: oversized tiles, a flood of strips or values.

    Args:
        data: The file.
        pixels: Number of pixels according to the decoder; according to the file's tags if not given.
    """
    order = {b"II": "little", b"MM": "big"}[data[:2]]

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    wide = 8 if number(2, 2) == 43 else 4  # BigTIFF
    at = number(wide, wide)
    count, at = number(at, wide if wide == 8 else 2), at + (8 if wide == 8 else 2)
    if count > 512:
        return True
    tags: dict[int, int] = {}
    for place in range(at, at + count * (4 + 2 * wide), 4 + 2 * wide):
        tag, kind, values = number(place, 2), number(place + 2, 2), number(place + 4, wide)
        size = _TIFF_SIZES.get(kind, 1)
        if values > (1 << 16 if tag in _TIFF_PIECES else 4096 if kind not in (1, 2, 7) else 32 << 20):
            return True
        if values == 1:
            tags[tag] = number(place + 4 + wide, size if size <= wide else wide)
    pixels = tags.get(256, 0) * tags.get(257, 0) if pixels is None else pixels
    return tags.get(277, 1) > 8 or tags.get(322, 0) * tags.get(323, 1) > max(1 << 22, 2 * pixels)


_TIFF_PIECES = (273, 279, 324, 325)  # offsets and byte counts of strips and tiles
_TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
