"""Colour difference CIEDE2000 (Sharma, Wu, Dalal, Color Research and Application 30(1), 2005)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_pair, mask_for

# sRGB (ITU-R BT.709 primaries) to XYZ and its white D65, 2 degrees, in the digits that scikit-image and kornia use too.
_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
_CHUNK = 1 << 17  # pixels at a time: the many terms stay small
_SEVENTH = 25.0**7


@torch.no_grad()
def ciede2000(preds: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean colour difference of each pair of images; 0 for identical ones, about 1 is just noticeable.

    Args:
        preds: `(N, C, H, W)` sRGB in [0, 1], C 3, or 1 for grey.
        target: of the same shape, in [0, 1].
        mask: bool `(N, 1, H, W)`, or `(1, 1, H, W)` for all; only its pixels count. None = all of them.

    Returns:
        `(N,)` float64; NaN where the mask is empty.

    Raises:
        ValueError: shapes differ, other channels than 1 or 3, or values outside [0, 1].
    """
    check_pair(preds, target)
    if preds.shape[1] not in (1, 3):
        raise ValueError(f"CIEDE2000 needs 1 or 3 channels, found {preds.shape[1]}")
    if mask is not None:
        mask = mask_for(mask, preds)
    values = []
    for number, pair in enumerate(zip(preds, target, strict=True)):
        pixels = [image.expand(3, -1, -1).flatten(1).T for image in pair]  # (H W, 3)
        if mask is not None:
            pixels = [image[mask[number].flatten()] for image in pixels]
        total, count = preds.new_zeros((), dtype=torch.float64), len(pixels[0])
        for start in range(0, count, _CHUNK):
            first, second = (lab(image[start : start + _CHUNK]) for image in pixels)
            total += difference(first, second).sum()
        values.append(total / count)
    return torch.stack(values)


def lab(pixels: Tensor) -> Tensor:
    """CIE L*a*b* under D65 of sRGB values in [0, 1], `(..., 3)` -> `(..., 3)` float64."""
    value = pixels.double().clamp(0, 1)
    linear = torch.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    xyz = linear @ linear.new_tensor(_XYZ).T / linear.new_tensor(_WHITE)
    x, y, z = torch.where(xyz > 0.008856, xyz ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def difference(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000 of two L*a*b* colours with unit weights, `(..., 3)` -> `(...)`; symbols as in the paper."""
    (l1, a1, b1), (l2, a2, b2) = first.unbind(-1), second.unbind(-1)
    mean7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * torch.sqrt(mean7 / (mean7 + _SEVENTH))  # 1 + G
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.atan2(b, a).remainder(2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    coloured = c1 * c2 != 0  # a grey has no hue
    turn = h2 - h1
    turn = turn - 2 * math.pi * turn.sign() * (turn.abs() > math.pi)
    dh = 2 * torch.sqrt(c1 * c2) * torch.sin(turn / 2)  # 0 without colour, whatever the hue
    dl, dc = l2 - l1, c2 - c1
    light, c = (l1 + l2) / 2, (c1 + c2) / 2
    h = (h1 + h2) / 2
    h = torch.where((h1 - h2).abs() <= math.pi, h, torch.where(h1 + h2 < 2 * math.pi, h + math.pi, h - math.pi))
    h = torch.where(coloured, h, h1 + h2)
    weight = (
        1
        - 0.17 * torch.cos(h - math.radians(30))
        + 0.24 * torch.cos(2 * h)
        + 0.32 * torch.cos(3 * h + math.radians(6))
        - 0.20 * torch.cos(4 * h - math.radians(63))
    )  # T
    dark = (light - 50) ** 2
    dl = dl / (1 + 0.015 * dark / torch.sqrt(20 + dark))
    dc = dc / (1 + 0.045 * c)
    dh = dh / (1 + 0.015 * c * weight)
    rotation = 2 * torch.sqrt(c**7 / (c**7 + _SEVENTH))  # R_C
    angle = math.radians(60) * torch.exp(-(((h - math.radians(275)) / math.radians(25)) ** 2))  # 2 delta theta
    return torch.sqrt((dl**2 + dc**2 + dh**2 - torch.sin(angle) * rotation * dc * dh).clamp_min(0))


class CIEDE2000(MeanOverImages):
    """Mean colour difference over the images of all updates, see `ciede2000`; those with an empty mask are left out."""

    higher_is_better = False

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        values = ciede2000(preds, target, mask=mask)
        self.add(values[~values.isnan()])
