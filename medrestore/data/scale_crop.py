"""The random scale crop of S4: boxes of random side, resized to the crop, so that one blur is seen at many scales.

The paper's text says a standard deviation of 50, its equation and its code 100; the code clamps to [128, short side].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class ScaleCrop:
    """How the side of a box is drawn, in pixels of the image; S4: 256, 100, 128 for crops of 256.

    Attributes:
        mean: of the normal distribution.
        sigma: its standard deviation; 0 = always the mean.
        least: no side is smaller, unless the image is.

    Raises:
        MedrestoreError: a number makes no sense.
    """

    mean: float
    sigma: float
    least: int

    def __post_init__(self) -> None:
        numbers = (self.mean, self.sigma, self.least)
        sound = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        if not sound or self.mean < 1 or self.sigma < 0 or self.least < 1:
            raise MedrestoreError(
                f"sampling.scale_crop needs mean >= 1, sigma >= 0 and least >= 1, found mean={self.mean}, "
                f"sigma={self.sigma}, least={self.least}; type sampling.scale_crop={{mean:256,sigma:100,least:128}}"
            )

    def draw_side(self, height: int, width: int, random: torch.Generator) -> int:
        """The side of a square box inside an image, clamped to [`least`, short side of the image]."""
        side = round(self.mean + self.sigma * float(torch.randn((), generator=random, dtype=torch.float64)))
        return min(max(side, round(self.least)), height, width)


def scale_crop_of(values: Mapping[str, float] | None) -> ScaleCrop | None:
    """The settings as `sampling.scale_crop` names them; None for none.

    Raises:
        MedrestoreError: a name is unknown or missing, or a number makes no sense.
    """
    if values is None:
        return None
    known = {field.name for field in fields(ScaleCrop)}
    if not isinstance(values, Mapping) or set(values) != known:
        found = ", ".join(map(str, values)) if isinstance(values, Mapping) else values
        raise MedrestoreError(
            f"sampling.scale_crop needs mean, sigma and least, found {found or 'nothing'}; "
            "type sampling.scale_crop={mean:256,sigma:100,least:128}"
        )
    return ScaleCrop(**values)  # type: ignore[arg-type]


def resized(image: Tensor, side: int) -> Tensor:
    """A square `(C, s, s)` in [0, 1] at `(C, side, side)`: bicubic (a = -0.5), antialiased when shrinking, clamped."""
    if image.shape[-1] == side:
        return image
    return F.interpolate(image[None], size=(side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)


def resized_mask(mask: Tensor, side: int) -> Tensor:
    """A square mask `(1, s, s)` at `(1, side, side)`: the nearest pixel."""
    return F.interpolate(mask[None].float(), size=(side, side), mode="nearest-exact")[0]
