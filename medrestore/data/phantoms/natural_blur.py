"""How a photograph is blurred by nature: a lens out of focus on a tilted scene, a hand that moves, a noisy sensor.

Nothing of it is the training degradation of any experiment, as real blur is not.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.kernels import trim

RADII = (1.5, 4.0)  # pixels, of the disc in the middle of the image
TILT = (0.1, 0.3)  # how much larger the radius is at one side, and smaller at the other, as a part of it
MOTION = (0.5, 3.0)  # pixels, length of the straight path during the exposure
NOISE = (1.0 / 255, 3.0 / 255)  # standard deviation
_LEVELS = 5  # discs between which the tilted plane of focus is interpolated
_FINE = 16  # subpixels a side: coverage is exact to 0.1 %


def blur_by_nature(rng: np.random.Generator, picture: Tensor) -> Tensor:
    """Blur `(C, H, W)` in [0, 1] as a camera would; the result lies on 8-bit levels."""
    radius, tilt = rng.uniform(*RADII), rng.uniform(*TILT)
    towards, along = rng.uniform(0, 2 * math.pi, 2)
    moved = blur(picture, line(rng.uniform(*MOTION), along))
    seen = out_of_focus(moved, radius, tilt, towards)
    noise = rng.standard_normal(tuple(seen.shape), dtype=np.float32) * np.float32(rng.uniform(*NOISE))
    return ((seen + torch.from_numpy(noise)).clamp(0, 1) * 255).round() / 255


def out_of_focus(picture: Tensor, radius: float, tilt: float, towards: float) -> Tensor:
    """Blur `(C, H, W)` with a disc whose radius changes evenly across the image.

    Args:
        picture: Any values.
        radius: Of the disc in the middle, in pixels.
        tilt: The radius is `radius * (1 + tilt)` at the side that `towards` points to, and less by it at the other.
        towards: Angle in radians, 0 to the right, a quarter turn downwards.
    """
    height, width = picture.shape[-2:]
    rows = torch.linspace(-1, 1, height)[:, None] * math.sin(towards)
    columns = torch.linspace(-1, 1, width)[None] * math.cos(towards)
    place = (rows + columns) / (abs(math.sin(towards)) + abs(math.cos(towards)))  # -1 at one corner, 1 at the other
    if tilt == 0:
        return blur(picture, disc(radius))
    level = (place + 1) / 2 * (_LEVELS - 1)
    total = torch.zeros_like(picture)
    for number, offset in enumerate(np.linspace(-tilt, tilt, _LEVELS)):
        share = (1 - (level - number).abs()).clamp(min=0)
        total += share * blur(picture, disc(radius * (1 + float(offset))))
    return total


def disc(radius: float) -> Tensor:
    """Kernel of a disc: each tap is the part of its pixel that the disc covers; sum 1, centred."""
    reach = math.ceil(radius + 0.5)
    at = (torch.arange((2 * reach + 1) * _FINE, dtype=torch.float64) + 0.5) / _FINE - reach - 0.5
    inside = (at[:, None] ** 2 + at[None] ** 2 <= radius**2).double()
    taps = inside.unflatten(0, (-1, _FINE)).unflatten(2, (-1, _FINE)).mean((1, 3))
    return trim((taps / taps.sum()).float())


def line(length: float, angle: float) -> Tensor:
    """Kernel of an even motion along a straight path of `length` pixels, bilinear in between; sum 1, centred."""
    reach = math.ceil(length / 2) + 1
    steps = torch.linspace(-length / 2, length / 2, 65, dtype=torch.float64)
    taps = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    for row, column in zip((steps * math.sin(angle)).tolist(), (steps * math.cos(angle)).tolist(), strict=True):
        top, left = math.floor(row), math.floor(column)
        for i, vertical in ((top, 1 - row + top), (top + 1, row - top)):
            for j, horizontal in ((left, 1 - column + left), (left + 1, column - left)):
                taps[i + reach, j + reach] += vertical * horizontal
    return trim((taps / taps.sum()).float())
