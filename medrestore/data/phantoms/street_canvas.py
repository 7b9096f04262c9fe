"""The picture a street phantom is painted on, back to front, and the upright planes its things are painted in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.street_scene import Camera
from medrestore.data.phantoms.texture import Array

NEAREST = 0.8  # metres; what is nearer to the camera is not painted
CLEAR = 170.0  # metres after which the haze has taken 63 % of the contrast


@dataclass(frozen=True, slots=True)
class Patch:
    """The pixels that may show a piece of an upright plane."""

    rows: slice
    columns: slice
    along: Array  # (w,) metres: z in a plane that runs along the street, x in one across it
    y: Array  # (h, w) metres above ground
    depth: Array  # (w,) metres


@dataclass(frozen=True, slots=True)
class Canvas:
    """Colours (H, W, 3) and classes (H, W), painted in place."""

    pixels: Array
    labels: Array
    haze: Array

    def put(self, patch: Patch, colour: Array, where: Array, label: int) -> None:
        """Paint `colour` (broadcast to (h, w, 3)) where `where` (h, w) is True, behind as much air as is there."""
        air = np.exp(-patch.depth / np.float32(CLEAR))[None, :, None]
        seen = colour * air
        seen += self.haze * (1 - air)
        np.copyto(self.pixels[patch.rows, patch.columns], seen, where=where[..., None])
        np.copyto(self.labels[patch.rows, patch.columns], np.uint8(label), where=where)


def across(camera: Camera, z: float, x: tuple[float, float], y: tuple[float, float]) -> Patch | None:
    """Rectangle that faces the camera: `x` and `y` from low to high; None where it is not in the picture."""
    depth = (z - camera.z) / camera.forth
    at = camera.x + depth * camera.right
    return _patch(camera, depth, at, x, y)


def along(camera: Camera, x: float, z: tuple[float, float], y: tuple[float, float]) -> Patch | None:
    """Rectangle that runs along the street."""
    depth = (x - camera.x) / np.where(np.abs(camera.right) < 1e-5, np.float32(1e-5), camera.right)
    at = camera.z + depth * camera.forth
    return _patch(camera, depth, at, z, y)


def _patch(camera: Camera, depth: Array, at: Array, span: tuple[float, float], y: tuple[float, float]) -> Patch | None:
    seen = np.flatnonzero((depth > NEAREST) & (at >= span[0]) & (at <= span[1]))
    if not len(seen):
        return None
    columns = slice(int(seen[0]), int(seen[-1]) + 1)
    depth, at = depth[columns], at[columns]
    near, far = depth.min(), depth.max()
    first = min((camera.y - y[1]) / near, (camera.y - y[1]) / far)
    last = max((camera.y - y[0]) / near, (camera.y - y[0]) / far)
    inside = np.flatnonzero((camera.down >= first) & (camera.down <= last))
    if not len(inside):
        return None
    rows = slice(int(inside[0]), int(inside[-1]) + 1)
    return Patch(rows, columns, at, camera.y - depth[None] * camera.down[rows, None], depth)
