"""Edge-aware smoothness: no gradients in the restored image where its target has none (paper S4, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medrestore.losses.content import masked_mean


def smoothness(restored: Tensor, target: Tensor, mask: Tensor | None = None, edge_gain: float = 1.0) -> Tensor:
    """Mean of |exp(-edge_gain * mean_c |d target|) * d restored|, summed over the two axes (arXiv:1609.03677, eq. 3).

    d is the forward difference of neighbouring pixels. Paper S4 has a signed exponent and, in its code, no gradient at
    all; this is the form of depth estimation that it refers to. It is not 0 at the target: alone it flattens texture,
    so it belongs beside a content term, with a small weight.

    Args:
        restored: `(N, C, H, W)` in [0, 1].
        target: the same shape; guides only, no gradient reaches it.
        mask: `(N, 1, H, W)`, or None where all of it is valid; a difference counts where both of its pixels do.
        edge_gain: 0 or more. At 1 even an edge from black to white keeps the weight exp(-1) = 0.37; at 10 an edge of
            0.1 does.
    """
    total = restored.new_zeros((), dtype=torch.promote_types(restored.dtype, torch.float32))
    for axis in (-2, -1):
        if restored.shape[axis] > 1:
            edges = _difference(target.detach(), axis).abs().mean(dim=1, keepdim=True)  # (N, 1, H, W) less one
            weighted = torch.exp(-edge_gain * edges) * _difference(restored, axis)
            total = total + masked_mean(weighted.abs(), None if mask is None else _both(mask, axis))
    return total


class Smoothness(nn.Module):
    """`smoothness` as a term of a config.

    Args:
        edge_gain: how soon an edge of the target excuses one of the restored image; 1 is the papers' exponent.

    Raises:
        ValueError: a negative gain, which would ask for smooth edges and rough surfaces.
    """

    def __init__(self, edge_gain: float = 1.0) -> None:
        super().__init__()
        if not edge_gain >= 0:
            raise ValueError(f"edge_gain={edge_gain} must be 0 or more; type edge_gain=1.0")
        self.edge_gain = edge_gain

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Smooth `(N, C, H, W)` where its target is smooth."""
        return smoothness(restored, target, mask, self.edge_gain)


def _difference(images: Tensor, axis: int) -> Tensor:
    return images.to(torch.promote_types(images.dtype, torch.float32)).diff(dim=axis)


def _both(mask: Tensor, axis: int) -> Tensor:
    """1 where a pixel and its next neighbour are valid."""
    size = mask.shape[axis]
    return mask.narrow(axis, 1, size - 1) * mask.narrow(axis, 0, size - 1)
