"""A picture through a network by one contract after another, computing no output twice."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, ProbabilityMap, Tensor
from segmentation.errors import SessionError
from segmentation.models.spec import Contract, InputSpec, OutputSpec
from segmentation.network.reading import to_probability
from segmentation.network.session import Session
from segmentation.network.tensor import DEFAULT_SIZE, to_tensor

Run: TypeAlias = Callable[[Tensor, str], npt.NDArray[Any]]
"""An input tensor, and the name of an output -> that output."""

_OUTSIDE = 0.05  # how far values may leave 0..1 and still be probabilities, in half precision for example


def run_of(session: Session) -> Run:
    """Run a loaded network, whichever of its outputs is wanted."""
    return lambda tensor, output: session.run(tensor, output=output).output


class Runs:
    """Outputs of one network, each computed once."""

    def __init__(self, run: Run, edge: int) -> None:
        """Without any outputs yet.

        Args:
            run: Computes one.
            edge: Size in pixels that a network of any size runs at.
        """
        self._run, self._edge = run, edge
        self._known: dict[tuple[str, str], npt.NDArray[Any] | SessionError] = {}

    @property
    def count(self) -> int:
        """Runs so far."""
        return len(self._known)

    def read(self, rgb: RGB, contract: Contract) -> tuple[ProbabilityMap, bool]:
        """The probability map of all classes together, and whether the output's values allow this reading.

        Raises:
            SessionError: The run failed, or the output cannot be read so.
        """
        tensor, at = to_tensor(rgb, _at_most(contract.input, self._edge))
        assert contract.output.name is not None, "candidates name it"
        output = self._output(tensor, contract.output.name)
        maps = list(to_probability(output, contract.output, contract.input.layout, at).maps.values())
        if not maps:  # none of its classes is in the picture
            maps = [np.zeros(at.canvas, np.float32)]
        return maps[0] if len(maps) == 1 else np.minimum(sum(maps[1:], maps[0]), 1.0), _allows(output, contract.output)

    def _output(self, tensor: Tensor, name: str) -> npt.NDArray[Any]:
        # by the tensor: scales of 255 and image_max are the same where the picture has white
        key = blake2b(tensor.tobytes(), digest_size=16).hexdigest(), name
        if key not in self._known:
            try:
                self._known[key] = self._run(tensor, name)
            except SessionError as error:
                self._known[key] = error
        answer = self._known[key]
        if isinstance(answer, SessionError):
            raise answer
        return answer


def _at_most(spec: InputSpec, edge: int) -> InputSpec:
    """The input at a small size, if the network takes any."""
    if not spec.dynamic:
        return spec
    size = spec.size or DEFAULT_SIZE
    longest = max(size) if isinstance(size, tuple) else size
    if longest <= edge:
        return spec.model_copy(update={"size": size})
    edges = [
        _rounded(each * edge / longest, spec.multiple_of) for each in (size if isinstance(size, tuple) else (size,))
    ]
    return spec.model_copy(update={"size": tuple(edges) if len(edges) == 2 else edges[0]})


def _rounded(edge: float, multiple: int) -> int:
    return max(1, round(edge / multiple)) * multiple


def _allows(output: npt.NDArray[Any], spec: OutputSpec) -> bool:
    """Whether values can be what a reading takes them for: probabilities lie within 0..1, logits do not.

    Bytes, or anything from 0 up, may be stretched.
    """
    if spec.kind == "labels" or spec.activation == "softmax":
        return True
    finite = output[np.isfinite(output)] if output.dtype.kind == "f" else output
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    within = low >= -_OUTSIDE and high <= 1 + _OUTSIDE
    if spec.activation == "sigmoid":
        return not within
    return within or (spec.normalise == "minmax" and low >= -_OUTSIDE)
