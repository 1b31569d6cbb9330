"""The equations of closed-form matting over only the unknown pixels, and their direct solution.

Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, TPAMI 2008. The unknown pixels form a thin
band, which nested dissection cuts into small dense pieces: a multifrontal Cholesky factor (Liu, SIAM Review 1992) takes
about 100 numbers and a few microseconds per unknown, does not depend on the conditioning and needs no tolerance to be
tuned. Importing this module imports numba.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  loads the library that is limited below
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from segmentation.arrays import FOREGROUND, RGB, UNKNOWN, Trimap
from segmentation.matting.kernels import elimination
from segmentation.matting.prior import MaskPrior

# The factor takes thousands of small BLAS products. OpenBLAS would wake threads for each, and their spinning costs ten
# times the work itself; pictures are matted in parallel instead. numba calls SciPy's BLAS.
for _library in ThreadpoolController().lib_controllers:
    if _library.user_api == "blas" and "scipy" in _library.filepath.replace("libscipy", ""):
        _library.set_num_threads(1)

EPSILON = 1e-7  # Levin's and pymatting's
LEAF = 56  # pixels that are eliminated as one dense block rather than dissected further
STEP = 5e-3  # opacity; the refinement ends when no pixel changes by more
MAX_ITERATIONS = 30

Vector = NDArray[np.float64]  # (n,), a number per unknown pixel


@dataclass(frozen=True)
class Band:
    """The unknown pixels of a trimap."""

    number: NDArray[np.int32]  # (h, w) index of an unknown pixel; -1 certain background, -2 certain foreground
    ys: NDArray[np.int32]  # (n,)
    xs: NDArray[np.int32]  # (n,)


@dataclass(frozen=True)
class Plan:
    """The order in which the band is eliminated, and the memory it needs."""

    order: NDArray[np.int32]  # (n,) pixels, first eliminated first
    position: NDArray[np.int32]  # (n,) its inverse
    node: NDArray[np.int32]  # (nodes, 3) first and last + 1 position of a node's pixels, first of its subtree
    indptr: NDArray[np.int64]  # (nodes + 1,) where a node's front starts in indices
    indices: NDArray[np.int32]  # positions of the later pixels its elimination touches
    offset: NDArray[np.int64]  # (nodes + 1,) where a node's block of the factor starts
    waiting: int  # the most numbers that wait for a parent at any time

    @property
    def nbytes(self) -> int:
        """Peak size in bytes of factor, equations and this plan."""
        equations = 8 * (13 + 8) * self.order.size
        return 4 * int(self.offset[-1]) + 8 * self.waiting + 4 * self.indices.size + equations


def find_band(trimap: Trimap) -> Band:
    """Number the unknown pixels of a trimap (0, 128, 255)."""
    number = np.where(trimap == FOREGROUND, np.int32(-2), np.int32(-1))
    ys, xs = (axis.astype(np.int32) for axis in np.nonzero(trimap == UNKNOWN))
    number[ys, xs] = np.arange(ys.size, dtype=np.int32)
    return Band(number, ys, xs)


def plan_elimination(band: Band) -> Plan:
    """An elimination order by nested dissection, with the size of the factor."""
    n = band.ys.size
    order = np.arange(n, dtype=np.int32)
    node = np.empty((2 * n + 1, 3), np.int32)
    count = elimination.dissect(
        band.ys, band.xs, LEAF, order, np.empty(n, np.int32), np.empty(max(band.number.shape), np.int32), node
    )
    node = node[:count][::-1].copy()  # children before parents
    position = np.empty(n, np.int32)
    position[order] = np.arange(n, dtype=np.int32)
    indptr = np.zeros(count + 1, np.int64)
    children = np.empty(count, np.int32)
    waiting, room = -1, 8 * n + 1024
    while waiting < 0:
        indices = np.empty(room, np.int32)
        seen = np.full(n, -1, np.int32)
        waiting = elimination.find_fronts(
            band.number, band.ys, band.xs, order, position, node, seen, children, indptr, indices
        )
        room *= 2
    own = (node[:, 1] - node[:, 0]).astype(np.int64)
    offset = np.concatenate([[0], np.cumsum(own * (own + np.diff(indptr)))]).astype(np.int64)
    return Plan(order, position, node, indptr, indices[: indptr[-1]].copy(), offset, waiting)


def solve_band(image: RGB, band: Band, plan: Plan, prior: MaskPrior | None = None) -> tuple[NDArray[np.float64], int]:
    """Opacity of the band's pixels, not yet clipped to 0..1, and the number of conjugate gradient steps taken.

    The factor is in single precision and without the prior on cells, which would make it dense: it is a preconditioner.
    """
    n = band.ys.size
    stencil = np.zeros((n, 13))
    rhs = np.zeros(n)
    elimination.assemble(image, band.number, EPSILON, stencil, rhs)
    guess = rhs
    cells = None
    if prior is not None:
        stencil[:, 0] += prior.weight
        rhs += prior.weight * prior.target
        cells = prior.cells
    diagonal = stencil[:, 0].copy()
    if prior is not None and cells is not None:
        stencil[:, 0] += cells.pull
        guess = rhs + cells.pull * prior.target
        rhs = rhs + cells.wanted[cells.index]
    factor = _factorise(band, plan, stencil)
    stencil[:, 0] = diagonal

    def multiply(x: Vector) -> Vector:
        product = np.empty(n)
        elimination.apply_stencil(band.number, band.ys, band.xs, stencil, x, product)
        return product if cells is None else product + cells.multiply(x)

    def precondition(residual: Vector) -> Vector:
        x = residual[plan.order]
        elimination.substitute(plan.node, plan.indptr, plan.indices, factor, plan.offset, x)
        return x[plan.position]

    return _conjugate_gradients(multiply, precondition, rhs, precondition(guess))


def _factorise(band: Band, plan: Plan, stencil: NDArray[np.float64]) -> NDArray[np.float32]:
    factor = np.empty(int(plan.offset[-1]), np.float32)
    children, local = np.empty(len(plan.node), np.int32), np.empty(band.ys.size, np.int32)
    elimination.factorise(
        band.number, band.ys, band.xs, stencil, plan.order, plan.position, plan.node, plan.indptr, plan.indices,
        children, local, np.empty(plan.waiting), factor, plan.offset,
    )  # fmt: skip
    return factor


def _conjugate_gradients(
    multiply: Callable[[Vector], Vector], precondition: Callable[[Vector], Vector], rhs: Vector, x: Vector
) -> tuple[Vector, int]:
    """Refine x until a step changes no pixel by more than STEP; with ill conditioning the residual says little."""
    residual = rhs - multiply(x)
    direction = z = precondition(residual)
    energy = _dot(residual, z)
    for iteration in range(1, MAX_ITERATIONS + 1):
        product = multiply(direction)
        curvature = _dot(direction, product)
        if not curvature > 0:
            return x, iteration
        length = energy / curvature
        x = x + length * direction
        if abs(length) * np.abs(direction).max() < STEP:
            break
        residual = residual - length * product
        z = precondition(residual)
        energy, before = _dot(residual, z), energy
        direction = z + energy / before * direction
    return x, iteration


def _dot(a: Vector, b: Vector) -> float:
    """Inner product on one thread: NumPy's own BLAS would wake all its threads, whose spinning costs a third more."""
    return float(np.einsum("i,i->", a, b))
