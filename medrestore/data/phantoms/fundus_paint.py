"""How the fundus phantom looks: choroid, retina, macula, disc, vessels, light, the field stop, the sensor.

Pictures are (3, H, W) float32, painted from the depth to the camera.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.fundus_anatomy import Camera, Eye, View, on_retina
from medrestore.data.phantoms.fundus_vessels import Drawn, draw
from medrestore.data.phantoms.texture import Array, smoothstep, splat

SENSOR_NOISE = 1.0 / 255


def _colour(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


BLOOD = _colour(0.26, 1.0, 0.9)  # absorption: a vessel is darkest in green
MELANIN = _colour(0.55, 1.0, 1.1)
RIM, CUP = _colour(1.12, 1.42, 1.5), _colour(1.16, 1.95, 2.4)  # of the disc, times the colour of the retina


def field_of_view(camera: Camera, size: int) -> Array:
    """How much light the field stop lets through, float32 (H, W) in [0, 1]; the field of view is where it is half."""
    y, x = np.mgrid[:size, :size].astype(np.float32) - np.float32((size - 1) / 2)
    radius = camera.radius * size
    inside = radius - np.hypot(y, x)  # pixels to the edge
    if camera.cut < 1:
        inside = np.minimum(inside, camera.cut * radius - np.abs(y))
    if camera.notch > 0:
        place = radius * np.float32(np.sqrt(0.5))
        inside = np.maximum(inside, camera.notch * radius - np.hypot(y + place, x - place))
    soft = np.float32(camera.softness * max(size, 128) / 384)
    return smoothstep(-0.5, 0.5, inside / soft)


def retina(camera: Camera, eye: Eye, view: View) -> tuple[Array, Drawn]:
    """The retina in the camera's light, without field stop and noise, and its vessels."""
    size = len(view.row)
    vessels = draw(eye.vessels, view.matrix, view.centre, size)
    disc, macula = _distance(view, eye.disc, eye.oblong) / eye.radius, _distance(view, eye.fovea, 1.0)
    mottle, grain = on_retina(eye.mottle, view), on_retina(eye.grain, view)
    shade = _pigment(camera, eye, disc, macula, mottle, on_retina(eye.choroid, view)) + 0.025 * grain
    picture = camera.retina * np.exp(-MELANIN * shade)
    picture = picture * (1 + _colour(0.0, 0.16, 0.16) * np.exp(-np.square((disc - 1) / 1.1)) * (disc > 1))
    picture = _with_disc(picture, camera, eye, disc, mottle, grain)
    density = 0.62 * vessels.veins + 0.46 * vessels.arteries + _fine(eye, view) * (disc > 1.1)
    picture = picture * np.exp(-BLOOD * ndimage.gaussian_filter(density, 0.35))
    picture = picture * (1 + _colour(0.16, 0.2, 0.15) * ndimage.gaussian_filter(vessels.reflex, 0.5))
    return np.clip(picture * _light(camera, view), 0, 1).astype(np.float32), vessels


def recorded(rng: np.random.Generator, picture: Array) -> Array:
    """Add the sensor's noise and round to 8-bit levels."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(SENSOR_NOISE)
    seen = picture + noise * (0.3 + np.sqrt(picture))
    return np.round(np.clip(seen, 0, 1) * 255).astype(np.float32) / np.float32(255)


def _distance(view: View, place: Array, oblong: float) -> Array:
    return np.hypot((view.row - np.float32(place[0])) / np.float32(oblong), view.column - np.float32(place[1]))


def _pigment(camera: Camera, eye: Eye, disc: Array, macula: Array, mottle: Array, choroid: Array) -> Array:
    """Density of what darkens the fundus (H, W): mottling, choroid in the periphery, macula and fovea."""
    outer = smoothstep(0.25, 0.9, macula)
    shade = 0.045 * mottle - 0.085 * camera.pigment * choroid * (0.25 + outer)
    shade += eye.macula * (0.30 * np.exp(-np.square(macula / 0.2)) + 0.26 * np.exp(-np.square(macula / 0.065)))
    shade -= 0.10 * np.exp(-np.square(macula / 0.010))  # the reflex of the fovea
    return shade + 0.14 * np.exp(-np.square((disc - 1.12) / 0.1)) * smoothstep(-1, 1, mottle)  # pigment at the disc


def _with_disc(picture: Array, camera: Camera, eye: Eye, disc: Array, mottle: Array, grain: Array) -> Array:
    """Put the optic disc, with its paler cup, over the retina."""
    inside = smoothstep(1.09, 0.93, disc + 0.02 * mottle)
    pale = smoothstep(eye.cup + 0.22, eye.cup - 0.12, disc + 0.03 * mottle)
    tissue = camera.retina * (RIM + (CUP - RIM) * pale) * (1 + 0.03 * grain)
    return picture + inside * (np.minimum(tissue, _colour(1.0, 0.97, 0.9)) - picture)


def _fine(eye: Eye, view: View) -> Array:
    """Density (H, W) of the capillaries."""
    size = len(view.row)
    between = np.linspace(0, 1, 3, endpoint=False).reshape(3, 1, 1, 1)  # spots closer than a pixel make a line
    first, second = eye.capillaries[:, :-1], eye.capillaries[:, 1:]
    points = view.project((first + between * (second - first)).reshape(-1, 2))
    return np.minimum(splat(points, np.full(len(points), 0.019), size, 0.6), 0.09)


def _light(camera: Camera, view: View) -> Array:
    """Brightness (H, W): the flash is strongest in the middle, and not quite centred."""
    size = len(view.row)
    y, x = (np.mgrid[:size, :size].astype(np.float32) - np.float32((size - 1) / 2)) / np.float32(camera.radius * size)
    away = np.square(y - np.float32(view.light[0])) + np.square(x - np.float32(view.light[1]))
    return np.float32(view.exposure) * (1 - np.float32(camera.falloff) * np.minimum(away, 1.3))
