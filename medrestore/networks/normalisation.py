"""Normalisation from plain operations: right in every memory layout and at every size."""

from __future__ import annotations

from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError

Norm = Literal["instance", "group", "batch", "none"]
_GROUPS = 8  # of group normalisation, where the channels can be divided so


class InstanceNorm(nn.Module):
    """Zero mean and unit variance per sample and channel, no weights, no running statistics.

    Ulyanov et al., arXiv:1607.08022. Written out because `nn.InstanceNorm2d` returns wrong gradients without an error
    for channels-last tensors of batch 1 on a CPU, and refuses a single pixel, which here becomes 0. Half precision is
    computed in float32, since a square leaves the range of float16 early.

    Args:
        channels: only shown; taken so that normalisations are interchangeable.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.epsilon = epsilon

    def forward(self, features: Tensor) -> Tensor:
        """Normalise `(N, C, H, W)` over H and W."""
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        centred = wide - wide.mean(dim=(2, 3), keepdim=True)
        variance = centred.square().mean(dim=(2, 3), keepdim=True)
        return (centred * torch.rsqrt(variance + self.epsilon)).to(features.dtype)

    def extra_repr(self) -> str:
        """Shown by `print(network)`."""
        return f"{self.channels}, epsilon={self.epsilon}"


class PixelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, with a weight and a bias a channel.

    Ba et al., arXiv:1607.06450, as used for images in NAFNet. Half precision is computed in float32.

    Args:
        channels: C.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise `(N, C, H, W)` over C."""
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        centred = wide - wide.mean(dim=1, keepdim=True)
        variance = centred.square().mean(dim=1, keepdim=True)
        normal = (centred * torch.rsqrt(variance + self.epsilon)).to(features.dtype)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


def critic_norm(norm: Norm, width: int) -> nn.Module:
    """What a critic puts behind a convolution of `width` channels.

    Args:
        norm: `instance`; `group` of up to eight groups of channels; `batch` without running statistics; or `none`.
        width: channels.

    Raises:
        MedrestoreError: an unknown name.
    """
    if norm == "instance":
        return InstanceNorm(width)
    if norm == "group":
        return nn.GroupNorm(gcd(_GROUPS, width), width)
    if norm == "batch":
        return nn.BatchNorm2d(width, track_running_stats=False)
    if norm == "none":
        return nn.Identity()
    raise MedrestoreError(f"model.critic.norm={norm!r} is not known; type instance, group, batch or none")
