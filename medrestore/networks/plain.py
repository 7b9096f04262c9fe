"""A norm-free residual network for small machines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.blocks import Block
from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images, upsampled


class PlainResidual(nn.Module):
    """Residual blocks without normalisation on pixel-unshuffled input; starts as the identity or bicubic upsampling.

    Blocks of convolution, ReLU, convolution and a skip as in EDSR (Lim et al., arXiv:1707.02921), on input folded by
    pixel-unshuffle, so that each convolution sees a quarter of the pixels. Nothing is normalised: instance statistics
    take away the low contrast that a mild blur leaves. The last convolution starts at 0. 259,836 parameters at the
    defaults.

    Args:
        channels: of the images.
        width: channels inside.
        depth: residual blocks of two convolutions.
        unshuffle: pixels folded into channels in each direction; 1 for none.
        scale: output size / input size.

    Attributes:
        context: how many input pixels around a pixel decide it.
    """

    def __init__(self, channels: int = 3, width: int = 48, depth: int = 6, unshuffle: int = 2, scale: int = 1) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        self.unshuffle = unshuffle
        # 2 * depth + 2 convolutions reach one folded pixel each, counted from the far side of a folded pixel
        self.context = unshuffle * (2 * depth + 2) + unshuffle - 1
        self.first = nn.Conv2d(channels * unshuffle**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(depth)))
        self.last = nn.Conv2d(width, channels * (unshuffle * scale) ** 2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W; returns `(N, C, scale*H, scale*W)` in [0, 1].

        Raises:
            ValueError: another number of channels.
        """
        require_images("PlainResidual", degraded, self.channels)
        height, width = (self.scale * size for size in degraded.shape[-2:])
        folded = F.pixel_unshuffle(pad_to_multiple(degraded, self.unshuffle), self.unshuffle) - 0.5
        # a CPU convolves this layout up to 1.5 times as fast
        features = self.first(folded.contiguous(memory_format=torch.channels_last))
        residual = F.pixel_shuffle(self.last(self.blocks(features)), self.unshuffle * self.scale)
        return clamp_unit(upsampled(degraded, self.scale) + residual[..., :height, :width])


class _Block(Block):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def compute(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features), inplace=True))
