"""Natural-looking texture by array operations, shared by the phantoms: noise with a spectrum, cells, lines, dots.

Images are float32, positions are (row, column). Randomness always comes from the generator that is passed in.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

Array = np.ndarray


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Cubic ramp from 0 where `x` <= `low` to 1 where `x` >= `high`; falls where `low` > `high`."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def spectral_noise(
    rng: np.random.Generator, size: int, exponent: float, shortest: float = 2.0, longest: float | None = None
) -> Array:
    """Periodic Gaussian noise whose amplitude falls as 1 / frequency ** exponent, as in photographs (exponent near 1).

    Args:
        rng: source of randomness.
        size: side of the square in pixels.
        exponent: slope of the amplitude spectrum.
        shortest: wavelengths below this (pixels) are left out; 2 is the finest a grid holds.
        longest: wavelengths above this (pixels) are left out; None keeps all.

    Returns:
        (size, size), mean 0, variance 1.
    """
    frequency = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None, :]).astype(np.float32)
    keep = (frequency > 0) & (frequency <= 1 / shortest) & (frequency >= (1 / longest if longest else 0))
    if not keep.any():
        raise ValueError(f"no wavelength between {shortest} and {longest} px fits a square of {size} px")
    amplitude = np.where(keep, np.maximum(frequency, 0.5 / size) ** np.float32(-exponent), np.float32(0))
    spectrum = fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    noise = np.asarray(fft.irfft2(np.asarray(spectrum) * amplitude, s=(size, size)))
    return noise / noise.std()


def sample_periodic(field: Array, row: Array, column: Array) -> Array:
    """Bilinear values of a periodic (n, n) `field` at positions in periods: 0 and 1 are the same place."""
    n = field.shape[0]
    at = np.stack([row, column]) * n
    return ndimage.map_coordinates(field, at, order=1, mode="grid-wrap", output=np.float32)


def cells(row: Array, column: Array, jitter: Array) -> tuple[Array, Array]:
    """Worley's cells: distances to the nearest and to the second nearest of points scattered one to a unit square.

    Args:
        row: positions in cells, any shape.
        column: the same shape.
        jitter: (n, n, 2) offsets in [0, 1) of the points in their squares, repeated with period n.

    Returns:
        First and second distance, in cells, shape of `row`. Their difference is 0 on the borders between cells
        (S. Worley, "A cellular texture basis function", SIGGRAPH 1996).
    """
    n = jitter.shape[0]
    row_floor, column_floor = np.floor(row), np.floor(column)
    row_in, column_in = row - row_floor, column - column_floor
    row_index, column_index = row_floor.astype(np.int32), column_floor.astype(np.int32)
    first = np.full(row.shape, np.inf, np.float32)
    second = first.copy()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            flat = ((row_index + i) % n) * n + (column_index + j) % n
            distance = (jitter[..., 0].take(flat) + i - row_in) ** 2 + (jitter[..., 1].take(flat) + j - column_in) ** 2
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return np.sqrt(first), np.sqrt(second)


def walks(
    rng: np.random.Generator, start: Array, heading: Array, steps: int, length: float, wander: float
) -> tuple[Array, Array]:
    """Winding lines: the heading of each is its first one plus a smoothed random walk.

    Args:
        rng: source of randomness.
        start: (n, 2) first points.
        heading: (n,) first directions in radians, from the first axis towards the second.
        steps: points of a line.
        length: length of a line, in the units of `start`.
        wander: standard deviation of the heading's change over the whole line, radians.

    Returns:
        Points (n, steps, 2) and headings (n, steps).
    """
    turns = ndimage.uniform_filter1d(rng.standard_normal((len(start), steps), dtype=np.float32), 9, axis=1)
    angle = heading[:, None] + np.cumsum(turns, axis=1) * np.float32(wander / np.sqrt(steps))
    moves = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * np.float32(length / steps)
    return start[:, None] + np.cumsum(moves, axis=1), angle


def splat(points: Array, weight: Array, size: int, sigma: float) -> Array:
    """Sum of round Gaussian spots, placed at fractions of a pixel.

    Args:
        points: (n, 2) positions in pixels; what lies outside the image is left out.
        weight: (n,) peak of each spot.
        size: side of the image in pixels.
        sigma: standard deviation of a spot in pixels, at least 0.5.

    Returns:
        (size, size).
    """
    inside = ((points >= 0) & (points < size - 1)).all(axis=1)
    points, weight = points[inside], weight[inside]
    corner = np.floor(points).astype(np.int32)
    down, right = (points - corner).T
    base = corner[:, 0] * size + corner[:, 1]
    at = np.concatenate([base, base + 1, base + size, base + size + 1])
    shares = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    canvas = np.bincount(at, np.concatenate([share * weight for share in shares]), size * size).astype(np.float32)
    spread = np.sqrt(
        max(sigma**2 - 1 / 6, 0.05)
    )  # sharing among four pixels is itself a blur of variance 1/6 on average
    spots = ndimage.gaussian_filter(canvas.reshape(size, size), spread, mode="constant", truncate=3)
    return spots * np.float32(2 * np.pi * sigma**2)
