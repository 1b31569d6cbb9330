"""Compiled kernels of the closed-form equations. Nothing compiles before the first call.

Every kernel is serial, releases the GIL (so several threads can matte pictures at once) and is compiled for one set of
types. Plain loops over preallocated arrays keep the compilation short: array expressions cost seconds each.
"""

import numpy as np

from segmentation.matting.kernels.cholesky import factorise_covariance, whitened
from segmentation.matting.kernels.compiled import compiled

PANEL = 32  # columns eliminated at a time; the rest of a front is updated by one BLAS product per strip
STRIP = 128  # rows of a front per product


@compiled
def assemble(image, number, epsilon, stencil, rhs):
    """Add the matting Laplacian of every 3x3 window that holds an unknown pixel to `stencil` and `rhs`.

    number: int32 (h, w), an unknown pixel's index, -1 for certain background, -2 for certain foreground.
    stencil: float64 (n, 13), row i: coefficients of pixel i with itself and with the 12 pixels after it, in raster
        order, that share a window with it: (0, 0) (0, 1) (0, 2) (1, -2) ... (1, 2) (2, -2) ... (2, 2).
    """
    h, w = number.shape
    colour = np.empty((9, 3))
    index = np.empty(9, np.int32)
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            unknown = False
            for dy in range(3):
                for dx in range(3):
                    if number[y + dy - 1, x + dx - 1] >= 0:
                        unknown = True
            if not unknown:
                continue
            m0 = m1 = m2 = 0.0
            for k in range(9):
                v, u = y + k // 3 - 1, x + k % 3 - 1
                index[k] = number[v, u]
                colour[k, 0] = image[v, u, 0] / 255.0
                colour[k, 1] = image[v, u, 1] / 255.0
                colour[k, 2] = image[v, u, 2] / 255.0
                m0 += colour[k, 0]
                m1 += colour[k, 1]
                m2 += colour[k, 2]
            a00 = a11 = a22 = epsilon
            a01 = a02 = a12 = 0.0
            for k in range(9):
                r = colour[k, 0] - m0 / 9
                g = colour[k, 1] - m1 / 9
                b = colour[k, 2] - m2 / 9
                colour[k, 0] = r
                colour[k, 1] = g
                colour[k, 2] = b
                a00 += r * r
                a01 += r * g
                a02 += r * b
                a11 += g * g
                a12 += g * b
                a22 += b * b
            # colours whitened by the covariance turn every pair into one dot product, without the cancellation of a
            # determinant
            factor = factorise_covariance(a00 / 9, a01 / 9, a02 / 9, a11 / 9, a12 / 9, a22 / 9, 0.0)
            for k in range(9):
                colour[k, 0], colour[k, 1], colour[k, 2] = whitened(colour[k, 0], colour[k, 1], colour[k, 2], factor)
            for i in range(9):
                p = index[i]
                if p >= 0:
                    stencil[p, 0] += 1.0
                for j in range(i, 9):
                    q = index[j]
                    if p < 0 and q < 0:
                        continue
                    value = (
                        -(1.0 + colour[i, 0] * colour[j, 0] + colour[i, 1] * colour[j, 1] + colour[i, 2] * colour[j, 2])
                        / 9
                    )
                    if p >= 0 and q >= 0:
                        stencil[p, 5 * (j // 3 - i // 3) + j % 3 - i % 3] += value
                    elif q == -2:
                        rhs[p] -= value
                    elif p == -2:
                        rhs[q] -= value


@compiled
def dissect(ys, xs, leaf, order, spare, histogram, node):
    """Nested dissection of pixels: a tree of boxes parted by separators two pixels wide.

    order: int32 (n,), holds 0..n-1; becomes the elimination order, a subtree's pixels right before its root's own.
    spare, histogram: scratch. node: int32 (>= 2 n, 3), becomes, root first: first and last + 1 position of a node's
        own pixels, first position of its subtree.

    Returns:
        The number of nodes.
    """
    stack = np.empty((128, 2), np.int64)
    stack[0, 0] = 0
    stack[0, 1] = ys.size
    depth = 1
    count = 0
    while depth:
        depth -= 1
        low = stack[depth, 0]
        high = stack[depth, 1]
        if high == low:
            continue
        node[count, 0] = low
        node[count, 1] = high
        node[count, 2] = low
        count += 1
        total = high - low
        if total <= leaf or depth > 120:
            continue
        y0 = y1 = ys[order[low]]
        x0 = x1 = xs[order[low]]
        for k in range(low, high):
            p = order[k]
            y0 = min(y0, ys[p])
            y1 = max(y1, ys[p])
            x0 = min(x0, xs[p])
            x1 = max(x1, xs[p])
        tall = y1 - y0 > x1 - x0
        along = ys if tall else xs
        first = y0 if tall else x0
        extent = y1 - y0 + 1 if tall else x1 - x0 + 1
        for c in range(extent):
            histogram[c] = 0
        for k in range(low, high):
            histogram[along[order[k]] - first] += 1
        left = 0
        best = 1e30
        cut = first + 1
        for c in range(1, extent - 2):
            left += histogram[c - 1]
            width = histogram[c] + histogram[c + 1]
            smaller = min(left, total - left - width)
            cost = (width + 2.0) * (1.3 - 0.6 * smaller / total)
            if 5 * smaller < total:
                cost += 1e6 * (total - smaller)
            if cost < best:
                best = cost
                cut = first + c
        # before the cut, after it, on it
        a = low
        held = 0
        for k in range(low, high):
            p = order[k]
            if along[p] < cut:
                order[a] = p
                a += 1
            else:
                spare[held] = p
                held += 1
        middle = a
        for k in range(held):
            if along[spare[k]] > cut + 1:
                order[a] = spare[k]
                a += 1
        node[count - 1, 0] = a
        stack[depth, 0] = low
        stack[depth, 1] = middle
        stack[depth + 1, 0] = middle
        stack[depth + 1, 1] = a
        depth += 2
        for k in range(held):
            if along[spare[k]] <= cut + 1:
                order[a] = spare[k]
                a += 1
    return count


@compiled
def find_fronts(number, ys, xs, order, position, node, seen, children, indptr, indices):
    """Positions of the later pixels that each node's elimination touches, its front, as indptr and indices.

    seen: int32 (n,), all -1. children: int32 (nodes,), scratch.

    Returns:
        The greatest number of coefficients that wait for a parent at once, or -1: `indices` is too small.
    """
    h = number.shape[0]
    w = number.shape[1]
    top = 0
    waiting = 0
    most = 0
    held = 0
    for t in range(node.shape[0]):
        start = node[t, 0]
        stop = node[t, 1]
        if top + seen.size - stop > indices.size:
            return -1
        for k in range(start, stop):
            y = ys[order[k]]
            x = xs[order[k]]
            for v in range(max(y - 2, 0), min(y + 3, h)):
                for u in range(max(x - 2, 0), min(x + 3, w)):
                    if number[v, u] >= 0:
                        q = position[number[v, u]]
                        if q >= stop and seen[q] != t:
                            seen[q] = t
                            indices[top] = q
                            top += 1
        while held and node[children[held - 1], 2] >= node[t, 2]:
            held -= 1
            child = children[held]
            waiting -= (indptr[child + 1] - indptr[child]) ** 2
            for k in range(indptr[child], indptr[child + 1]):
                q = indices[k]
                if q >= stop and seen[q] != t:
                    seen[q] = t
                    indices[top] = q
                    top += 1
        indptr[t + 1] = top
        children[held] = t
        held += 1
        waiting += (top - indptr[t]) ** 2
        most = max(most, waiting)
    return most


@compiled
def eliminate(front, pivots):
    """Cholesky-eliminate the first `pivots` rows of a dense symmetric front (lower triangle) in place."""
    m = front.shape[0]
    for first in range(0, pivots, PANEL):
        wide = min(PANEL, pivots - first)
        panel = np.empty((wide, m - first))  # transposed: the inner loops run along memory
        for i in range(m - first):
            for j in range(min(i + 1, wide)):
                panel[j, i] = front[first + i, first + j]
        for j in range(wide):
            d = panel[j, j]
            if d <= 1e-14:
                d = 1e30  # nothing holds this pixel: pin it to 0
            d = 1.0 / np.sqrt(d)
            for i in range(j, m - first):
                panel[j, i] *= d
            for k in range(j + 1, wide):
                c = panel[j, k]
                for i in range(k, m - first):
                    panel[k, i] -= c * panel[j, i]
        rows = np.empty((m - first, wide))
        for i in range(m - first):
            for j in range(min(i + 1, wide)):
                rows[i, j] = panel[j, i]
                front[first + i, first + j] = panel[j, i]
        for top in range(wide, m - first, STRIP):  # by strips, to compute little of the unused upper triangle
            bottom = min(top + STRIP, m - first)
            product = np.empty((bottom - top, bottom - wide))
            np.dot(rows[top:bottom], rows[wide:bottom].T, product)
            for i in range(bottom - top):
                for j in range(min(top + i + 1, bottom) - wide):
                    front[first + top + i, first + wide + j] -= product[i, j]


@compiled
def factorise(number, ys, xs, stencil, order, position, node, indptr, indices, children, local, waiting, store, offset):
    """Multifrontal Cholesky factor: one dense block (front, own pixels) per node, one after the other in `store`."""
    h = number.shape[0]
    w = number.shape[1]
    top = 0
    held = 0
    for t in range(node.shape[0]):
        start = node[t, 0]
        stop = node[t, 1]
        s = stop - start
        b = indptr[t + 1] - indptr[t]
        front = np.zeros((s + b, s + b))
        for k in range(start, stop):
            local[k] = k - start
        for k in range(b):
            local[indices[indptr[t] + k]] = s + k
        for k in range(start, stop):
            p = order[k]
            for j in range(13):
                dy = (j + 2) // 5
                dx = (j + 2) % 5 - 2
                v = ys[p] + dy
                u = xs[p] + dx
                if v < h and 0 <= u < w and number[v, u] >= 0:
                    q = position[number[v, u]]
                    if q >= start:
                        a = local[k]
                        c = local[q]
                        front[max(a, c), min(a, c)] += stencil[p, j]
                v = ys[p] - dy
                u = xs[p] - dx
                if j > 0 and v >= 0 and 0 <= u < w and number[v, u] >= 0:
                    q = position[number[v, u]]
                    if q >= stop:
                        front[local[q], local[k]] += stencil[number[v, u], j]
        while held and node[children[held - 1], 2] >= node[t, 2]:
            held -= 1
            child = children[held]
            edge = indptr[child]
            count = indptr[child + 1] - edge
            top -= count * count
            for i in range(count):
                a = local[indices[edge + i]]
                for j in range(i + 1):
                    c = local[indices[edge + j]]
                    front[max(a, c), min(a, c)] += waiting[top + i * count + j]
        eliminate(front, s)
        for i in range(s + b):
            for j in range(s):
                store[offset[t] + i * s + j] = front[i, j]
        for i in range(b):
            for j in range(i + 1):
                waiting[top + i * b + j] = front[s + i, s + j]
        top += b * b
        children[held] = t
        held += 1


@compiled
def substitute(node, indptr, indices, store, offset, x):
    """Solve L L^T x = b in place; x holds b, in elimination order."""
    nodes = node.shape[0]
    for t in range(nodes):
        start = node[t, 0]
        s = node[t, 1] - start
        at = offset[t]
        for i in range(s + indptr[t + 1] - indptr[t]):
            value = 0.0
            for k in range(min(i, s)):
                value += store[at + k] * x[start + k]
            if i < s:
                x[start + i] = (x[start + i] - value) / store[at + i]
            else:
                x[indices[indptr[t] + i - s]] -= value
            at += s
    for t in range(nodes - 1, -1, -1):
        start = node[t, 0]
        s = node[t, 1] - start
        at = offset[t + 1]
        for i in range(s + indptr[t + 1] - indptr[t] - 1, -1, -1):
            at -= s
            if i < s:
                x[start + i] /= store[at + i]
                value = x[start + i]
            else:
                value = x[indices[indptr[t] + i - s]]
            for k in range(min(i, s)):
                x[start + k] -= store[at + k] * value


@compiled
def apply_stencil(number, ys, xs, stencil, x, product):
    """Write the symmetric matrix behind `stencil` times x into product."""
    h = number.shape[0]
    w = number.shape[1]
    for p in range(x.size):
        product[p] = 0.0
    for p in range(x.size):
        total = stencil[p, 0] * x[p]
        for j in range(1, 13):
            v = ys[p] + (j + 2) // 5
            u = xs[p] + (j + 2) % 5 - 2
            if v < h and 0 <= u < w and number[v, u] >= 0:
                q = number[v, u]
                total += stencil[p, j] * x[q]
                product[q] += stencil[p, j] * x[p]
        product[p] += total
