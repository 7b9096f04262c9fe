"""Where things are in the cervix phantom: the anatomy that a patient's images share, and the view that makes one image.

Positions are (row, column) in cervix radii, the cervix being about the unit disc, until a view projects them to pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from medrestore.data.phantoms.texture import Array, sample_periodic, spectral_noise, walks

RADIUS = 0.38  # of the cervix at zoom 1, as a part of the image's side
MAP = 128  # side of a patient's periodic noise maps


@dataclass(frozen=True, slots=True)
class Patient:
    """What the images of one patient share; the maps are periodic, lengths are cervix radii."""

    outline: Array  # (2, 2): amplitude and phase of the outline's 2nd and 3rd harmonic
    os: Array  # (5,): centre, half axes, tilt of the external os
    os_bend: float
    eversion: float  # radius of the red columnar epithelium around the os
    cast: Array  # (3, 1, 1) colour of the light
    blotches: Array  # (MAP, MAP) uneven redness
    borders: Array  # (MAP, MAP) irregularity of borders
    jitter: Array  # (64, 64, 2) of the cells of mosaic and villi
    strands: Array  # (n, 2) points along strands of mucus
    punctation: bool  # pattern of the lesions: dots, else mosaic
    lesions: Array  # (k, 5): centre, half axes, tilt; k = 0 in a normal patient
    vessels: tuple[tuple[Array, Array], ...]  # trunks, branches, capillaries: points (n, 2), darkness (n,)
    dots: Array  # (n, 2) capillary tips


@dataclass(frozen=True, slots=True)
class View:
    """One image's geometry: which place of the cervix each pixel shows."""

    matrix: Array  # (2, 2) cervix radii -> pixels
    centre: Array  # (2,) pixels
    row: Array  # (H, W) cervix radii
    column: Array  # (H, W)
    rho: Array  # (H, W) distance from the centre, 1 on the outline
    os: Array  # (H, W) distance from the os, 1 on its border
    border: Array  # (H, W) irregularity of borders
    lesion: Array  # (H, W) bool

    def project(self, points: Array) -> Array:
        """Positions (n, 2) in cervix radii -> pixels."""
        return points @ self.matrix.T + self.centre


def draw_patient(rng: np.random.Generator, size: int, abnormal: bool) -> Patient:
    """Draw the anatomy of one patient; vessels are as many as images of side `size` pixels can show."""
    slit = rng.random() < 0.55  # after childbirth, else round
    half = rng.uniform(0.2, 0.34) if slit else rng.uniform(0.07, 0.12)
    short = rng.uniform(0.035, 0.06) if slit else half * rng.uniform(0.7, 1)
    eversion = rng.uniform(0.22, 0.5)
    return Patient(
        outline=rng.uniform(0, ((0.09, 6.28), (0.05, 6.28))),
        os=np.array([0, 0, short, half, rng.normal(0, 0.12)]),
        os_bend=rng.uniform(-1.2, 1.2) if slit else 0.0,
        eversion=eversion,
        cast=rng.normal(1, (0.02, 0.03, 0.045)).astype(np.float32).reshape(3, 1, 1),
        blotches=spectral_noise(rng, MAP, 1.6),
        borders=spectral_noise(rng, MAP, 1.4),
        jitter=rng.random((64, 64, 2), dtype=np.float32),
        strands=_strands(rng),
        punctation=bool(rng.random() < 0.4),
        lesions=_lesions(rng, eversion) if abnormal else np.zeros((0, 5)),
        vessels=_vessels(rng, size),  # what depends on the size comes last: the rest is the same at every size
        dots=_dots(rng, size),
    )


def _vessels(rng: np.random.Generator, size: int) -> tuple[tuple[Array, Array], ...]:
    """Trunks from the rim towards the os, branches from these, capillaries from those."""
    detail = size / 256
    angle = rng.uniform(0, 2 * np.pi, int(10 + 10 * detail))
    start = rng.uniform(0.75, 1.5, len(angle))[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    heading = np.arctan2(-start[:, 1], -start[:, 0]) + rng.normal(0, 0.6, len(angle))
    generations = []
    for length, count, wander in ((0.9, int(120 * detail), 1.4), (0.3, int(600 * detail**1.5), 1.6), (0.12, 0, 1.6)):
        steps = max(8, round(length * RADIUS * size * 1.6))  # spots closer than a pixel make a line
        points, headings = walks(rng, start.astype(np.float32), heading.astype(np.float32), steps, length, wander)
        darkness = np.linspace(1, 0.35, steps) * rng.uniform(0.4, 1, (len(points), 1))
        generations.append((points.reshape(-1, 2), darkness.ravel()))
        pick = rng.integers(0, points[..., 0].size, count)
        start = points.reshape(-1, 2)[pick]
        heading = headings.ravel()[pick] + rng.choice((-1, 1), count) * rng.uniform(0.4, 1.2, count)
    return tuple(generations)


def _dots(rng: np.random.Generator, size: int) -> Array:
    """Capillary tips in clusters."""
    nests = rng.normal(0, 0.75, (60, 2))
    count = int(2600 * (size / 256) ** 2)
    return nests[rng.integers(0, len(nests), count)] + rng.normal(0, 0.14, (count, 2))


def _strands(rng: np.random.Generator) -> Array:
    """Threads of mucus that hang out of the os."""
    count = int(rng.integers(1, 5))
    start = rng.normal(0, (0.03, 0.12), (count, 2)).astype(np.float32)
    heading = rng.normal(rng.normal(0, 0.5), 0.3, count).astype(np.float32)  # downwards
    points, _ = walks(rng, start, heading, 300, rng.uniform(0.3, 0.7), 1.0)
    return points.reshape(-1, 2)


def _lesions(rng: np.random.Generator, eversion: float) -> Array:
    """Ellipses along the border of the columnar epithelium, where lesions arise; apart from each other."""
    count = int(rng.integers(1, 4))
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi / 3 * np.arange(count) + rng.normal(0, 0.15, count)
    distance = np.clip(eversion + rng.uniform(0, 0.15, count), 0.38, 0.58)
    axes = rng.uniform((0.13, 0.2), (0.22, 0.36), (count, 2))
    return np.column_stack([distance * np.sin(angle), distance * np.cos(angle), axes, np.pi / 2 - angle])


def draw_view(rng: np.random.Generator, patient: Patient, size: int) -> View:
    """Draw the place, zoom, roll and tilt of the camera for one image of side `size` pixels."""
    scale = RADIUS * size * rng.uniform(0.92, 1.22)
    roll, tilt = _rotation(rng.normal(0, 0.12)), _rotation(rng.uniform(0, np.pi))
    matrix = scale * (roll @ tilt.T @ np.diag([1, rng.uniform(0.84, 1)]) @ tilt)
    centre = size * (0.5 + rng.normal(0, 0.022, 2))
    grid = np.mgrid[:size, :size].reshape(2, -1) - centre[:, None]
    row, column = (np.linalg.inv(matrix) @ grid).astype(np.float32).reshape(2, size, size)

    angle = np.arctan2(row, column)
    waves = sum(
        amplitude * np.cos(k * angle + phase)
        for k, (amplitude, phase) in zip((2, 3), patient.outline.tolist(), strict=True)
    )
    border = np.clip(sample_periodic(patient.borders, row / 3, column / 3), -2, 2)  # bounded: no lesion may vanish
    rho = np.hypot(row, column) / (1 + waves + 0.025 * border)
    os = _ellipse(row, column, patient.os, patient.os_bend) + 0.1 * border
    lesion = np.zeros((size, size), bool)
    for ellipse in patient.lesions:
        lesion |= _ellipse(row, column, ellipse, 0) + 0.22 * border < 1
    lesion = _without_islets(lesion & (os > 1.3) & (rho < 0.97))
    return View(matrix, centre, row, column, rho, os, border, lesion)


def _rotation(angle: float) -> Array:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _ellipse(row: Array, column: Array, ellipse: Array, bend: float) -> Array:
    """Distance from the centre of an ellipse (centre, half axes, tilt), 1 on its border; `bend` makes it a bow."""
    top, left, short, long, tilt = ellipse.tolist()
    sin, cos = math.sin(tilt), math.cos(tilt)
    across = cos * (row - top) + sin * (column - left)
    along = cos * (column - left) - sin * (row - top)
    return np.hypot((across + bend * along**2) / short, along / long)


def _without_islets(mask: Array) -> Array:
    """Keep the connected parts that are large enough for a box of their own, the largest one in any case."""
    parts = np.asarray(label(mask))
    areas = np.bincount(parts.ravel())[1:]
    kept = np.flatnonzero(areas >= min(0.002 * mask.size, areas.max(initial=0))) + 1
    return np.isin(parts, kept)
