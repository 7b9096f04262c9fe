"""From a phantom street and a camera to a picture and its map of classes: painted twice as large, then binned."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.street_canvas import Canvas
from medrestore.data.phantoms.street_ground import paint_ground, paint_sky
from medrestore.data.phantoms.street_houses import paint_houses
from medrestore.data.phantoms.street_scene import END, Camera, Street, Thing
from medrestore.data.phantoms.street_things import paint_thing
from medrestore.data.phantoms.texture import Array

FINER = 2  # pixels painted for one of the picture, along each side: edges and letters come out smooth
SENSOR_NOISE = 0.9 / 255
GAIN, GLARE = np.float32(0.86), np.float32(0.05)  # light scattered in the lens takes contrast, as in photographs


def paint(rng: np.random.Generator, street: Street, camera: Camera, moving: list[Thing]) -> tuple[Array, Array]:
    """Picture (3, H, W) float32 in [0, 1] on 8-bit levels, and classes (H, W) uint8.

    Args:
        rng: of the sensor's noise.
        street: what stands.
        camera: of the finer picture.
        moving: cars on the road and people.
    """
    height, width = len(camera.down), len(camera.right)
    canvas = Canvas(np.empty((height, width, 3), np.float32), np.empty((height, width), np.uint8), street.haze)
    things = [thing for thing in (*street.things, *moving) if 1.5 < thing.z - camera.z < END]
    things.sort(key=lambda thing: -thing.z)
    paint_sky(canvas, street, camera)
    paint_ground(canvas, street, camera, [thing for thing in things if thing.kind in ("car", "oncoming")])
    paint_houses(canvas, street, camera)
    for thing in things:
        paint_thing(canvas, street, camera, thing)
    fine = canvas.pixels
    picture = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / np.float32(FINER**2)
    picture = picture * (street.tone * GAIN) + GLARE
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    picture += noise * np.float32(SENSOR_NOISE) * np.sqrt(np.clip(0.3 + picture, 0, 2))
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(levels.transpose(2, 0, 1)), canvas.labels[::2, ::2].copy()
