"""Normalisation from plain operations: right in every memory layout and at every size."""

from __future__ import annotations

from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.networks.blocks import computing_again
from medrestore.shared_batch import batch_mean, own_slice, share

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


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy, arXiv:1502.03167) by the statistics of the batch that all processes share.

    In one process it is `nn.BatchNorm2d`. `nn.SyncBatchNorm` runs on GPUs only and cannot be differentiated twice.
    A block that is computed again for its gradients leaves the running statistics as they are.
    """

    def forward(self, input: Tensor) -> Tensor:  # named as in the class above it
        """Normalise `(N, C, H, W)` over N, H and W."""
        uses_batch = self.training or self.running_mean is None
        if uses_batch and share()[1] > 1:
            return self._by_all(input)
        if self.training and computing_again() and self.running_mean is not None and self.running_var is not None:
            # copies: what is kept for the gradients must be as many tensors as the first time
            unseen = self.running_mean.clone(), self.running_var.clone()
            return nn.functional.batch_norm(input, *unseen, self.weight, self.bias, True, 0.0, self.eps)
        return super().forward(input)

    def _by_all(self, features: Tensor) -> Tensor:
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        mean = batch_mean(wide.mean(dim=(0, 2, 3)))
        centred = wide - mean[:, None, None]
        variance = batch_mean(centred.square().mean(dim=(0, 2, 3)))
        if self.running_mean is not None and not computing_again():
            self._follow(mean.detach(), variance.detach(), share()[1] * features.numel() // features.shape[1])
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return normal.to(features.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        unbiased = variance * count / max(1, count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


class Dropout(nn.Dropout):
    """Dropout whose mask is drawn for the batch that all processes share, of which each takes its slice."""

    def forward(self, input: Tensor) -> Tensor:  # named as in the class above it
        """Set elements of `(N, ...)` to 0 with probability `p` while training, and enlarge the others."""
        if not self.training or self.p == 0:
            return input
        shape = (share()[1] * len(input), *input.shape[1:])
        kept = own_slice(torch.empty(shape, dtype=torch.bool, device=input.device).bernoulli_(1 - self.p))
        return input * kept / (1 - self.p)


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
        return BatchNorm(width, track_running_stats=False)
    if norm == "none":
        return nn.Identity()
    raise MedrestoreError(f"model.critic.norm={norm!r} is not known; type instance, group, batch or none")
