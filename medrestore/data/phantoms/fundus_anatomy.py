"""Where things are in the fundus phantom: the camera of a patient, the anatomy of an eye, the view of one photograph.

Positions are (row, column) in radii of the field of view, its middle between disc and fovea, until a view projects
them to pixels. A right eye has its disc on the right of the picture, a left eye on the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.fundus_vessels import Vessel, grow
from medrestore.data.phantoms.texture import Array, sample_periodic, smoothstep, spectral_noise, walks

PERIOD = 2.0  # radii after which an eye's maps repeat
_COARSE, _MIDDLE, _FINE = 128, 256, 512  # sides of the maps


@dataclass(frozen=True, slots=True)
class Camera:
    """What the photographs of one patient share: the instrument, and the colour of the patient's fundus."""

    radius: float  # of the field of view, as a part of the image's side
    cut: float  # the field ends above and below at this part of its radius; 1 = a whole circle
    notch: float  # radius of the mark on its edge, 0 for none
    softness: float  # pixels over which the edge fades, on 384 px
    retina: Array  # (3, 1, 1)
    pigment: float  # how clearly the choroid shows
    falloff: float  # of the light towards the edge


@dataclass(frozen=True, slots=True)
class Eye:
    """The anatomy of one eye."""

    disc: Array  # (2,)
    fovea: Array  # (2,)
    radius: float  # of the disc
    oblong: float  # its height over its width
    cup: float  # part of the disc's radius
    macula: float  # how dark it is
    vessels: tuple[Vessel, ...]
    capillaries: Array  # (n, k, 2) points of each line
    mottle: Array  # periodic map (n, n): uneven pigment
    choroid: Array  # periodic map: the texture of the choroid
    grain: Array  # periodic map: fine texture


@dataclass(frozen=True, slots=True)
class View:
    """One photograph's geometry and light."""

    matrix: Array  # (2, 2) eye units -> pixels
    centre: Array  # (2,) pixels
    row: Array  # (H, W) eye units
    column: Array  # (H, W)
    light: Array  # (2,) middle of the illumination, in radii of the field of view
    exposure: float

    def project(self, points: Array) -> Array:
        """Positions (n, 2) in eye units -> pixels."""
        return points @ self.matrix.T + self.centre


# Red, green, blue of an evenly lit retina: as reddish, orange and olive cameras show it.
_PALETTES = np.array([[0.88, 0.27, 0.19], [0.82, 0.40, 0.18], [0.66, 0.44, 0.11]])


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw the instrument and the colour of a patient's photographs."""
    share = rng.dirichlet((0.5, 0.5, 0.5))
    return Camera(
        radius=rng.uniform(0.462, 0.493),
        cut=rng.uniform(0.8, 0.92) if rng.random() < 0.35 else 1.0,
        notch=rng.uniform(0.03, 0.045) if rng.random() < 0.4 else 0.0,
        softness=rng.uniform(1.2, 2.2),
        retina=(share @ _PALETTES * rng.normal(1, 0.03, 3)).astype(np.float32).reshape(3, 1, 1),
        pigment=rng.uniform(0.3, 1.0),
        falloff=rng.uniform(0.22, 0.5),
    )


def draw_eye(rng: np.random.Generator, left: bool) -> Eye:
    """Draw the anatomy of a left or a right eye."""
    apart, side = rng.uniform(0.62, 0.74), -1 if left else 1
    radius = rng.uniform(0.115, 0.145)
    disc = np.array([rng.normal(-0.02, 0.02), side * 0.56 * apart])
    fovea = np.array([rng.normal(0.05, 0.02), -side * 0.44 * apart])
    return Eye(
        disc=disc,
        fovea=fovea,
        radius=radius,
        oblong=rng.uniform(1.02, 1.14),
        cup=rng.uniform(0.3, 0.58),
        macula=rng.uniform(0.65, 1.0),
        vessels=grow(rng, disc, fovea, radius),
        capillaries=_capillaries(rng, fovea),
        mottle=spectral_noise(rng, _COARSE, 1.7),
        choroid=_choroid(rng),
        grain=spectral_noise(rng, _FINE, 0.7, shortest=3, longest=24),
    )


def _capillaries(rng: np.random.Generator, fovea: Array) -> Array:
    """Winding lines too fine for the truth of any observer, but not for a sharp photograph."""
    count = 300
    start = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    heading = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    points, _ = walks(rng, start, heading, 24, 0.14, 1.3)
    return points[np.hypot(*np.moveaxis(points - fovea, 2, 0)).min(axis=1) > 0.08]


def _choroid(rng: np.random.Generator) -> Array:
    """Broad pale vessels with dark pigment between them."""
    first, second = (spectral_noise(rng, _MIDDLE, 1.4, shortest=8, longest=45) for _ in range(2))
    return smoothstep(0.75, 0.0, np.abs(first)) + 0.6 * smoothstep(0.6, 0.0, np.abs(second)) - 0.6


def draw_view(rng: np.random.Generator, camera: Camera, size: int) -> View:
    """Draw where the eye looks, and the light, for one photograph of side `size` pixels."""
    scale = camera.radius * size * rng.uniform(0.94, 1.08)
    matrix = scale * rotation(rng.normal(0, 0.05))
    centre = (size - 1) / 2 + camera.radius * size * rng.normal(0, 0.035, 2)
    return placed(matrix, centre, size, rng.normal(0, 0.16, 2), rng.uniform(0.9, 1.06))


def moved(view: View, rng: np.random.Generator, size: int) -> View:
    """Draw another photograph of the same eye: shifted by a few pixels, rolled by less than 1.5 degrees, lit anew."""
    shift = size / 384 * rng.uniform(2, 6) * np.array(_direction(rng))
    turn = rotation(np.deg2rad(rng.uniform(-1.4, 1.4)))
    middle = (size - 1) / 2
    centre = turn @ (view.centre - middle) + middle + shift
    return placed(turn @ view.matrix, centre, size, rng.normal(0, 0.2, 2), rng.uniform(0.85, 1.05))


def placed(matrix: Array, centre: Array, size: int, light: Array, exposure: float) -> View:
    """The view of a given projection."""
    grid = np.mgrid[:size, :size].reshape(2, -1) - centre[:, None]
    row, column = (np.linalg.inv(matrix) @ grid).astype(np.float32).reshape(2, size, size)
    return View(matrix, centre, row, column, light, exposure)


def on_retina(field: Array, view: View) -> Array:
    """The values (H, W) of one of the eye's maps where the pixels look."""
    return sample_periodic(field, view.row / PERIOD, view.column / PERIOD)


def rotation(angle: float) -> Array:
    """The matrix that turns (row, column) by `angle` radians."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.sin(angle)), float(np.cos(angle))
