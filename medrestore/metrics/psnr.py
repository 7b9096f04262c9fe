"""Peak signal-to-noise ratio, one value an image."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_mask, check_pair, masked_mean


@torch.no_grad()
def psnr(preds: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """PSNR in dB with peak 1.0, over all channels of each image.

    Args:
        preds: `(N, C, H, W)` in [0, 1].
        target: of the same shape, in [0, 1].
        mask: bool `(N, 1, H, W)`; only its pixels count. None = all of them.

    Returns:
        `(N,)` float64; infinite for identical images, NaN where the mask is empty.

    Raises:
        ValueError: shapes differ or values lie outside [0, 1].
    """
    check_pair(preds, target)
    if mask is not None:
        check_mask(mask, preds)
    error = (preds.double() - target.double()) ** 2
    return -10 * torch.log10(masked_mean(error, mask))


class PSNR(MeanOverImages):
    """Mean PSNR in dB over the images of all updates, see `psnr`."""

    higher_is_better = True

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(psnr(preds, target, mask=mask))
