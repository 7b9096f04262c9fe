"""The content term that is the score itself: PSNR of each crop, so that noisy images do not outvote quiet ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medrestore.losses.content import squared_difference


def psnr_loss(restored: Tensor, target: Tensor, mask: Tensor | None = None, epsilon: float = 1e-4) -> Tensor:
    """Mean over crops of 10 log10(1 + MSE / epsilon): a constant minus the PSNR in dB (HINet, arXiv:2105.06086).

    An L1 or MSE of a batch is the sum of its noisiest crops; here a crop counts by the share of its error that goes.

    Args:
        restored: `(N, C, H, W)` in [0, 1].
        target: the same shape.
        mask: `(N, 1, H, W)`, or None where all of it is valid.
        epsilon: the MSE from which on little is left to gain, 40 dB: flat crops have a finite slope, equality gives 0.
    """
    squared = squared_difference(restored, target)
    valid = torch.ones_like(squared) if mask is None else mask.to(squared.dtype).expand_as(squared)
    errors = (squared * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp_min(1)  # (N,)
    return 10 * torch.log10(1 + errors / epsilon).mean()


class PSNRLoss(nn.Module):
    """`psnr_loss` as a term of a config.

    Args:
        epsilon: see there.
    """

    def __init__(self, epsilon: float = 1e-4) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` with its target."""
        return psnr_loss(restored, target, mask, self.epsilon)
