"""What the phantoms of bodies are drawn with: a slice in mm, shapes with their depth, vessel trees in space.

`x` grows to the patient's left (right in the picture), `y` to the back (down), `z` along the body; all in mm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.texture import Array, sample_periodic, smoothstep, spectral_noise, splat

MAP = 128  # side of a patient's periodic maps
THICKNESS = 2.0  # standard deviation of the slice profile in mm


@dataclass(frozen=True, slots=True)
class Shape:
    """A part of the slice: `depth` in mm below the surface (negative outside) on a box of pixels."""

    box: tuple[slice, slice]
    depth: Array

    def inset(self, distance: float | Array) -> Shape:
        """The shape with `distance` mm peeled off."""
        return Shape(self.box, self.depth - distance)

    def within(self, other: Shape, margin: float = 0.0) -> Shape:
        """What of it lies at least `margin` mm deep in `other`, which covers the whole slice."""
        return Shape(self.box, np.minimum(self.depth, other.depth[self.box] - np.float32(margin)))


class Canvas:
    """One axial slice that organs are painted on, later ones over earlier ones.

    Args:
        rng: the patient's; the maps drawn from it are the same for all slices of the patient.
        size: side in pixels.
        spacing: of the pixels in mm.
        centre: of the body in mm from the middle of the picture.
        z: level of the slice in mm.
        background: value of what nothing is painted on, in the unit of the phantom (HU for CT).

    Attributes:
        values: the painted slice (H, W).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        size: int,
        spacing: float,
        centre: tuple[float, float],
        z: float,
        background: float,
    ) -> None:
        self.size, self.spacing, self.centre, self.z = size, spacing, centre, z
        axis = ((np.arange(size) - (size - 1) / 2) * spacing).astype(np.float32)
        self.x, self.y = axis[None, :] - np.float32(centre[0]), axis[:, None] - np.float32(centre[1])
        self.values = np.full((size, size), background, np.float32)
        # What is large changes within centimetres of z, the weave within millimetres.
        self._map = _turned((spectral_noise(rng, MAP, 1.5), spectral_noise(rng, MAP, 1.5)), z / 60)
        self._soft = _turned((spectral_noise(rng, MAP, 2.6), spectral_noise(rng, MAP, 2.6)), z / 60)
        self.border = self._sample(self._soft, 120)  # (H, W), for the borders of organs, which are smooth
        weave = (spectral_noise(np.random.default_rng(rng.integers(1 << 62)), size, 0.4, shortest=2.5) for _ in "ab")
        self.weave = _turned(tuple(weave), z / 6)

    def ripple(self, period: float) -> Array:
        """Smooth noise (H, W) of variance 1 that repeats after `period` mm; other periods show other places of it."""
        return self._sample(self._map, period)

    def warped(self, period: float, row: Array, column: Array) -> Array:
        """Smoother noise than `ripple`, at places (H, W) in mm other than the pixels' own."""
        return sample_periodic(self._soft, row / np.float32(period), column / np.float32(period))

    def ellipse(
        self, x: float, y: float, across: float, down: float, tilt: float = 0.0, ripple: Array | None = None
    ) -> Shape:
        """An ellipse with half axes in mm, turned by `tilt` radians; `ripple` (H, W) in mm roughens its border."""
        across, down = max(across, 1e-3), max(down, 1e-3)
        reach = max(across, down) + 3 * self.spacing + (4.0 if ripple is not None else 0.0)
        box = self._box(x, y, reach)
        cos, sin = math.cos(tilt), math.sin(tilt)
        column, row = self.x[:, box[1]] - np.float32(x), self.y[box[0]] - np.float32(y)
        u, v = (cos * column + sin * row) / np.float32(across), (cos * row - sin * column) / np.float32(down)
        f = np.hypot(u, v)
        depth = (1 - f) * f / (np.hypot(u / np.float32(across), v / np.float32(down)) + np.float32(1e-6))
        if ripple is not None:
            depth = depth + ripple[box]
        return Shape(box, depth)

    def ball(
        self,
        place: Sequence[float] | Array,
        axes: Sequence[float] | Array,
        tilt: float = 0.0,
        ripple: Array | None = None,
    ) -> Shape:
        """The section of an ellipsoid at this level; `place` and `axes` are (x, y, z) in mm."""
        share = math.sqrt(max(0.0, 1 - ((self.z - place[2]) / axes[2]) ** 2))
        if share < 0.05:  # the slice misses it
            return Shape((slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32))
        return self.ellipse(place[0], place[1], axes[0] * share, axes[1] * share, tilt, ripple)

    def outline(self, y: float, across: float, down: float, power: float = 2.4) -> Shape:
        """A rounded box around (0, `y`) on the whole slice; depth is measured towards its middle."""
        row = self.y - np.float32(y)
        f = (np.abs(self.x / np.float32(across)) ** power + np.abs(row / np.float32(down)) ** power) ** (1 / power)
        return Shape((slice(None), slice(None)), np.hypot(self.x, row) * (1 / np.maximum(f, 1e-3) - 1))

    def whole(self, shape: Shape) -> Shape:
        """The same shape on the box of the whole slice, for `within`."""
        depth = np.full_like(self.values, -100)
        depth[shape.box] = shape.depth
        return Shape((slice(None), slice(None)), depth)

    def cover(self, shape: Shape) -> Array:
        """Share of each pixel that the shape covers."""
        return np.clip(shape.depth / np.float32(self.spacing) + np.float32(0.5), 0, 1)

    def fill(self, shape: Shape, value: float | Array, share: float | Array = 1.0) -> None:
        """Paint with one value, or with the values of an (H, W) picture; `share` below 1 is translucent."""
        self.mix(shape.box, value, self.cover(shape) * (share[shape.box] if isinstance(share, np.ndarray) else share))

    def mix(self, box: tuple[slice, slice], value: float | Array, share: Array) -> None:
        """Move the values of a box of pixels towards `value`."""
        goal = value[box] if isinstance(value, np.ndarray) else np.float32(value)
        part = self.values[box]
        part += (goal - part) * share

    def bone(self, shape: Shape, shell: float, core: float = 200.0, cortex: float = 1050.0) -> None:
        """Paint a bone in HU: a dense shell `shell` mm thick around trabeculae, the finest tissue of the body."""
        self.fill(shape, cortex)
        self.fill(shape.inset(shell), core + np.float32(0.45 * core) * self.weave)

    def lines(self, tree: Sequence[tuple[Array, float, float]], height: float) -> Array:
        """Share (H, W) in [0, 1] of vessels: (points (n, 3), radius in mm, darkness), cut by a slice of some thickness.

        Args:
            tree: as made by `tree`.
            height: levels further than this many slice profiles away are left out.
        """
        total = np.zeros_like(self.values)
        for points, radius, weight in tree:
            off = np.abs(points[:, 2] - self.z) / THICKNESS
            near = off < height
            at = (points[near, 1::-1] + np.array(self.centre[::-1])) / self.spacing + (self.size - 1) / 2
            sigma = max(radius / self.spacing, 0.55)
            strength = weight * min(1.0, radius / (0.55 * self.spacing)) / max(1.0, radius)
            total += splat(at, strength * np.exp(-0.5 * off[near] ** 2), self.size, sigma)
        return np.clip(total, 0, 1)

    def _sample(self, field: Array, period: float) -> Array:
        rows, columns = (at.ravel() / np.float32(period) + np.float32(0.173 * period) for at in (self.y, self.x))
        return _between(_between(field, rows).T, columns).T

    def _box(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        spans = []
        for middle, offset in ((y, self.centre[1]), (x, self.centre[0])):
            at = (middle + offset) / self.spacing + (self.size - 1) / 2
            low, high = at - reach / self.spacing, at + reach / self.spacing
            spans.append(slice(min(self.size, max(0, int(low))), min(self.size, max(0, math.ceil(high) + 1))))
        return spans[0], spans[1]


def _between(field: Array, at: Array) -> Array:
    """Rows of a periodic field (n, m) at places (k,) in periods, linear between the rows: (k, m)."""
    at = at * len(field)
    first = np.floor(at).astype(np.int64)
    share = (at - first).astype(np.float32)[:, None]
    return field[first % len(field)] * (1 - share) + field[(first + 1) % len(field)] * share


def _turned(maps: tuple[Array, ...], angle: float) -> Array:
    """One of a circle of maps of equal variance: near angles give similar maps."""
    return np.float32(math.cos(angle)) * maps[0] + np.float32(math.sin(angle)) * maps[1]


def around(rng: np.random.Generator, value: float, spread: float = 0.08) -> float:
    """A number that differs between patients: `value`, more or less `spread` of it."""
    return float(value * (1 + spread * rng.uniform(-1, 1)))


def ramp(low: float, high: float, value: float) -> float:
    """`smoothstep` of one number."""
    return float(smoothstep(low, high, np.asarray(value, np.float32)))


def tree(
    rng: np.random.Generator,
    start: Array,
    heading: Array,
    generations: Sequence[tuple[float, int, float, float, float]],
) -> list[tuple[Array, float, float]]:
    """Vessels in space that branch and wind.

    Args:
        rng: the patient's.
        start: (n, 3) first points of the trunks in mm.
        heading: (n, 3) their directions.
        generations: (length in mm, branches of the next generation, wander in radians, radius in mm, darkness).

    Returns:
        For each generation points (m, 3) 1 mm apart, radius and darkness.
    """
    found = []
    for length, count, wander, radius, weight in generations:
        steps = max(2, round(length))
        turns = ndimage.uniform_filter1d(rng.standard_normal((len(start), steps, 3), dtype=np.float32), 9, axis=1)
        heading = heading / np.linalg.norm(heading, axis=1, keepdims=True)
        direction = heading[:, None] + np.cumsum(turns, axis=1) * np.float32(wander * 3 / math.sqrt(steps))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        points = (start[:, None] + np.cumsum(direction, axis=1) * np.float32(length / steps)).reshape(-1, 3)
        found.append((points.astype(np.float32), radius, weight))
        pick = rng.integers(0, len(points), count)
        start = points[pick]
        heading = direction.reshape(-1, 3)[pick] + rng.normal(0, 0.6, (count, 3))
    return found
