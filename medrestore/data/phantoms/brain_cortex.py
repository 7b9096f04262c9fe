"""The folded cortex of the brain phantom: how far every point of a slice lies from fluid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.section import Canvas, Shape, ramp
from medrestore.data.phantoms.texture import Array, sample_periodic, smoothstep, spectral_noise

_MAP = 128  # side of a patient's maps of furrows
_PERIOD = 300.0  # mm of a map
_STRETCH = 0.4  # furrows run into the depth rather than along the surface
_CHANGE = 42.0  # mm of level after which a map has turned into another one


@dataclass(frozen=True, slots=True)
class Folds:
    """The furrows of a patient: two maps for each hemisphere, and how deep they reach in mm."""

    maps: tuple[tuple[Array, Array], tuple[Array, Array]]
    reach: float


def draw_folds(rng: np.random.Generator) -> Folds:
    """Draw the furrows of a patient: noise of one wavelength has zeros at equal distances, as furrows have."""

    def field() -> Array:
        return spectral_noise(rng, _MAP, 0.0, shortest=8.0, longest=14.0)

    return Folds(((field(), field()), (field(), field())), float(rng.uniform(15, 21)))


def furrows(folds: Folds, canvas: Canvas, brain: Shape, narrow: float, wide: float) -> Array:
    """Return the distance (H, W) in mm from the fluid around the brain and in its furrows, negative in the fluid.

    A furrow lies where a map, laid around the hemisphere, changes its sign; distances to it are the map's value over
    its slope. The hemispheres are apart above and around the corpus callosum.

    Args:
        folds: of the patient.
        canvas: the slice.
        brain: its outline.
        narrow: how much smaller the slice is than the widest one; near the crown it cuts the cortex at a slant.
        wide: of the furrows, about 1.
    """
    x, border = canvas.x + 0.8 * canvas.border, canvas.border
    bridge = canvas.whole(canvas.ball((0, 3, 6), (60, 34, 22), 0, 1.5 * border))
    apart = np.maximum(np.abs(x) - np.float32(0.6 + 0.6 * wide), bridge.depth)
    depth = np.minimum(brain.depth, apart) * np.float32(narrow)
    gap = np.minimum(depth, _sylvian(canvas, brain, wide))
    for side in (-1, 1):
        columns = np.flatnonzero(canvas.x[0] * side > -3)  # the cleft winds a little
        half = slice(int(columns[0]), int(columns[-1]) + 1)
        folded = _folded(folds, side, canvas, half, depth[:, half], narrow, wide)
        gap[:, half] = np.where(x[:, half] * side > 0, np.minimum(gap[:, half], folded), gap[:, half])
    return gap


def _folded(folds: Folds, side: int, canvas: Canvas, half: slice, depth: Array, narrow: float, wide: float) -> Array:
    """Distance from the furrows of one hemisphere, in its columns of the slice."""
    turn = np.float32(canvas.z / _CHANGE)
    first, second = folds.maps[(side + 1) // 2]
    field = np.cos(turn) * first + np.sin(turn) * second
    around = _around(canvas, half, depth) / np.float32(_PERIOD) + 0.02 * canvas.border[:, half]
    upright = sample_periodic(field, around, depth * np.float32(_STRETCH / _PERIOD) + 0.13)
    rows, columns = np.broadcast_arrays(canvas.y / np.float32(_PERIOD), canvas.x[:, half] / np.float32(_PERIOD))
    lying = sample_periodic(field, rows, columns)
    share = np.maximum(smoothstep(5, 16, depth), np.float32(ramp(0.92, 0.76, narrow))) * np.float32(math.pi / 2)
    value = np.cos(share) * upright + np.sin(share) * lying
    slope = np.hypot(*np.gradient(value, canvas.spacing))
    across = np.abs(value) / np.maximum(slope, np.float32(0.06))
    reach = folds.reach * (1 + 0.3 * canvas.ripple(90)[:, half])
    width = np.float32(0.3 + 0.35 * wide) + 0.7 * np.float32(wide) * smoothstep(6.0, 0.0, depth)
    return np.hypot(across, 1.3 * np.maximum(depth - reach, 0)) - width


def _around(canvas: Canvas, half: slice, depth: Array) -> Array:
    """Place along the surface of a hemisphere in mm, for every pixel: that of the surface in its direction."""
    rows, columns = np.nonzero(depth > 0)
    if not len(rows):
        return np.zeros_like(depth)
    x, y = canvas.x[0, half], canvas.y[:, 0]
    middle = (float(x[columns].min() + x[columns].max()) / 2, float(y[rows].min() + y[rows].max()) / 2)
    reach = (float(np.ptp(x[columns])) / 2 + 1, float(np.ptp(y[rows])) / 2 + 1)
    angles = np.linspace(-math.pi, math.pi, 181)
    cos, sin = np.cos(angles), np.sin(angles)
    radius = (np.abs(cos / reach[0]) ** 3 + np.abs(sin / reach[1]) ** 3) ** (-1 / 3)  # between an ellipse and a box
    steps = np.hypot(np.diff(radius * cos), np.diff(radius * sin))
    place = np.concatenate([[0], np.cumsum(steps)])
    place *= _PERIOD / place[-1] * max(1, round(place[-1] / _PERIOD))  # a map closes around the hemisphere
    angle = np.arctan2(y[:, None] - np.float32(middle[1]), x - np.float32(middle[0]))
    return np.interp(angle, angles, place).astype(np.float32)


def _sylvian(canvas: Canvas, brain: Shape, wide: float) -> Array:
    """Distance from the lateral furrow on both sides and the island of cortex in it; far away where there is none."""
    there = 1 - ramp(14, 26, canvas.z)
    distance = np.full_like(brain.depth, 100)
    if there <= 0:
        return distance
    for side in (-1, 1):
        island = canvas.whole(canvas.ball((side * 39, -4, 0), (1.5 * wide, 22, 18), -side * 0.25, canvas.border))
        mouth = canvas.whole(canvas.ball((side * 54, -8, 0), (17, 1.5 * wide, 20), side * 0.35, canvas.border))
        distance = np.minimum(distance, -np.maximum(island.depth, mouth.depth))
    return distance + 8 * (1 - there)
