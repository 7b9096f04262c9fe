"""Structural similarity (Wang et al., IEEE TIP 13(4), 2004): map and score, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_mask, check_pair, masked_mean

_RADIUS = 5  # an 11 x 11 window
_SIGMA = 1.5
_C1 = 0.01**2  # (K1 L)^2 with L = 1
_C2 = 0.03**2
_STRIP = 32  # rows at a time: the sums stay in the processor's cache


@torch.no_grad()
def ssim(preds: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """SSIM of each image: mean of its map without the 5 px border, then over channels.

    Args:
        preds: `(N, C, H, W)` in [0, 1], at least 11 px on each side.
        target: of the same shape, in [0, 1].
        mask: bool `(N, 1, H, W)`; only the map's pixels inside it count (and outside the border). None = all.

    Returns:
        `(N,)` float64 in [-1, 1]; NaN where the mask is empty.

    Raises:
        ValueError: shapes differ, images are too small, or values lie outside [0, 1].
    """
    if mask is not None:
        check_mask(mask, preds)
        mask = mask[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    return masked_mean(ssim_map(preds, target)[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS], mask)


@torch.no_grad()
def ssim_map(preds: Tensor, target: Tensor) -> Tensor:
    """SSIM of every pixel: Gaussian window 11 x 11, sigma 1.5, population moments; borders repeat the edge pixel.

    Args:
        preds: `(N, C, H, W)` in [0, 1], at least 11 px on each side.
        target: of the same shape, in [0, 1].

    Returns:
        `(N, C, H, W)` float64 in [-1, 1].

    Raises:
        ValueError: shapes differ, images are too small, or values lie outside [0, 1].
    """
    check_pair(preds, target)
    height, width = preds.shape[-2:]
    if min(height, width) < 2 * _RADIUS + 1:
        raise ValueError(f"SSIM needs images of at least 11 x 11, found {height} x {width}")
    x, y = _symmetric_pad(preds), _symmetric_pad(target)
    out = torch.empty(preds.shape, dtype=torch.float64, device=preds.device)
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height) + 2 * _RADIUS)
        out[..., top : top + _STRIP, :] = _similarity(x[..., rows, :].double(), y[..., rows, :].double())
    return out


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    # The two variances are only needed as their sum, so four filtered images do instead of five.
    mean_x, mean_y, squares, product = _filtered(torch.stack([x, y, x * x + y * y, x * y]))
    means = mean_x * mean_y
    powers = mean_x**2 + mean_y**2
    return (2 * means + _C1) * (2 * (product - means) + _C2) / ((powers + _C1) * (squares - powers + _C2))


def _filtered(images: Tensor) -> Tensor:
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = (taps / taps.sum()).tolist()
    height, width = (size - 2 * _RADIUS for size in images.shape[-2:])
    rows = images[..., :height, :] * taps[0]
    for i, weight in enumerate(taps[1:], start=1):
        rows.add_(images[..., i : i + height, :], alpha=weight)
    out = rows[..., :width] * taps[0]
    for i, weight in enumerate(taps[1:], start=1):
        out.add_(rows[..., i : i + width], alpha=weight)
    return out


def _symmetric_pad(image: Tensor) -> Tensor:
    """Mirror `(N, C, H, W)` with the edge pixel repeated, which `F.pad` does not know."""
    top, bottom = image[..., :_RADIUS, :].flip(-2), image[..., -_RADIUS:, :].flip(-2)
    image = torch.cat([top, image, bottom], dim=-2)
    left, right = image[..., :_RADIUS].flip(-1), image[..., -_RADIUS:].flip(-1)
    return torch.cat([left, image, right], dim=-1)


class SSIM(MeanOverImages):
    """Mean SSIM over the images of all updates, see `ssim`."""

    higher_is_better = True

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(ssim(preds, target, mask=mask))
