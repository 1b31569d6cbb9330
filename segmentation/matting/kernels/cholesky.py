"""The square root of a 3x3 covariance of colours, and colours whitened by it."""

import numpy as np

from segmentation.matting.kernels.compiled import compiled


@compiled
def factorise_covariance(a00, a01, a02, a11, a12, a22, floor):
    """The Cholesky factor (c00, c10, c20, c11, c21, c22) of a symmetric matrix; its later pivots are at least floor."""
    c00 = np.sqrt(a00)
    c10 = a01 / c00
    c20 = a02 / c00
    c11 = np.sqrt(max(a11 - c10 * c10, floor))
    c21 = (a12 - c20 * c10) / c11
    c22 = np.sqrt(max(a22 - c20 * c20 - c21 * c21, floor))
    return c00, c10, c20, c11, c21, c22


@compiled
def whitened(r, g, b, factor):
    """A colour divided by the factor: forward substitution."""
    c00, c10, c20, c11, c21, c22 = factor
    r = r / c00
    g = (g - c10 * r) / c11
    b = (b - c20 * r - c21 * g) / c22
    return r, g, b
