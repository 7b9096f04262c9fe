"""How large a critic's features are, epoch by epoch: a constraint on features that vanish constrains nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medrestore.losses.content import masked_mean
from medrestore.shared_batch import batch_mean


class FeatureNorms(nn.Module):
    """Compares the mean absolute value of every layer's features with that of the first epoch.

    Whole epochs are compared because single crops differ by more than an order of magnitude. Everything is a buffer, so
    that a resumed training says what an unbroken one would have said.

    Args:
        layers: feature maps of the critic.
        share: of the first epoch's norm, below which a layer counts as collapsed.

    Attributes:
        first: `(layers,)` norms of the first epoch; NaN until it is over.
    """

    first: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(self, layers: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("first", torch.full((layers,), torch.nan))
        self.register_buffer("sums", torch.zeros(layers))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def observe(self, features: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
        """Take in one step's features and return their norms `(layers,)`.

        Args:
            features: one `(N, C, H, W)` for each layer.
            masks: for each `(N, 1, H, W)`, 1 where a feature counts.
        """
        pairs = zip(features, masks, strict=True)
        norms = batch_mean(torch.stack([masked_mean(layer.float().abs(), mask) for layer, mask in pairs]))
        self.sums += norms
        self.steps += 1
        return norms

    @torch.no_grad()
    def end_epoch(self) -> dict[int, float]:
        """Close an epoch.

        Returns:
            The layers that have collapsed, counted from 1, with their share of the first epoch's norm.
        """
        if not self.steps:
            return {}
        norms = self.sums / self.steps
        self.sums.zero_()
        self.steps.zero_()
        if self.first.isnan().any():
            self.first.copy_(norms)
            return {}
        shares = (norms / self.first).tolist()
        return {layer: share for layer, share in enumerate(shares, start=1) if share < self.share}
