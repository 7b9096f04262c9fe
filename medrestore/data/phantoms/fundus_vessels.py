"""The retinal vessels of the fundus phantom: arteries and veins that branch from the disc, and how they are drawn.

Lines are grown in the units of the eye (radii of the field of view) and drawn in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.texture import Array, walks

TRUNK = (0.027, 0.036)  # widths of an artery and a vein where they leave the disc, 5 and 6.6 px on 384 px
FINEST = 0.0048  # width of the last branches, about 1 px on 384 px
_THICK = 1.2 * FINEST  # vessels branch where they are wider
AVASCULAR = 0.10  # radius around the fovea without vessels
_POINTS = 48  # of a line
_CELL = 0.028  # of the grid that keeps vessels apart
_EXTENT = 1.4


@dataclass(frozen=True, slots=True)
class Vessel:
    """One line of the tree: points (n, 2), their widths (n,), in eye units."""

    points: Array
    width: Array
    artery: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """The tree in pixels, float32 (H, W) in [0, 1]."""

    coverage: Array  # part of the pixel that a vessel covers
    arteries: Array  # blood along the line of sight, 1 in the middle of the widest vessel
    veins: Array
    reflex: Array  # bright line in the middle of wide arteries


def grow(rng: np.random.Generator, disc: Array, fovea: Array, radius: float) -> tuple[Vessel, ...]:
    """Grow the tree of an eye whose disc has `radius`; temporal is where the fovea lies."""
    side = float(np.sign(fovea[1] - disc[1]))
    trunks: list[Vessel] = []
    for up in (-1, 1):
        for temporal in (True, False):
            outer = bool(rng.random() < 0.5)  # which of the two runs farther from the horizontal meridian
            trunks += [
                _trunk(rng, disc, radius, side, up, temporal, outer == artery, artery) for artery in (False, True)
            ]
    trunks += [_macular(rng, disc, fovea, radius, up, bool(rng.random() < 0.5)) for up in (-1, 0, 1)]
    taken: dict[tuple[int, int], int] = {}
    for number, trunk in enumerate(trunks):
        _take(taken, trunk.points, number)
    vessels, parents = list(trunks), list(enumerate(trunks))
    for generation in (1, 2, 3):
        children = []
        for parent, vessel in parents:
            # First branches may cross a trunk of the other kind, as arteries and veins do.
            crossed = {n for n, trunk in enumerate(trunks) if trunk.artery != vessel.artery and generation == 1}
            for child in _branches(rng, vessel, fovea, disc, generation):
                free = _free(child, taken, parent, crossed, fovea)
                if len(free.points) < 6:
                    continue
                _take(taken, free.points, len(vessels))
                children.append((len(vessels), free))
                vessels.append(free)
        parents = children
    return tuple(vessels)


def _trunk(
    rng: np.random.Generator,
    disc: Array,
    radius: float,
    side: float,
    up: int,
    temporal: bool,
    outer: bool,
    artery: bool,
) -> Vessel:
    """A main vessel: the temporal ones bow round the macula as parabolas, the nasal ones leave almost straight."""
    t = np.linspace(0, 1, _POINTS)
    if temporal:
        rise = t * rng.uniform(0.95, 1.05)
        bow = rng.uniform(1.25, 1.55) if outer else rng.uniform(1.85, 2.4)
        across = side * bow * np.maximum(rise - 0.05, 0) ** 2
    else:
        rise = t * (rng.uniform(0.85, 1.0) if outer else rng.uniform(0.6, 0.8))
        lean = rng.uniform(0.2, 0.5) if outer else rng.uniform(0.8, 1.2)
        across = -side * (lean * rise + rng.uniform(-0.1, 0.25) * rise**2)
    start = np.array([up * (0.1 if outer else -0.05), -side * (0.2 + (0.22 if outer == temporal else -0.1))])
    along = np.stack([up * rise, across], 1) + _wander(rng, 0.02)
    first = TRUNK[0 if artery else 1] * rng.uniform(0.88, 1.08) * (1 if temporal else 0.7)
    return Vessel(disc + start * radius + along, first * (1 - rng.uniform(0.55, 0.68) * t), artery)


def _macular(rng: np.random.Generator, disc: Array, fovea: Array, radius: float, up: int, artery: bool) -> Vessel:
    """A small vessel from the disc towards the macula, above, below or right on the line between them."""
    t = np.linspace(0, 1, _POINTS)[:, None]
    way = fovea - disc
    start = disc + 0.35 * radius * (way / np.hypot(*way) + (0.9 * up, 0))
    end = disc + way * (0.62 if up == 0 else rng.uniform(0.75, 1.05)) + (up * rng.uniform(0.17, 0.26), 0)
    bow = np.stack([up * 0.05 * np.sin(np.pi * t[:, 0]), np.zeros(_POINTS)], 1)
    width = np.linspace(rng.uniform(0.009, 0.013), FINEST, _POINTS)
    return Vessel(start + (end - start) * t + bow + _wander(rng, 0.022), width, artery)


def _wander(rng: np.random.Generator, most: float) -> Array:
    """A smooth departure (n, 2) from a line, 0 at both ends and at most `most`, with a little winding."""
    t = np.linspace(0, 1, _POINTS)
    walk = np.cumsum(np.cumsum(rng.normal(0, 1, (_POINTS, 2)), axis=0), axis=0)
    walk -= t[:, None] * walk[-1]
    walk *= rng.uniform(0.5, 1) * most / float(np.abs(walk).max())
    waves = np.sin(2 * np.pi * (t[:, None] * rng.uniform(3, 6, 2) + rng.random(2))) * rng.uniform(0.1, 0.4, 2) * most
    return walk + waves * np.minimum(8 * t * (1 - t), 1)[:, None]


def _branches(rng: np.random.Generator, vessel: Vessel, fovea: Array, disc: Array, generation: int) -> list[Vessel]:
    """Branches on alternate sides; each turns towards the macula inside the arcades, and outwards beyond them."""
    if vessel.width.max() <= _THICK:
        return []
    steps = np.diff(vessel.points, axis=0)
    way = np.concatenate([[0], np.cumsum(np.hypot(*steps.T))])
    count = round(float(way[-1]) * {1: 7.5, 2: 7.5, 3: 6.0}[generation] + rng.uniform(-0.5, 0.5))
    if count < 1:
        return []
    first = 0.12 if generation == 1 else 0.05
    at = first + (way[-1] - first) * (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count
    place = np.clip(np.searchsorted(way, at), 1, len(steps) - 1)
    start, heading = vessel.points[place], np.arctan2(steps[place, 1], steps[place, 0])
    sides = np.where((np.arange(count) + rng.integers(2)) % 2, 1, -1)
    ratio = rng.uniform(0.4, 0.62, count) if generation > 1 else rng.choice((0.45, 0.55, 0.8), count)
    ratio = ratio * rng.uniform(0.85, 1.1, count)
    heading = heading + sides * (1.5 - 1.1 * ratio) * rng.uniform(0.8, 1.15, count)  # thick branches leave less steeply
    width = np.maximum(vessel.width[place] * ratio, FINEST * 0.9)
    reach = {1: 0.95, 2: 0.7, 3: 0.5}[generation]
    length = 0.05 + np.sqrt(width / TRUNK[1]) * rng.uniform(0.55, 1.0, count) * reach
    turn = _turns(rng, start, heading, fovea, disc)

    bend = np.linspace(0, 1, _POINTS)
    angle = heading[:, None] + turn[:, None] * bend
    straight = np.cumsum(_unit(angle), axis=1) / _POINTS
    walk, _ = walks(rng, np.zeros((count, 2), np.float32), np.zeros(count, np.float32), _POINTS, 1.0, 2.6)
    wiggle = 0.35 * (walk - walk[:, -1:] * bend[:, None])  # of the walk only what comes back to its chord
    line = straight + wiggle[..., 1:] * _unit(angle + np.pi / 2)
    points = start[:, None] + length[:, None, None] * (line - line[:, :1])
    widths = np.maximum(width[:, None] * (1 - 0.5 * bend), FINEST * 0.8)
    return [Vessel(points[i], widths[i], vessel.artery) for i in np.flatnonzero(vessel.width[place] > _THICK)]


def _turns(rng: np.random.Generator, start: Array, heading: Array, fovea: Array, disc: Array) -> Array:
    """How far branches (n,) bend on their way: to the macula or the horizontal line beyond it, or away from there."""
    middle = fovea * 0.6 + disc * 0.4
    inner = np.hypot(*(start + 0.15 * _unit(heading) - fovea).T) < np.hypot(*(start - fovea).T)
    inner &= np.hypot(*(start - middle).T) < 0.8
    aim = fovea + rng.uniform(-0.15, 0.7, (len(start), 1)) * (fovea - disc)
    towards = np.where(inner[:, None], aim - start, start - middle)
    wish = np.arctan2(towards[:, 1], towards[:, 0])
    return 0.7 * (np.remainder(wish - heading + np.pi, 2 * np.pi) - np.pi)


def _unit(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _cells(points: Array) -> list[tuple[int, int]]:
    return [(row, column) for row, column in np.floor(points / _CELL).astype(int).tolist()]


def _take(taken: dict[tuple[int, int], int], points: Array, number: int) -> None:
    for cell in _cells(points):
        taken.setdefault(cell, number)


def _free(vessel: Vessel, taken: dict[tuple[int, int], int], parent: int, crossed: set[int], fovea: Array) -> Vessel:
    """The branch up to where it would meet another vessel, come back to its parent, or reach the fovea."""
    near = np.linalg.norm(vessel.points - fovea, axis=1) < AVASCULAR
    lost = np.abs(vessel.points).max(axis=1) > _EXTENT
    left = 0  # the last point that is still on the parent
    for place, cell in enumerate(_cells(vessel.points)):
        owner = taken.get(cell)
        if owner == parent and place - left <= 4:
            left = place
        elif near[place] or lost[place] or (owner is not None and owner not in crossed):
            end = np.linspace(0, 1, place) ** 3 if place else np.empty(0)
            width = vessel.width[:place] + end * (FINEST * 0.8 - vessel.width[:place])
            return Vessel(vessel.points[:place], width, vessel.artery)
    return vessel


def draw(tree: tuple[Vessel, ...], matrix: Array, centre: Array, size: int) -> Drawn:
    """Draw the tree with edges of one pixel: eye units times `matrix` plus `centre` are pixels (row, column)."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))
    empty = np.zeros(size * size, np.float32)
    drawn = Drawn(empty, empty.copy(), empty.copy(), empty.copy())
    for artery in (False, True):
        lines = [_dense(vessel, matrix, centre, scale) for vessel in tree if vessel.artery == artery]
        points, width = np.concatenate([line[0] for line in lines]), np.concatenate([line[1] for line in lines])
        blood = drawn.arteries if artery else drawn.veins
        for reach in range(1, int(np.ceil(width.max() / 2 + 1)) + 1):
            some = np.ceil(width / 2 + 0.5) == reach
            if some.any():
                _stamp(drawn, blood, points[some], width[some], reach, size, scale, artery)
    return Drawn(*(plane.reshape(size, size) for plane in (drawn.coverage, drawn.arteries, drawn.veins, drawn.reflex)))


def _dense(vessel: Vessel, matrix: Array, centre: Array, scale: float) -> tuple[Array, Array]:
    """Points at most 0.7 pixels apart, and their widths in pixels."""
    points = vessel.points @ matrix.T + centre
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, way[-1], int(1.5 * way[-1]) + 2)
    dense = np.stack([np.interp(at, way, points[:, 0]), np.interp(at, way, points[:, 1])], 1)
    return dense, np.interp(at, way, vessel.width) * scale


def _stamp(
    drawn: Drawn, blood: Array, points: Array, width: Array, reach: int, size: int, scale: float, artery: bool
) -> None:
    """Put a disc at every point and keep the largest value of each pixel."""
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T[None].astype(np.int32)
    pixels = np.rint(points).astype(np.int32)[:, None] + offsets
    away = np.hypot(*np.moveaxis(pixels - points[:, None].astype(np.float32), 2, 0)).astype(np.float32)
    half = np.broadcast_to((width[:, None] / 2).astype(np.float32), away.shape)
    kept = (away < half + np.float32(0.5)) & ((pixels >= 0) & (pixels < size)).all(axis=2)
    at, away, half = (pixels[..., 0] * size + pixels[..., 1])[kept], away[kept], half[kept]
    coverage = np.clip(half + np.float32(0.5) - away, 0, 1)
    np.maximum.at(drawn.coverage, at, coverage)
    depth = np.sqrt(1 - np.square(away / (half + np.float32(0.5)))) * np.float32(0.5) + np.float32(0.5)
    widest = np.sqrt(np.minimum(2 * half / np.float32(TRUNK[1] * scale), 1))
    np.maximum.at(blood, at, coverage * depth * widest)
    if artery and reach >= 3:
        shine = np.exp(-np.square(away / (np.float32(0.36) * half))) * np.clip(half - np.float32(1.2), 0, 1)
        np.maximum.at(drawn.reflex, at, shine)
