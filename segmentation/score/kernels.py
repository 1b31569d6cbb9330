"""The compiled part of the weighted F-measure: errors weighted by the distance to the true subject."""

import numpy as np

from segmentation.matting.kernels.compiled import compiled


@compiled
def nearest_rows(truth, rows):
    """Fill `rows` (h, w) with the row of the nearest True in the same column, the upper one of two; -1 for none."""
    h, w = truth.shape
    for y in range(h):
        for x in range(w):
            rows[y, x] = y if truth[y, x] else (rows[y - 1, x] if y > 0 else -1)
    for y in range(h - 2, -1, -1):
        for x in range(w):
            below = rows[y + 1, x]
            if below > y and (rows[y, x] < 0 or below - y < y - rows[y, x]):
                rows[y, x] = below


@compiled
def background_error(truth, rows, errors, levels, near):
    """The sum of the weighted errors of the background, by the exact distance to the subject.

    Distances are the lower envelope of one parabola for each column (Felzenszwalb and Huttenlocher 2012). Of several
    nearest pixels the leftmost counts, and of those the uppermost, as in SciPy's transform.

    Args:
        truth: (h, w), bool. At least one pixel is True.
        rows: (h, w), from `nearest_rows`.
        errors: (h, w), uint8: the prediction's level.
        levels: (256,), float64: the error of a background pixel at each level.
        near: (h, w), uint8. The level of the nearest subject pixel is written to it where a 7 x 7 window around a
            subject pixel may look.
    """
    h, w = truth.shape
    total = 0.0
    columns = np.empty(w, np.int64)
    starts = np.empty(w + 1, np.float64)
    rate = np.log(0.5) / 5.0
    for y in range(h):
        last = -1
        for x in range(w):
            if rows[y, x] < 0:
                continue
            up = np.float64(rows[y, x] - y)
            start = -np.inf
            while last >= 0:
                v = columns[last]
                down = np.float64(rows[y, v] - y)
                start = ((up * up + x * x) - (down * down + v * v)) / (2.0 * (x - v))
                if start > starts[last]:
                    break
                last -= 1
            if last < 0:
                start = -np.inf
            last += 1
            columns[last] = x
            starts[last] = start
        at = 0
        for x in range(w):
            while at < last and starts[at + 1] < x:
                at += 1
            if truth[y, x]:
                near[y, x] = errors[y, x]
                continue
            v = columns[at]
            row = rows[y, v]
            squared = (row - y) * (row - y) + (x - v) * (x - v)
            if squared <= 18:
                near[y, x] = errors[row, v]
            error = levels[errors[y, x]]
            if error > 0.0:
                total += error * (2.0 - np.exp(rate * np.sqrt(squared)))
    return total


@compiled
def subject_error(truth, near, levels, kernel):
    """The sum of the errors of the subject, each at most the mean error around it weighted by a 7 x 7 kernel.

    Args:
        truth: (h, w), bool.
        near: (h, w), from `background_error`.
        levels: (256,), float64: the error of a subject pixel at each level.
        kernel: (7, 7), float64.
    """
    h, w = truth.shape
    total = 0.0
    for y in range(h):
        for x in range(w):
            if not truth[y, x]:
                continue
            error = levels[near[y, x]]
            if error <= 0.0:
                continue
            mean = 0.0
            for v in range(max(0, y - 3), min(h, y + 4)):
                for u in range(max(0, x - 3), min(w, x + 4)):
                    mean += kernel[v - y + 3, u - x + 3] * levels[near[v, u]]
            total += min(error, mean)
    return total
