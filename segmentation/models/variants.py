"""Which `.onnx` files of a repository are the same network in other number formats, and which one to take."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.hub_reference import is_onnx_path

# the endings of transformers.js (src/utils/dtypes.js) and what others write
_FORMATS = {
    "fp32": "fp32", "float32": "fp32", "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16",
    "quantized": "int8", "quant": "int8", "int8": "int8", "q8": "int8", "uint8": "uint8",
    "q4": "q4", "int4": "q4", "q4f16": "q4f16", "bnb4": "bnb4", "q2": "q2", "q2f16": "q2f16", "q1": "q1",
    "q1f16": "q1f16",
}  # fmt: skip
_ENDING = re.compile(rf"[_.-]({'|'.join(_FORMATS)})$", re.IGNORECASE)
_PARTS_OF_ONE = re.compile(r"encoder|decoder|prompt|embed", re.IGNORECASE)
_SHOWN = 8  # file names in a sentence


class SizedFile(NamedTuple):
    """A file of a repository."""

    path: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Variant:
    """A network in one number format."""

    path: str
    format: str
    """"fp32", "fp16", "int8" and so on; fp32 where the name says nothing."""
    size: int
    """Bytes, with the data files that its name announces."""


def base_and_format(path: str) -> tuple[str, str]:
    """A file's path without the ending that names its number format, and that format."""
    stem = path.removesuffix(".onnx")
    found = _ENDING.search(PurePosixPath(stem).name)
    return (stem[: -len(found[0])], _FORMATS[found[1].lower()]) if found else (stem, "fp32")


def data_paths(graph: str, paths: Iterable[str]) -> list[str]:
    """The files beside a graph that by their names hold its data: `model.onnx_data`, `model.onnx_data_1`, ...

    Which it really needs, only the graph says.
    """
    stem = graph.removesuffix(".onnx")
    named = re.compile(
        rf"(?:{re.escape(graph)}(?:[._]data|\.bin|\.weights)|{re.escape(stem)}[._](?:data|weights))[\w.-]*", re.ASCII
    )
    return sorted(path for path in paths if named.fullmatch(path) and not path.endswith(".onnx"))


def variants(files: Sequence[SizedFile]) -> tuple[Variant, ...]:
    """Every `.onnx` file of a repository, with its format and what it weighs with its data."""
    sizes = dict(files)
    graphs = [path for path in sizes if is_onnx_path(path)]
    return tuple(
        Variant(path, base_and_format(path)[1], sizes[path] + sum(sizes[part] for part in data_paths(path, sizes)))
        for path in graphs
    )


class Choice(NamedTuple):
    """The variant to use, and a sentence if it is not the first one."""

    variant: Variant
    note: str


def choose(
    repo_id: str, files: Sequence[SizedFile], path: str | None = None, most: int | None = None, *, joint: str = ":"
) -> Choice:
    """The named file, or the network in fp32, or in the largest format within the limit.

    Args:
        repo_id: The repository or folder, for sentences.
        files: All of its files.
        path: The file that was named; None to choose.
        most: Bytes that it may have with its data; None for no limit.
        joint: What stands between repository and file where people name both.

    Raises:
        WeightsError: There is none, nothing says which, or all are too large.
    """
    offered = variants(files)
    if path is not None:
        named = next((variant for variant in offered if variant.path == path), None)
        if named is None:
            raise WeightsError(
                Message(
                    "{repo_id} has no file {file}. It has: {files}.",
                    repo_id=repo_id, file=path, files=_listed([v.path for v in offered] or [f.path for f in files]),
                )
            )  # fmt: skip
        if most is not None and named.size > most:
            raise _too_large(repo_id, named, most)
        return Choice(named, "")
    group = _network(repo_id, files, offered, joint)
    full = min(group, key=lambda variant: (variant.format != "fp32", -variant.size, len(variant.path), variant.path))
    fitting = [variant for variant in group if most is None or variant.size <= most]
    if not fitting:
        assert most is not None, "otherwise all fit"
        raise _too_large(repo_id, min(group, key=lambda variant: variant.size), most)
    if full in fitting:
        return Choice(full, "")
    taken = max(fitting, key=lambda variant: variant.size)
    note = Message(
        "{file} is used: {larger} has {size} MB, more than is allowed here.",
        file=taken.path, larger=full.path, size=_megabytes(full.size),
    )  # fmt: skip
    return Choice(taken, note)


def networks(offered: Iterable[Variant]) -> dict[str, list[Variant]]:
    """The variants of each network, by its path without format and ending."""
    groups: dict[str, list[Variant]] = {}
    for variant in offered:
        groups.setdefault(base_and_format(variant.path)[0], []).append(variant)
    return groups


def work_together(bases: Collection[str]) -> bool:
    """Whether these networks, named by their paths without ending, are by their names the parts of one model."""
    return len(bases) > 1 and any(_PARTS_OF_ONE.search(PurePosixPath(base).name) for base in bases)


def _network(repo_id: str, files: Sequence[SizedFile], offered: Sequence[Variant], joint: str) -> list[Variant]:
    """The variants of the repository's only network, or of the one called model.onnx, preferably in onnx/."""
    if not offered:
        raise _without_onnx(repo_id, files)
    groups = networks(offered)
    for base in ("onnx/model", "model"):
        if base in groups:
            return groups[base]
    if len(groups) == 1:
        return next(iter(groups.values()))
    names = _listed([min(group, key=lambda v: len(v.path)).path for group in groups.values()])
    if work_together(groups):
        raise WeightsError(
            Message(
                "{repo_id} consists of several networks that work together ({files}), as models do that need points or "
                "boxes on the picture. Such models need a registry entry.",
                repo_id=repo_id, files=names,
            )
        )  # fmt: skip
    raise WeightsError(
        Message(
            "{repo_id} has several models: {files}. Name one of them, as in {example}.",
            repo_id=repo_id, files=names, example=f"{repo_id}{joint}{min(offered, key=lambda v: v.path).path}",
        )
    )  # fmt: skip


def _without_onnx(repo_id: str, files: Sequence[SizedFile]) -> WeightsError:
    weights = [f.path for f in files if f.path.endswith((".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".h5"))]
    if weights:
        return WeightsError(
            Message(
                "{repo_id} has no .onnx file, only weights in other formats ({files}). It needs an export to ONNX: "
                "look for one by onnx-community, or search for the name with ONNX.",
                repo_id=repo_id, files=_listed(weights),
            )
        )  # fmt: skip
    return WeightsError(
        Message(
            "{repo_id} has no .onnx file. It has: {files}.",
            repo_id=repo_id, files=_listed([file.path for file in files]) or "-",
        )
    )  # fmt: skip


def _too_large(repo_id: str, variant: Variant, most: int) -> WeightsError:
    return WeightsError(
        Message(
            "{file} of {repo_id} has {size} MB; at most {most} MB are allowed here.",
            file=variant.path, repo_id=repo_id, size=_megabytes(variant.size), most=_megabytes(most),
        )
    )  # fmt: skip


def _megabytes(size: int) -> int:
    return -(-size // (1 << 20))


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(path[:100] for path in paths[:_SHOWN])
    return f"{shown}, ..." if len(paths) > _SHOWN else shown
