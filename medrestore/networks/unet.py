"""The generator of Pix2Pix: a U-Net (Isola et al., arXiv:1611.07004, section 6.1)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images
from medrestore.networks.initialisation import normal_weights
from medrestore.networks.normalisation import BatchNorm, Dropout, InstanceNorm

UNetNorm = Literal["batch", "instance"]


class UNet(nn.Module):
    """Encoder and decoder of 4x4 convolutions with stride 2 and a skip at every size (arXiv:1611.07004).

    Widths 64, 128, 256, 512, 512, ... in the encoder, leaky ReLU 0.2; the decoder mirrors it with ReLU and takes each
    skip beside what comes from below; tanh. Not normalised: the first, the innermost and the last convolution. No
    convolution before a batch norm has a bias, as in the authors' PyTorch code, nor have the first and the innermost:
    54,413,955 parameters at the defaults. Weights start at N(0, 0.02). Takes and returns [0, 1], works in [-1, 1].
    Instance norm suits full-size images, whose statistics are not a crop's; it gives every convolution a bias.

    The input is continued by reflection to multiples of 2^depth. In evaluation mode dropout is off and batch norm uses
    its running statistics; the authors leave both as in training.

    Args:
        channels: of the images.
        width: channels after the first convolution.
        depth: how often the size is halved; 8 takes 256 pixels down to one.
        norm: `batch` as published, or `instance`.
        dropout: probability in the decoder's widest layers but the innermost while training: three of them at depth 8,
            none below 6.
        global_residual: add tanh's output to the input instead of returning it.

    Attributes:
        scale: 1, the output is as large as the input.
        context: None, the innermost layers see the whole image.
    """

    scale = 1
    context = None

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        depth: int = 8,
        norm: UNetNorm = "batch",
        dropout: float = 0.5,
        global_residual: bool = False,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth={depth} leaves no skip; type depth=2 or more")
        if norm not in ("batch", "instance"):
            raise ValueError(f"norm={norm!r} is not known; type batch or instance")
        self.channels = channels
        self.global_residual = global_residual
        self.stride = 2**depth
        biased = norm == "instance"
        widths = [width * min(2**level, 8) for level in range(depth)]
        down: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1, bias=biased)]
        up: list[nn.Module] = [nn.ConvTranspose2d(2 * widths[0], channels, 4, 2, 1)]
        for level in range(1, depth):
            innermost = level == depth - 1
            below, above = widths[level], widths[level - 1]
            halved = nn.Conv2d(above, below, 4, 2, 1, bias=biased)
            doubled = nn.ConvTranspose2d(below if innermost else 2 * below, above, 4, 2, 1, bias=biased)
            dropped = dropout and not innermost and level > 3
            down.append(halved if innermost else nn.Sequential(halved, _norm(norm, below)))
            up.append(nn.Sequential(doubled, _norm(norm, above), Dropout(dropout) if dropped else nn.Identity()))
        self.down = nn.ModuleList(down)  # from the image inwards
        self.up = nn.ModuleList(up)  # up[i] leads back to the size that down[i] came from
        self.apply(normal_weights)

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W.

        Raises:
            ValueError: another number of channels.
        """
        require_images("UNet", degraded, self.channels)
        height, width = degraded.shape[-2:]
        signed = 2 * pad_to_multiple(degraded, self.stride) - 1
        skips = [self.down[0](signed)]
        for halve in self.down[1:]:
            skips.append(halve(F.leaky_relu(skips[-1], 0.2)))
        features = self.up[-1](F.relu(skips[-1]))
        for double, skip in zip(reversed(self.up[:-1]), reversed(skips[:-1]), strict=True):
            features = double(F.relu(torch.cat([skip, features], dim=1)))
        restored = torch.tanh(features)
        if self.global_residual:
            restored = signed + restored
        return clamp_unit((restored[..., :height, :width] + 1) / 2)


def _norm(norm: UNetNorm, width: int) -> nn.Module:
    return BatchNorm(width) if norm == "batch" else InstanceNorm(width)
