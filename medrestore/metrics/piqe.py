"""PIQE without reference (Venkatanath et al., NCC 2015), with the semantics of MATLAB's `piqe`, in float64.

Its quality bands were drawn from photographs, and it takes noise for sharpness: print neither a score nor a band of a
medical image without saying so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_mask

PIQE_BANDS = ("Excellent", "Good", "Fair", "Poor", "Bad")
PIQE_LIMITS = (20.0, 35.0, 50.0, 80.0)  # upper limits of all bands but the last

_TOLERANCE = 1e-4  # outside [0, 1]; rounding of a float32 pipeline stays far below
_GREY = (0.298936, 0.587043, 0.114021)  # MATLAB's rgb2gray
_RADIUS = 3  # a 7 x 7 window
_SIGMA = 7 / 6
_STRIP = 64  # rows at a time: the sums stay in the processor's cache
_DEAD_ZONE = 1e-6  # grey levels; below, the difference to the local mean is round-off of either sign
_SIDE = 16  # of a block
_ACTIVE = 0.1  # least variance of a block that counts
_RUN, _FLAT = 6, 0.1  # an edge with a run of so many pixels below this SD is an artefact
_CENTRE = (7, 8)  # the two columns in the middle of a block
# MATLAB deletes column 8, then column 9 of what is left, which was column 10: published scores need the slip.
_SURROUND = (*range(7), 8, *range(10, 16))


class PiqeMasks(NamedTuple):
    """Which pixels lie in blocks of a kind, each bool `(N, 1, H, W)`; the last two are parts of the first.

    Attributes:
        active: blocks with enough structure to be judged at all.
        artefact: active blocks with a flat run on an edge: blur and compression.
        noise: active blocks whose middle differs little from its surround: noise.
    """

    active: Tensor
    artefact: Tensor
    noise: Tensor


class _Blocks(NamedTuple):
    """Variance and flags of every block, each `(N, rows, columns)`."""

    variance: Tensor
    active: Tensor
    artefact: Tensor
    noise: Tensor


@torch.no_grad()
def piqe(image: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """PIQE of each image: about 0 (best) to 100 (worst, and also an image without any structure).

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3 (RGB); rounded to 8 bit, edges repeated up to multiples of 16 px.
        mask: bool `(N, 1, H, W)`; only blocks of 16 x 16 px wholly inside count. Pixels up to 3 px outside still take
            part in a block's local means. None = all blocks, as in MATLAB.

    Returns:
        `(N,)` float64; NaN where no whole block lies inside the mask.

    Raises:
        ValueError: another shape, or values outside [0, 1].
    """
    _check(image)
    blocks = _blocks(image)
    active, terms = blocks.active, (1 - blocks.variance) * blocks.artefact + blocks.variance * blocks.noise
    if mask is None:
        return 100 * (1 + terms.sum(dim=(1, 2))) / (1 + active.sum(dim=(1, 2)))
    check_mask(mask, image)
    inside = _cut(_whole_blocks(mask[:, 0])).all(dim=-1)
    scores = 100 * (1 + (terms * inside).sum(dim=(1, 2))) / (1 + (active & inside).sum(dim=(1, 2)))
    return scores.masked_fill(~inside.any(dim=2).any(dim=1), torch.nan)


@torch.no_grad()
def piqe_masks(image: Tensor) -> PiqeMasks:
    """The blocks that PIQE calls active, artefact and noise, at the image's size.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3 (RGB).

    Raises:
        ValueError: another shape, or values outside [0, 1].
    """
    _check(image)
    height, width = image.shape[-2:]
    flags = torch.stack(_blocks(image)[1:])
    flags = flags.repeat_interleave(_SIDE, dim=-2).repeat_interleave(_SIDE, dim=-1)[..., :height, :width]
    return PiqeMasks(*flags[:, :, None])


def piqe_band(score: float) -> str:
    """The quality band of a score on the natural-image scale (MathWorks, from the photographs of LIVE release 2).

    MathWorks' table leaves gaps between whole numbers (20 and 21); here a band ends at its upper limit: 20, 35, 50, 80.

    Raises:
        ValueError: the score is NaN.
    """
    if math.isnan(score):
        raise ValueError("a PIQE score that is NaN has no band: leave the image out")
    return PIQE_BANDS[sum(score > limit for limit in PIQE_LIMITS)]


class PIQE(MeanOverImages):
    """Mean PIQE over the images of all updates, see `piqe`."""

    higher_is_better = False

    def update(self, image: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(piqe(image, mask=mask))


def _check(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[1] not in (1, 3) or image.numel() == 0:
        raise ValueError(f"PIQE needs (N, C, H, W) with C 1 or 3, found {tuple(image.shape)}")
    low, high = float(image.min()), float(image.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # written so that NaN is refused too
        raise ValueError(f"image must be in [0, 1], found min={low:.4g}, max={high:.4g}")


def _blocks(image: Tensor) -> _Blocks:
    blocks = _cut(_normalised(_whole_blocks(_grey(image))))  # (N, rows, columns, 256)
    variance = blocks.var(dim=-1)
    active = variance > _ACTIVE
    square = blocks.unflatten(-1, (_SIDE, _SIDE))
    edges = torch.stack([square[..., 0, :], square[..., -1, :], square[..., 0], square[..., -1]], dim=-2)
    flat = edges.unfold(-1, _RUN, 1).std(dim=-1) < _FLAT  # (N, rows, columns, 4, 11)
    spread = variance.sqrt()
    centre, surround = (square[..., list(part)].flatten(-2).std(dim=-1) for part in (_CENTRE, _SURROUND))
    ratio = (centre / surround).nan_to_num(nan=0.0, posinf=torch.inf)
    noise = spread > 2 * (spread - ratio).abs() / torch.maximum(spread, ratio)
    return _Blocks(variance, active, active & flat.flatten(-2).any(dim=-1), active & noise)


def _grey(image: Tensor) -> Tensor:
    """`(N, C, H, W)` in [0, 1] -> `(N, H, W)` float64 of whole levels 0 to 255."""
    levels = torch.floor(image.double() * 255 + 0.5).clamp_(0, 255)
    if levels.shape[1] == 1:
        return levels[:, 0]
    red, green, blue = levels.unbind(1)
    return torch.floor(_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue + 0.5)


def _whole_blocks(plane: Tensor) -> Tensor:
    """Repeat the last row and column of `(N, H, W)`, of any type, up to multiples of a block."""
    for dim in (1, 2):
        size = plane.shape[dim]
        index = torch.arange(-(-size // _SIDE) * _SIDE, device=plane.device).clamp_(max=size - 1)
        plane = plane.index_select(dim, index)
    return plane


def _cut(plane: Tensor) -> Tensor:
    """`(N, H, W)` -> `(N, H / 16, W / 16, 256)`, the pixels of a block row by row."""
    blocks = plane.unflatten(2, (-1, _SIDE)).unflatten(1, (-1, _SIDE))
    return blocks.transpose(2, 3).flatten(-2)


def _normalised(grey: Tensor) -> Tensor:
    """Mean subtracted, contrast normalised: (x - local mean) / (local SD + 1), borders repeat the edge pixel."""
    padded = pad(grey[:, None], (_RADIUS,) * 4, mode="replicate")[:, 0]
    height = grey.shape[1]
    out = torch.empty_like(grey)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        strip = padded[:, top : bottom + 2 * _RADIUS]
        mean, power = _filtered(torch.stack([strip, strip * strip]))
        centred = grey[:, top:bottom] - mean
        centred.masked_fill_(centred.abs() < _DEAD_ZONE, 0)
        out[:, top:bottom] = centred / ((power - mean * mean).abs_().sqrt_() + 1)
    return out


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
