"""Where a crop lies, and how it is cut: beyond the border an image is mirrored."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.degradations.apply import mirrored


def cut(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """Cut a square `(C, side, side)` from `(C, H, W)`; beyond the border the image is mirrored, edge not repeated."""
    height, width = image.shape[1:]
    if top >= 0 and left >= 0 and top + side <= height and left + side <= width:
        return image[:, top : top + side, left : left + side]
    return image[:, mirrored(top, side, height)][:, :, mirrored(left, side, width)]


def cut_shrunk(image: Tensor, top: int, left: int, side: int, factor: float) -> Tensor:
    """`cut` from the image `factor` times smaller: antialiased, in the image's own unit."""
    if factor == 1:
        return cut(image, top, left, side)
    native = cut(image, round(top * factor), round(left * factor), round(side * factor))
    return F.interpolate(native[None].float(), size=(side, side), mode="bilinear", antialias=True)[0]


def draw_offset(size: int, crop: int, random: torch.Generator, part: tuple[int, int] | None = None) -> int:
    """Where a crop starts along one axis; an image smaller than the crop is centred and mirrored.

    Args:
        size: of the image.
        crop: of the crop.
        random: where the number comes from.
        part: start and stop of what the crop has to contain, or to lie in where that is larger; None = anywhere.
    """
    if size <= crop:
        return -((crop - size) // 2)
    low, high = 0, size - crop
    if part is not None:
        first, last = sorted((part[0], part[1] - crop))
        low, high = max(low, first), min(high, last)
    return low + int(torch.randint(high - low + 1, (), generator=random))
