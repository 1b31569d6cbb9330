"""An `.onnx` file without its weights: gigabytes are skipped on disk, not read."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LARGEST = 4096  # bytes of a constant that is kept: sizes, scales, means
_DEEPEST = 24  # graphs inside attributes inside graphs
_MOST = 256 << 20  # bytes of what is left


@dataclass(frozen=True)
class _Kind:
    """A protobuf message of onnx.proto3: field number -> message, and the fields that hold a tensor's values."""

    parts: dict[int, "_Kind"] = field(default_factory=dict)
    values: frozenset[int] = frozenset()


_TENSOR = _Kind(values=frozenset({4, 5, 6, 7, 9, 10, 11}))
_SPARSE = _Kind({1: _TENSOR, 2: _TENSOR})
_ATTRIBUTE = _Kind({5: _TENSOR, 10: _TENSOR, 22: _SPARSE, 23: _SPARSE})
_NODE = _Kind({5: _ATTRIBUTE})
_GRAPH = _Kind({1: _NODE, 5: _TENSOR, 15: _SPARSE})
_ATTRIBUTE.parts.update({6: _GRAPH, 11: _GRAPH})
_MODEL = _Kind({7: _GRAPH, 25: _Kind({7: _NODE, 11: _ATTRIBUTE})})


def slim_bytes(path: Path) -> bytes:
    """The file's protobuf message without the values of large tensors; their names, types and shapes stay.

    Raises:
        ValueError: It is not a protobuf message, or an absurd one.
        OSError: It cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        left = b"".join(_slimmed(content, 0, len(content), _MODEL, 0))
    if len(left) > _MOST:
        raise ValueError("too large without its weights")
    return left


def _slimmed(content: mmap.mmap, at: int, end: int, kind: _Kind, depth: int) -> Iterator[bytes]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    while at < end:
        start = at
        tag, at = _number(content, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _number(content, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _number(content, at, end)
            inner, at = at, at + length
            if at > end:
                raise ValueError("truncated")
            if part := kind.parts.get(number):
                slim = b"".join(_slimmed(content, inner, at, part, depth + 1))
                yield _varint(tag) + _varint(len(slim)) + slim
                continue
            if number in kind.values and length > _LARGEST:
                continue
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at > end:
            raise ValueError("truncated")
        yield content[start:at]


def _number(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(content[at : min(at + 10, end)]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number without an end")


def _varint(value: int) -> bytes:
    done = bytearray()
    while value > 0x7F:
        done.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*done, value])
