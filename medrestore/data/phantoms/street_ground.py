"""Sky, clouds and the ground of the street phantom: asphalt with its markings, kerb, verge and paving."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.street_canvas import CLEAR, Canvas
from medrestore.data.phantoms.street_scene import END, MAP, Camera, Street, Thing
from medrestore.data.phantoms.texture import Array, smoothstep
from medrestore.data.street_classes import ROAD, SIDEWALK, SKY, TERRAIN, VEGETATION

_ASPHALT, _PAINT, _KERB, _SLABS, _GRASS = range(5)


def paint_sky(canvas: Canvas, street: Street, camera: Camera) -> None:
    """Blue that pales towards the horizon, clouds that grow smaller towards it, trees at the street's end."""
    horizon = int(np.searchsorted(camera.down, 0.02))
    up = np.maximum(-camera.down[:horizon:2, None], 0)
    reach = 1 / (up + np.float32(0.12))
    at = np.stack(np.broadcast_arrays(0.5 + 0.02 * camera.z / 4 + 0.09 * reach, 0.09 * reach * camera.right[None, ::2]))
    clouds = ndimage.map_coordinates(street.clouds, at * MAP, order=1, mode="grid-wrap", output=np.float32)
    clouds = smoothstep(0.1, 1.3, clouds + np.float32(street.cover))
    blue = np.array((0.36, 0.56, 0.86), np.float32) + (street.haze - (0.36, 0.56, 0.86)) * np.exp(-3.2 * up)[..., None]
    white = np.float32(0.97) - np.float32(0.16) * smoothstep(0.5, 1, clouds)
    sky = blue + (white[..., None] - blue) * (0.9 * clouds)[..., None]
    canvas.pixels[:horizon] = sky.astype(np.float32).repeat(2, 0).repeat(2, 1)[:horizon, : len(camera.right)]
    canvas.pixels[horizon:] = street.haze
    canvas.labels[:] = SKY
    _far_trees(canvas, street, camera)


def _far_trees(canvas: Canvas, street: Street, camera: Camera) -> None:
    depth = END - camera.z
    x = camera.x + depth * camera.right
    ragged = street.clouds[0].take((x * 3).astype(np.int32), mode="wrap") + 0.5 * street.grain[7].take(
        (x * 9).astype(np.int32), mode="wrap"
    )
    top = (camera.y - (6.5 + 1.6 * ragged)) / depth
    where = (camera.down[:, None] > top[None]) & (camera.down[:, None] < 0.03)
    rows = np.flatnonzero(where.any(1))
    if not len(rows):
        return
    part = slice(rows[0], rows[-1] + 1)
    height, width = part.stop - part.start, len(x)
    leaves = street.grain[np.arange(height)[:, None] % MAP, np.arange(width)[None] % MAP]
    green = np.array((0.30, 0.36, 0.24), np.float32) * (1 + 0.16 * leaves[..., None])
    colour = street.haze + (green - street.haze) * np.float32(np.exp(-depth / CLEAR))
    np.copyto(canvas.pixels[part], colour, where=where[part, :, None])
    canvas.labels[where] = VEGETATION


def paint_ground(canvas: Canvas, street: Street, camera: Camera, cars: list[Thing]) -> None:
    """Everything below the horizon that is flat."""
    first = int(np.searchsorted(camera.down, 0.006))
    depth = np.float32(camera.y) / camera.down[first:, None]  # (h, 1)
    x = np.float32(camera.x) + depth * camera.right
    z = np.float32(camera.z) + depth * camera.forth
    side = np.abs(x)
    fine = _lookup(street.grain, x, z, 70) * np.clip(5 / depth, 0.15, 1)
    coarse = _lookup(street.clouds, x, z, 14)
    kerb, paving = street.road, street.road + street.verge

    surface = np.full(x.shape, _SLABS, np.uint8)
    surface[(side < paving) & (street.verge > 0)] = _GRASS
    surface[side > street.front] = _GRASS
    surface[side < kerb + 0.18] = _KERB
    road = side < kerb
    surface[road] = _ASPHALT
    worn = fine + 0.6 * coarse > -1.4  # paint that the tyres have left
    surface[road & worn & _markings(street, x, z, side)] = _PAINT

    contrast = np.array((0.085, 0.04, 0.05, 0.06, 0.2), np.float32)
    shade = 1 + contrast[surface] * fine + 0.05 * coarse
    shade *= np.where(road, 1 - 0.1 * np.exp(-np.square((np.abs(side - 0.45 * kerb) - 0.75) / 0.3)), 1)
    joints = ((x % 0.8 < 0.035) | (z % 0.8 < 0.035)) & (surface == _SLABS)
    shade -= joints * np.clip(5 / depth, 0, 0.3)
    shade *= _shadow(street, x, z, coarse)
    for car in cars:
        reach = slice(*np.searchsorted(-depth[:, 0], (-(car.z - camera.z + 6), -(car.z - camera.z - 1))))
        under = np.abs(x[reach] - car.x) < 1.0 * car.size
        shade[reach] *= 1 - 0.72 * (under & (z[reach] > car.z - 0.25) & (z[reach] < car.z + 4.2))

    grey = street.asphalt
    colours = np.array(
        [(grey, grey, grey * 1.03), (0.86, 0.86, 0.84), (0.64, 0.63, 0.61), (0.56, 0.54, 0.51), (0.28, 0.38, 0.17)],
        np.float32,
    )
    colour = colours[surface] * shade[..., None]
    air = np.exp(-depth / np.float32(CLEAR))[..., None]
    canvas.pixels[first:] = street.haze + (colour - street.haze) * air
    canvas.labels[first:] = np.array((ROAD, ROAD, SIDEWALK, SIDEWALK, TERRAIN), np.uint8)[surface]


def _lookup(field: Array, x: Array, z: Array, density: float) -> Array:
    """Value of a periodic map with `density` cells a metre."""
    row, column = (z * np.float32(density)).astype(np.int32) % MAP, (x * np.float32(density)).astype(np.int32) % MAP
    return field.ravel().take(row * MAP + column)


def _markings(street: Street, x: Array, z: Array, side: Array) -> Array:
    """Middle line, edge lines, zebra crossing with its stop line."""
    dashes = (side < 0.07) & (z % 6 < 3)
    edges = np.abs(side - (street.road - 0.25)) < 0.06
    ahead = z - np.float32(street.zebra)
    lines = (dashes | edges) & ((ahead < -1.6) | (ahead > 4))
    zebra = (ahead > 0) & (ahead < 3) & (x % 1 < 0.5)
    stop = (np.abs(ahead + 1.3) < 0.2) & (x > 0)
    return lines | zebra | stop


def _shadow(street: Street, x: Array, z: Array, coarse: Array) -> Array:
    """Shadow of the houses on the sun's side, with the outline of their roofs."""
    if street.sun == 0:
        return np.ones_like(x)
    row = street.rows[(street.sun + 1) // 2]
    metres = np.arange(-25, END, 0.5)
    house = np.searchsorted(row.edges, metres, side="right") - 1
    heights = np.where(house % 2 == 0, row.heights[np.clip(house // 2, 0, len(row.heights) - 1)], 1.6)
    height = heights.astype(np.float32).take(((z + 25) * 2).astype(np.int32), mode="clip")
    dark = street.sun * x > street.front - np.float32(0.6) * height + 0.1 * coarse
    return np.where(dark, np.float32(0.62), np.float32(1.12))
