"""PIQE without reference (Venkatanath et al., NCC 2015), with the semantics of MATLAB's `piqe`, in float64.

Its quality bands were drawn from photographs, and it takes noise for sharpness: print neither a score nor a band of a
medical image without saying so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_mask
from medrestore.metrics.natural_statistics import check_photograph, grey_levels, mscn

PIQE_BANDS = ("Excellent", "Good", "Fair", "Poor", "Bad")
PIQE_LIMITS = (20.0, 35.0, 50.0, 80.0)  # upper limits of all bands but the last

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
    check_photograph(image, "PIQE")
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
    check_photograph(image, "PIQE")
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


def _blocks(image: Tensor) -> _Blocks:
    blocks = _cut(mscn(_whole_blocks(grey_levels(image)), "replicate").normalised)  # (N, rows, columns, 256)
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
