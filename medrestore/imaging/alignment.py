"""How one photograph lies over another: shift, rotation, scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the pixels of a first photograph lie in a second one.

    A point p of the first, measured from its centre, is found at `scale * R(angle) p + shift` from the second's centre.

    Attributes:
        shift: Pixels `(down, right)`.
        angle: Degrees, counter-clockwise as one looks at the picture.
        scale: Of the second photograph, seen from the first.
        correlation_before: Of what both show in detail, with the photographs laid centre on centre.
        correlation: The same once registered.
        overlap: Share of the first field of view that the second covers.
    """

    shift: tuple[float, float]
    angle: float
    scale: float
    correlation_before: float
    correlation: float
    overlap: float

    def warp(self, image: Tensor, height: int, width: int) -> Tensor:
        """Lay the second photograph over the first.

        Args:
            image: (C, H, W) in the second's frame; bool or float. A bool mask stays one: True where at least half is.
            height: Of the first.
            width: Of the first.

        Returns:
            (C, height, width); what lies outside the second photograph is 0. Values stay within the image's range.
        """
        pose = torch.tensor([*self.shift, math.radians(self.angle), math.log(self.scale)])
        other = (image.shape[-2], image.shape[-1])
        places = places_in(pose, (height, width), centre_of((height, width)), other, centre_of(other))
        values = image.float()[None]
        if image.dtype == torch.bool:
            return grid_sample(values, places, "bilinear", "zeros", align_corners=False)[0] >= 0.5
        inside = places.abs().amax(-1) <= 1
        warped = grid_sample(values, places, "bicubic", "border", align_corners=False)
        return (warped.clamp(float(values.min()), float(values.max())) * inside)[0].to(image.dtype)


def centre_of(shape: tuple[int, int], factor: int = 1) -> tuple[float, float]:
    """Return the centre `(y, x)` of a photograph on a grid of means over `factor` pixels, counted from its top left."""
    height, width = shape
    return (height - factor) / (2 * factor), (width - factor) / (2 * factor)


def places_in(
    pose: Tensor,
    shape: tuple[int, int],
    centre: tuple[float, float],
    other: tuple[int, int],
    other_centre: tuple[float, float],
) -> Tensor:
    """Return where each pixel of the first grid lies in the second, (1, H, W, 2) as `grid_sample` counts."""
    down, right, angle, scale = pose
    y = torch.arange(shape[0], dtype=pose.dtype)[:, None] - centre[0]
    x = torch.arange(shape[1], dtype=pose.dtype) - centre[1]
    cos, sin = scale.exp() * angle.cos(), scale.exp() * angle.sin()
    rows = cos * y - sin * x + other_centre[0] + down
    columns = cos * x + sin * y + other_centre[1] + right
    return torch.stack([(2 * columns + 1) / other[1] - 1, (2 * rows + 1) / other[0] - 1], -1)[None]
