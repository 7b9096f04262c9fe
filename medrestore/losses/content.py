"""Content terms: how far a restored image is from its target.

Each is `term(restored, target, mask=None) -> scalar`. The mask, broadcast against the images, is 1 where the target
is valid; elsewhere nothing is compared and no gradient arises. A mask of ones gives what no mask gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medrestore.shared_batch import batch_mean, share

Distance = Literal["l1", "l2"]


def l1(restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference.

    Args:
        restored: `(N, C, H, W)`.
        target: the same shape.
        mask: `(N, 1, H, W)`, or None where all of it is valid.
    """
    return masked_mean(_difference(restored, target).abs(), mask)


def mse(restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference; arguments as in `l1`."""
    return masked_mean(squared_difference(restored, target), mask)


def charbonnier(restored: Tensor, target: Tensor, mask: Tensor | None = None, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + epsilon^2), an absolute difference that is smooth at 0 (arXiv:1710.01992, eq. 3).

    Args:
        restored: `(N, C, H, W)`.
        target: the same shape.
        mask: `(N, 1, H, W)`, or None where all of it is valid.
        epsilon: the value at equality.
    """
    return masked_mean((squared_difference(restored, target) + epsilon**2).sqrt(), mask)


def feature_distance(restored: Sequence[Tensor], target: Sequence[Tensor], distance: Distance) -> Tensor:
    """Mean over layers of the mean absolute (`l1`) or squared (`l2`) difference of features.

    Args:
        restored: one `(N, C, H, W)` for each layer.
        target: the same shapes.
        distance: `l1` or `l2`.
    """
    term = l1 if distance == "l1" else mse
    return torch.stack([term(a, b) for a, b in zip(restored, target, strict=True)]).mean()


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the valid elements; 0 where there are none.

    Of a batch that processes share it is the share of the mean over the whole batch whose mean over the processes is
    that mean: what one process adds weighs by how much of it is valid.

    Args:
        values: `(N, C, H, W)`.
        mask: `(N, 1, H, W)`, 1 where a value counts, or None for all.
    """
    if mask is None:
        return values.mean()
    valid = mask.to(values.dtype).expand_as(values)
    return (values * valid).sum() / batch_mean(valid.sum()).clamp_min(1 / share()[1])


class L1(nn.Module):
    """`l1` as a term of a config."""

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` with its target."""
        return l1(restored, target, mask)


class MSE(nn.Module):
    """`mse` as a term of a config."""

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` with its target."""
        return mse(restored, target, mask)


class Charbonnier(nn.Module):
    """`charbonnier` as a term of a config.

    Args:
        epsilon: the value at equality.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` with its target."""
        return charbonnier(restored, target, mask, self.epsilon)


class FeatureLoss(nn.Module):
    """Perceptual loss: the distance of features (Johnson et al., arXiv:1603.08155; DeblurGAN, arXiv:1711.07064, 3.1).

    Args:
        features: `(N, C, H, W)` in [0, 1] -> list of feature maps, such as `VGG19Features`; frozen.
        distance: `l2` as in DeblurGAN or `l1` as in paper S3.
        feature_scale: multiplies the features, e.g. 1/12.75 in SRGAN (arXiv:1609.04802, 3.2).
    """

    def __init__(self, features: nn.Module, distance: Distance = "l2", feature_scale: float = 1.0) -> None:
        super().__init__()
        if distance not in ("l1", "l2"):
            raise ValueError(f"distance={distance!r} is not known; type l1 or l2")
        self.features = features
        self.distance: Distance = distance
        self.feature_scale = feature_scale

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` in [0, 1] with its target; where the mask is 0 the restored image takes its values."""
        if mask is not None:
            restored = torch.where(mask.bool(), restored, target)
        with torch.no_grad():
            sharp = [self.feature_scale * layer for layer in self.features(target)]
        return feature_distance([self.feature_scale * layer for layer in self.features(restored)], sharp, self.distance)


def squared_difference(restored: Tensor, target: Tensor) -> Tensor:
    """Elementwise, in at least float32."""
    return _difference(restored, target).square()


def _difference(restored: Tensor, target: Tensor) -> Tensor:
    """In at least float32: squares and sums leave the range of half precision."""
    difference = restored - target
    return difference.to(torch.promote_types(difference.dtype, torch.float32))
