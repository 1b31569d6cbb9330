"""Compiled kernels on pictures: shrinking, local lines, colours. See `elimination` for how they are compiled."""

import numpy as np

from segmentation.matting.kernels.cholesky import factorise_covariance, whitened
from segmentation.matting.kernels.compiled import compiled


@compiled
def shrink(image, trimap, mask, small_image, small_trimap, small_mask):
    """Average image and mask over boxes; a small pixel is certain only where everything under it is."""
    h = trimap.shape[0]
    w = trimap.shape[1]
    hs = small_trimap.shape[0]
    ws = small_trimap.shape[1]
    for y in range(hs):
        top = y * h / hs
        bottom = (y + 1) * h / hs
        for x in range(ws):
            left = x * w / ws
            right = (x + 1) * w / ws
            area = r = g = b = m = 0.0
            certain = trimap[int(top), int(left)]
            for v in range(int(top), min(int(np.ceil(bottom)), h)):
                tall = min(bottom, v + 1.0) - max(top, float(v))
                if tall < 1e-6:
                    continue
                for u in range(int(left), min(int(np.ceil(right)), w)):
                    wide = min(right, u + 1.0) - max(left, float(u))
                    if wide < 1e-6:
                        continue
                    a = tall * wide
                    area += a
                    r += a * image[v, u, 0]
                    g += a * image[v, u, 1]
                    b += a * image[v, u, 2]
                    m += a * mask[v, u]
                    if trimap[v, u] != certain:
                        certain = 128
            small_image[y, x, 0] = np.uint8(r / area + 0.5)
            small_image[y, x, 1] = np.uint8(g / area + 0.5)
            small_image[y, x, 2] = np.uint8(b / area + 0.5)
            small_mask[y, x] = np.uint8(m / area + 0.5)
            small_trimap[y, x] = certain


@compiled
def fit_lines(image, alpha, radius, epsilon, near, lines):
    """Fit alpha = a . colour + b in the window around every pixel next to an unknown one (guided filter).

    near: uint8 (h, w), where a fit is wanted. lines: float32 (h, w, 4), becomes a and b; colours in 0..1.
    """
    h = alpha.shape[0]
    w = alpha.shape[1]
    for y in range(h):
        for x in range(w):
            if not near[y, x]:
                continue
            n = s0 = s1 = s2 = sp = a00 = a01 = a02 = a11 = a12 = a22 = p0 = p1 = p2 = 0.0
            for v in range(max(y - radius, 0), min(y + radius + 1, h)):
                for u in range(max(x - radius, 0), min(x + radius + 1, w)):
                    r = image[v, u, 0] / 255.0
                    g = image[v, u, 1] / 255.0
                    b = image[v, u, 2] / 255.0
                    p = alpha[v, u]
                    n += 1.0
                    s0 += r
                    s1 += g
                    s2 += b
                    sp += p
                    a00 += r * r
                    a01 += r * g
                    a02 += r * b
                    a11 += g * g
                    a12 += g * b
                    a22 += b * b
                    p0 += r * p
                    p1 += g * p
                    p2 += b * p
            s0 /= n
            s1 /= n
            s2 /= n
            sp /= n
            factor = factorise_covariance(
                a00 / n - s0 * s0 + epsilon, a01 / n - s0 * s1, a02 / n - s0 * s2, a11 / n - s1 * s1 + epsilon,
                a12 / n - s1 * s2, a22 / n - s2 * s2 + epsilon, 0.5 * epsilon,
            )  # fmt: skip
            c00, c10, c20, c11, c21, c22 = factor
            r, g, b = whitened(p0 / n - s0 * sp, p1 / n - s1 * sp, p2 / n - s2 * sp, factor)
            b = b / c22
            g = (g - c21 * b) / c11
            r = (r - c10 * g - c20 * b) / c00
            lines[y, x, 0] = r
            lines[y, x, 1] = g
            lines[y, x, 2] = b
            lines[y, x, 3] = sp - r * s0 - g * s1 - b * s2


@compiled
def apply_lines(image, trimap, lines, alpha, top, left):
    """Write alpha at the unknown pixels, at full size, from the lines of the four small pixels around each.

    image, trimap, lines: of a box. alpha: float32, of the picture, in which the box lies at (top, left).
    """
    h = trimap.shape[0]
    w = trimap.shape[1]
    hs = lines.shape[0]
    ws = lines.shape[1]
    for y in range(h):
        for x in range(w):
            if trimap[y, x] == 0 or trimap[y, x] == 255:
                continue
            v = min(max((y + 0.5) * hs / h - 0.5, 0.0), hs - 1.0)
            u = min(max((x + 0.5) * ws / w - 0.5, 0.0), ws - 1.0)
            total = 0.0
            for k in range(4):
                vk = min(int(v) + k // 2, hs - 1)
                uk = min(int(u) + k % 2, ws - 1)
                share = (v - int(v) if k // 2 else 1.0 - v + int(v)) * (u - int(u) if k % 2 else 1.0 - u + int(u))
                total += share * (
                    lines[vk, uk, 3]
                    + (
                        lines[vk, uk, 0] * image[y, x, 0]
                        + lines[vk, uk, 1] * image[y, x, 1]
                        + lines[vk, uk, 2] * image[y, x, 2]
                    )
                    / 255.0
                )
            alpha[top + y, left + x] = min(max(total, 0.0), 1.0)


@compiled
def refine_colours(image, alpha, coarse, fine, opacity, regularization, gradient_weight, iterations):
    """One level of multi-level foreground estimation: from the colours of a coarser level to those of a finer one.

    image: uint8 (h, w, 3), alpha: float32 (h, w), at full size. coarse, fine: float32 (rows, columns, 6), foreground
    and background colours in 0..255. opacity: float32, scratch of the finer level's size.
    """
    h = opacity.shape[0]
    w = opacity.shape[1]
    for y in range(h):
        for x in range(w):
            opacity[y, x] = alpha[y * alpha.shape[0] // h, x * alpha.shape[1] // w]
            for c in range(6):
                fine[y, x, c] = coarse[y * coarse.shape[0] // h, x * coarse.shape[1] // w, c]
    pulled = np.empty(6, np.float32)
    for _ in range(iterations):
        for y in range(h):
            for x in range(w):
                a0 = opacity[y, x]
                a1 = np.float32(1) - a0
                total = np.float32(0)
                for c in range(6):
                    pulled[c] = 0
                for d in range(4):
                    v = min(max(y + (d == 3) - (d == 2), 0), h - 1)
                    u = min(max(x + (d == 1) - (d == 0), 0), w - 1)
                    pull = regularization + gradient_weight * abs(a0 - opacity[v, u])
                    total += pull
                    for c in range(6):
                        pulled[c] += pull * fine[v, u, c]
                inverse = np.float32(1) / (total * (total + a0 * a0 + a1 * a1))
                for c in range(3):
                    pixel = np.float32(image[y * image.shape[0] // h, x * image.shape[1] // w, c])
                    f = a0 * pixel + pulled[c]
                    g = a1 * pixel + pulled[c + 3]
                    fine[y, x, c] = min(
                        max(inverse * ((a1 * a1 + total) * f - a0 * a1 * g), np.float32(0)), np.float32(255)
                    )
                    fine[y, x, c + 3] = min(
                        max(inverse * ((a0 * a0 + total) * g - a0 * a1 * f), np.float32(0)), np.float32(255)
                    )
