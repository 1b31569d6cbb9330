"""What a promptable network keeps of a picture, so that each click runs only its second part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from segmentation.arrays import Size
from segmentation.network.tensor import Placement


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A picture as the encoder of a promptable network sees it; of a network in one part, its input."""

    tensors: Mapping[str, npt.NDArray[Any]]
    """By name of the input that they are for."""
    at: Placement
    """The picture's place in the network's input."""
    picture: Size
    model: str
    """Id of the model that made it, and that alone can use it."""

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())
