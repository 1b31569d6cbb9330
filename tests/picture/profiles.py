"""Colour profiles by hand (ICC.1:2001), as Pillow makes none but sRGB."""

import struct

import numpy as np
import numpy.typing as npt

# XYZ of red, green and blue under D50: rows of the matrices in ROMM RGB (ISO 22028-2) and in B. Lindbloom's tables
ROMM_TO_XYZ = np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0, 0, 0.8252100]])
SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


def profile(colour_space: bytes, kind: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A colour profile of no more than a colour engine needs."""
    white = struct.pack(">iii", 63190, 65536, 54061)  # D50 in 16.16
    tags |= {b"wtpt": b"XYZ \0\0\0\0" + white, b"cprt": b"text\0\0\0\0none\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    header = struct.pack(">I", start + len(data)) + bytes(4) + b"\x02\x10\0\0" + kind + colour_space + connection
    header += bytes(12) + b"acsp" + bytes(28) + white
    return header.ljust(128, b"\0") + table + data


def rgb_profile(to_xyz: npt.NDArray[np.float64], gamma: float) -> bytes:
    """An RGB space of these primaries (columns) and this exponent."""
    tags: dict[bytes, bytes] = {}
    for channel, xyz in zip("rgb", to_xyz.T, strict=True):
        tags[f"{channel}XYZ".encode()] = b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(n * 65536) for n in xyz))
        tags[f"{channel}TRC".encode()] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return profile(b"RGB ", b"mntr", b"XYZ ", tags)


WIDE = rgb_profile(ROMM_TO_XYZ, 1.8)
"""The wide space of photographers, ROMM or ProPhoto RGB."""


def in_wide(srgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The numbers in `WIDE`, 0..255, of colours of sRGB (IEC 61966-2-1)."""
    v = srgb / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    wide: npt.NDArray[np.float64] = linear @ (np.linalg.inv(ROMM_TO_XYZ) @ SRGB_TO_XYZ).T
    return np.clip(wide, 0, 1) ** (1 / 1.8) * 255
