"""Entropy of the grey levels of an image: a description of its histogram, not of its quality."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import mask_for
from medrestore.metrics.natural_statistics import check_photograph, grey_levels

_LEVELS = 256


@torch.no_grad()
def entropy(image: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Shannon entropy in bits of the 256 grey levels of each image, 0 (one level) to 8 (all alike often).

    Noise raises it, and a black surround lowers it: give the field of view as mask.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3 (RGB, turned to grey); rounded to 8 bit.
        mask: bool `(N, 1, H, W)`, or `(1, 1, H, W)` for all; only its pixels count. None = all of them.

    Returns:
        `(N,)` float64; NaN where the mask is empty.

    Raises:
        ValueError: another shape, or values outside [0, 1].
    """
    check_photograph(image, "entropy")
    grey, number = grey_levels(image).long(), len(image)
    cells = grey + _LEVELS * torch.arange(number, device=image.device)[:, None, None]
    if mask is not None:
        mask = mask_for(mask, image)
        cells = cells[mask[:, 0]]
    counts = torch.bincount(cells.flatten(), minlength=_LEVELS * number).view(number, _LEVELS).double()
    return torch.special.entr(counts / counts.sum(dim=1, keepdim=True)).sum(dim=1) / torch.log(counts.new_tensor(2))


class Entropy(MeanOverImages):
    """Mean entropy over the images of all updates, see `entropy`; images without a counted pixel are left out."""

    def update(self, image: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        values = entropy(image, mask=mask)
        self.add(values[~values.isnan()])
