"""What the no-reference scores share: grey levels, normalised contrast (MSCN), its distributions, the half size.

All in float64 and with the constants of the LIVE releases (Mittal et al., TIP 2012 and SPL 2013), as MATLAB computes
them. One rule is ours, the dead zone: where a pixel equals its local mean, only round-off decides its sign, and the
fits count signs.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

_TOLERANCE = 1e-4  # outside [0, 1]; rounding of a float32 pipeline stays far below
_GREY = (0.298936, 0.587043, 0.114021)  # MATLAB's rgb2gray
_RADIUS = 3  # a 7 x 7 window
_SIGMA = 7 / 6
_STRIP = 64  # rows at a time: the sums stay in the processor's cache
_DEAD_ZONE = 1e-6  # grey levels; below, the difference to the local mean is round-off of either sign
_CUBIC = (0.5, 1.5, 2.5, 3.5)  # distances of the taps of the half size, in pixels of the input


class Mscn(NamedTuple):
    """Mean subtracted, contrast normalised coefficients and the local standard deviation, each `(N, H, W)`."""

    normalised: Tensor
    deviation: Tensor


class Ggd(NamedTuple):
    """Generalised Gaussian: shape and mean square, each `(...)`."""

    alpha: Tensor
    power: Tensor


class Aggd(NamedTuple):
    """Asymmetric generalised Gaussian: shape, root mean square below and above zero, each `(...)`."""

    alpha: Tensor
    left: Tensor
    right: Tensor


def check_photograph(image: Tensor, who: str) -> None:
    """Refuse what is no batch of grey or RGB images.

    Raises:
        ValueError: not `(N, 1 or 3, H, W)`, nothing in it, or values outside [0, 1] (beyond 1e-4).
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3) or image.numel() == 0:
        raise ValueError(f"{who} needs (N, C, H, W) with C 1 or 3, found {tuple(image.shape)}")
    low, high = float(image.min()), float(image.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # written so that NaN is refused too
        raise ValueError(f"image must be in [0, 1], found min={low:.4g}, max={high:.4g}")


def grey_levels(image: Tensor) -> Tensor:
    """`(N, C, H, W)` in [0, 1] -> `(N, H, W)` float64 of whole levels 0 to 255, as MATLAB's uint8 and rgb2gray."""
    levels = torch.floor(image.double() * 255 + 0.5).clamp_(0, 255)
    if levels.shape[1] == 1:
        return levels[:, 0]
    red, green, blue = levels.unbind(1)
    return torch.floor(_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue + 0.5)


def mscn(grey: Tensor, border: Literal["replicate", "zero"]) -> Mscn:
    """Contrast normalised by a 7 x 7 Gaussian window: (x - local mean) / (local SD + 1).

    Args:
        grey: `(N, H, W)` float64, levels 0 to 255.
        border: what lies outside: the edge pixel (PIQE, NIQE) or zero (BRISQUE).
    """
    margins = (_RADIUS,) * 4
    padded = pad(grey[:, None], margins, mode="replicate")[:, 0] if border == "replicate" else pad(grey, margins)
    height = grey.shape[1]
    normalised, deviation = torch.empty_like(grey), torch.empty_like(grey)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        strip = padded[:, top : bottom + 2 * _RADIUS]
        mean, power = _filtered(torch.stack([strip, strip * strip]))
        centred = grey[:, top:bottom] - mean
        centred.masked_fill_(centred.abs() < _DEAD_ZONE, 0)
        spread = (power - mean * mean).abs_().sqrt_()
        deviation[:, top:bottom] = spread
        normalised[:, top:bottom] = centred / (spread + 1)
    return Mscn(normalised, deviation)


def half_size(plane: Tensor) -> Tensor:
    """MATLAB's `imresize(x, 0.5)`: antialiased cubic, mirrored border, `(..., H, W)` -> `(..., ceil(H/2), ceil(W/2))`.

    Nothing is rounded.
    """
    weights = [_cubic(distance / 2) for distance in (*reversed(_CUBIC), *_CUBIC)]
    total = sum(weights)
    for dim in (-2, -1):
        size = plane.shape[dim]
        half = (size + 1) // 2
        index = torch.arange(-3, 2 * half + 3, device=plane.device).remainder(2 * size)
        index = torch.minimum(index, 2 * size - 1 - index)  # mirrored, the edge pixel repeated
        rows = plane.index_select(plane.ndim + dim, index).transpose(dim, -2)
        shrunk = rows[..., 0 : 2 * half : 2, :] * (weights[0] / total)
        for tap, weight in enumerate(weights[1:], start=1):
            shrunk.add_(rows[..., tap : tap + 2 * half : 2, :], alpha=weight / total)
        plane = shrunk.transpose(dim, -2)
    return plane.contiguous()


def ggd(values: Tensor) -> Ggd:
    """Fit a generalised Gaussian to the last dimension of `(..., K)` by its moments.

    The shape is the nearest of 0.2, 0.201, ..., 10; without any spread it is 0.2, as MATLAB's `min` answers for NaN.
    """
    power = values.square().mean(dim=-1)
    ratio = power / values.abs().mean(dim=-1).square()
    # 1/rho falls with the shape: with the signs turned both grow.
    return Ggd(_nearest_shape(-1 / _ratios(values.device), -ratio), power)


def aggd(values: Tensor) -> Aggd:
    """Fit an asymmetric generalised Gaussian to the last dimension of `(..., K)` by its moments.

    Zeros belong to neither side. A side without a value is NaN, and the shape then 0.2, as in the LIVE releases.
    """
    sides = []
    for side in (values.clamp(max=0), values.clamp(min=0)):
        square = torch.linalg.vecdot(side, side)
        sides.append((square, torch.linalg.vector_norm(side, 0, dim=-1)))
    left, right = (torch.sqrt(square / count) for square, count in sides)
    power = (sides[0][0] + sides[1][0]) / values.shape[-1]
    skew = left / right
    ratio = torch.linalg.vector_norm(values, 1, dim=-1).div_(values.shape[-1]).square_() / power
    ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square()
    return Aggd(_nearest_shape(_ratios(values.device), ratio), left, right)


def gammas(alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gamma function at 1, 2 and 3 over `alpha`, each of its shape."""
    one, two, three = (torch.lgamma(n / alpha).exp() for n in (1, 2, 3))
    return one, two, three


@functools.lru_cache(maxsize=8)
def _ratios(device: torch.device) -> Tensor:
    """Squared mean size over mean square of the Gaussians of all shapes; it grows with the shape."""
    one, two, three = gammas(_shapes(torch.device("cpu")))
    return (two.square() / (one * three)).to(device)


def _shapes(device: torch.device) -> Tensor:
    return 0.2 + 0.001 * torch.arange(9801, dtype=torch.float64, device=device)


def _nearest_shape(table: Tensor, ratio: Tensor) -> Tensor:
    """The shape whose entry in the growing table lies nearest, the smaller one of two; the first one for NaN."""
    above = torch.searchsorted(table, ratio).clamp_(1, len(table) - 1)
    nearer = (ratio - table[above - 1]).square() <= (table[above] - ratio).square()
    index = torch.where(nearer, above - 1, above).masked_fill(ratio.isnan(), 0)
    return _shapes(table.device)[index]


def _cubic(x: float) -> float:
    """Cubic convolution with a = -0.5 (Keys)."""
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


def _filtered(planes: Tensor) -> Tensor:
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = (taps / taps.sum()).tolist()
    height, width = (size - 2 * _RADIUS for size in planes.shape[-2:])
    rows = planes[..., :height, :] * taps[0]
    for i, weight in enumerate(taps[1:], start=1):
        rows.add_(planes[..., i : i + height, :], alpha=weight)
    out = rows[..., :width] * taps[0]
    for i, weight in enumerate(taps[1:], start=1):
        out.add_(rows[..., i : i + width], alpha=weight)
    return out
