"""Guided filter (He, Sun, Tang 2013): smooths a map but keeps its edges where a guide has edges."""

from __future__ import annotations

import torch
from torch import Tensor


def guided_filter(guide: Tensor, values: Tensor, radius: int, eps: float) -> Tensor:
    """The map that is linear in the guide within each window and nearest to `values`.

    Args:
        guide: `(N, 1, H, W)`.
        values: `(N, 1, H, W)`, to be smoothed.
        radius: of the square windows, pixels.
        eps: variance of the guide below which a window is flat.

    Returns:
        `(N, 1, H, W)`.
    """
    guide64, values64 = guide.double(), values.double()
    mean_guide, mean_values = box_mean(guide64, radius), box_mean(values64, radius)
    variance = box_mean(guide64 * guide64, radius) - mean_guide**2
    covariance = box_mean(guide64 * values64, radius) - mean_guide * mean_values
    slope = covariance / (variance.clamp(min=0) + eps)
    offset = mean_values - slope * mean_guide
    return (box_mean(slope, radius) * guide64 + box_mean(offset, radius)).to(values)


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Mean over squares of 2 `radius` + 1 pixels, cut at the borders; `(..., H, W)` in its own type."""
    for dim in (-2, -1):
        size = image.shape[dim]
        sums = image.double().cumsum(dim)
        sums = torch.cat([torch.zeros_like(sums.narrow(dim, 0, 1)), sums], dim)
        here = torch.arange(size, device=image.device)
        first, last = (here - radius).clamp(min=0), (here + radius + 1).clamp(max=size)
        count = (last - first).double().view(-1, *(1,) * (-1 - dim))
        image = ((sums.index_select(dim, last) - sums.index_select(dim, first)) / count).to(image.dtype)
    return image
