"""The `.onnx` files of a repository: which variants they are, and which to take."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# endings of the Hub's convention, the longest first
_VARIANTS = {
    "_q4f16": "q4f16",
    "_fp16": "fp16",
    "_float16": "fp16",
    "_quantized": "int8",
    "_int8": "int8",
    "_uint8": "uint8",
    "_bnb4": "bnb4",
    "_q8": "int8",
    "_q4": "q4",
}
_PARTS = re.compile(r"encoder|decoder|prompt|vision|text|embed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One `.onnx` file of a repository."""

    path: str
    """In the repository, with "/"."""
    size: int
    """Bytes, those of its data files included."""

    @property
    def variant(self) -> str:
        """Its precision by its name: "fp32", "fp16", "int8", "uint8", "q4", "q4f16" or "bnb4"."""
        stem = self.path.rsplit("/", 1)[-1].removesuffix(".onnx").lower()
        return next((variant for ending, variant in _VARIANTS.items() if stem.endswith(ending)), "fp32")


def usual(files: Iterable[ModelFile]) -> ModelFile | None:
    """The file that is meant where none is named: full precision, onnx/model.onnx before others; None without any."""

    def rank(file: ModelFile) -> tuple[bool, bool, bool, bool, int, str]:
        name = file.path.rsplit("/", 1)[-1]
        return (
            bool(_PARTS.search(name)),
            file.variant != "fp32",
            name != "model.onnx",
            not file.path.startswith("onnx/"),
            file.path.count("/"),
            file.path,
        )

    return min(files, key=rank, default=None)
