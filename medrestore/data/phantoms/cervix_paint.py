"""How the cervix phantom looks: colours, relief, vessels, lesions, highlights, the rim of the speculum, the camera.

Pictures are (3, H, W) float32, painted from the depth to the lens: tissue, blood, relief, mucus, glare, speculum.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.cervix_anatomy import RADIUS, Patient, View
from medrestore.data.phantoms.texture import Array, cells, sample_periodic, smoothstep, spectral_noise, splat

CELL = 6.5  # side of a tile of mosaic and of a villus, pixels
SENSOR_NOISE = 0.4 / 255


def _colour(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


SQUAMOUS, WALL, COLUMNAR = _colour(0.87, 0.60, 0.56), _colour(0.80, 0.48, 0.46), _colour(0.78, 0.32, 0.28)
ACETO_WHITE, MUCUS, METAL = _colour(0.97, 0.88, 0.84), _colour(0.92, 0.86, 0.76), _colour(0.22, 0.22, 0.23)
BLOOD = _colour(0.25, 1.0, 0.85)  # absorption: a vessel is darkest in green


def paint(rng: np.random.Generator, patient: Patient, view: View) -> Array:
    """Picture (3, H, W) in [0, 1] on 8-bit levels."""
    everted = smoothstep(0.05, -0.05, view.rho - patient.eversion - 0.1 * view.border)
    aceto = ndimage.gaussian_filter(view.lesion.astype(np.float32), 0.6)  # sharp border, one pixel of transition
    tile, border = _cells(patient, view, (everted > 0) | (aceto > 0))

    picture = _tissue(patient, view, everted, aceto)
    picture = picture * np.exp(-BLOOD * _blood(rng, patient, view, everted, aceto, tile, border))
    light = rng.normal(0, 1, 2).astype(np.float32)
    picture = picture * _shading(rng, patient, view, light, everted * (0.5 - tile))
    picture = _film(rng, patient, view, light, picture)
    picture = _speculum(rng, picture)
    picture = picture * patient.cast * np.float32(rng.uniform(0.92, 1.06))
    picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(SENSOR_NOISE)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.float32) / np.float32(255)


def _mix(first: Array, second: Array, share: Array) -> Array:
    return first + (second - first) * share


def _cells(patient: Patient, view: View, where: Array) -> tuple[Array, Array]:
    """Distances to the middle and to the border of the epithelium's cells, 1 far from where they are needed."""
    tile, border = np.ones(where.shape, np.float32), np.ones(where.shape, np.float32)
    box = ndimage.find_objects(where.astype(np.uint8))[0]
    density = np.float32(RADIUS * len(where) / CELL)
    warp = 0.35 * view.border[box]
    first, second = cells(view.row[box] * density + warp, view.column[box] * density + warp, patient.jitter)
    tile[box], border[box] = first, second - first
    return tile, border


def _tissue(patient: Patient, view: View, everted: Array, aceto: Array) -> Array:
    """Colour of the surfaces in even light."""
    picture = _mix(WALL, SQUAMOUS, smoothstep(1.1, 0.96, view.rho))
    picture = _mix(picture, COLUMNAR, 0.75 * everted)
    return _mix(picture, ACETO_WHITE, aceto * np.clip(0.66 + 0.12 * view.border, 0.45, 0.85))


def _blood(
    rng: np.random.Generator, patient: Patient, view: View, everted: Array, aceto: Array, tile: Array, border: Array
) -> Array:
    """Optical density of blood (H, W): uneven perfusion, vessels, capillary tips, and the pattern of the lesions."""
    size = len(aceto)
    density = 0.09 * sample_periodic(patient.blotches, view.row / 2.4, view.column / 2.4)
    density += 0.5 * np.exp(-np.square((view.os - 1.5) / 0.6)) * (view.rho < 0.9)
    fine = np.zeros_like(density)
    for (points, darkness), sigma, peak in zip(patient.vessels, (0.95, 0.7, 0.6), (0.09, 0.12, 0.13), strict=True):
        fine += splat(view.project(points), peak * darkness, size, sigma)
    fine += splat(view.project(patient.dots), np.full(len(patient.dots), 0.15), size, 0.7)
    fine = np.minimum(fine, 0.45) * (1 - 0.75 * aceto) * (1 - 0.5 * everted)
    pattern = smoothstep(0.42, 0.2, tile) if patient.punctation else smoothstep(0.3, 0.06, border)
    pattern = pattern * np.clip(0.22 + 0.11 * view.border, 0.05, 0.4)
    return density * (1 - 0.6 * aceto) + fine + aceto * pattern + 0.02 * spectral_noise(rng, size, 1.0)


def _shading(rng: np.random.Generator, patient: Patient, view: View, light: Array, villi: Array) -> Array:
    """Brightness (H, W): dome, fornix, folds of the wall, depth of the os, and the fine relief in slanting light."""
    size, rho = len(view.rho), view.rho
    dome = 0.66 + 0.36 * np.sqrt(np.clip(1 - 0.85 * rho**2, 0, 1))
    dome += 0.05 * (light[0] * view.row + light[1] * view.column)
    angle = np.arctan2(view.row, view.column) / np.float32(2 * np.pi)
    folds = sample_periodic(patient.borders, rho * 0.9, angle)
    wall = 0.62 + 0.16 * smoothstep(-1.2, 0.2, -np.abs(folds)) + 0.04 * folds
    brightness = _mix(wall, dome, smoothstep(1.06, 0.99, rho))
    brightness *= 1 - np.clip(0.22 + 0.13 * folds, 0.02, 0.5) * np.exp(-np.square((rho - 1.07) / 0.09))
    brightness *= 1 - 0.88 * smoothstep(1.15, 0.7, view.os)

    relief = spectral_noise(rng, size, 1.7) + 0.12 * np.abs(spectral_noise(rng, size, 0.5, shortest=5, longest=14))
    slope = light[0] * (np.roll(relief, -1, 0) - relief) + light[1] * (np.roll(relief, -1, 1) - relief)
    slope /= slope.std()
    return brightness * np.exp(0.025 * slope + 0.3 * villi)


def _film(rng: np.random.Generator, patient: Patient, view: View, light: Array, picture: Array) -> Array:
    """Mucus threads and wet glare: sharp-edged white spots where the moist surface mirrors the lamp."""
    size = len(view.rho)
    strands = view.project(patient.strands)
    thread = splat(strands, np.full(len(strands), 0.2 * size / 256), size, 0.7)
    film = splat(strands, np.full(len(strands), 0.02), size, 4 * size / 256) * (1 + 0.5 * view.border)
    picture = _mix(picture, MUCUS, 0.32 * smoothstep(0.1, 0.5, film) + 0.16 * np.minimum(thread, 1))

    lamp = -0.35 * light / np.hypot(*light)
    lobe = np.exp(-((view.row - lamp[0]) ** 2 + (view.column - lamp[1]) ** 2) / 0.35) + 0.3 * (view.rho > 1.1) - 0.3
    large = spectral_noise(rng, size, 1.0, shortest=9, longest=size / 6)
    small = spectral_noise(rng, size, 0.6, shortest=5, longest=12)
    glare = smoothstep(2.65, 3.1, large + 1.1 * lobe) + smoothstep(3.3, 3.9, small + 0.9 * lobe + 0.8 * (film > 0.3))
    return _mix(picture, _colour(1.0, 0.99, 0.97), 0.97 * np.minimum(glare, 1) * (view.os > 1))


def _speculum(rng: np.random.Generator, picture: Array) -> Array:
    """Fall of the light towards the rim and the dark blades of the speculum above and below."""
    size = picture.shape[1]
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    picture = picture * (1.05 - 0.4 * (x * x + y * y) / 2)
    bow, edge = rng.uniform(0.05, 0.25), rng.uniform(0.9, 1.1)
    depth = np.abs(y + rng.normal(0, 0.03)) + bow * x * x - edge  # > 0 behind the edge of a blade
    shine = 0.5 * np.exp(-np.square((x - rng.uniform(-0.5, 0.5)) / 0.3)) + 2.2 * np.exp(-np.square(depth / 0.012))
    metal = METAL * (0.4 + shine)
    picture = picture * smoothstep(0.02, -0.12, depth)
    return _mix(picture, metal, smoothstep(0, 3 / size, depth))
