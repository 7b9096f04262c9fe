"""NAFNet: a U-shaped restoration network without activation functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.blocks import Block
from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images, upsampled
from medrestore.networks.normalisation import PixelLayerNorm


class NAFNet(nn.Module):
    """Nonlinear-activation-free network (Chen et al., arXiv:2204.04676), own implementation.

    Every level halves the size and doubles the channels. The scales of the blocks' residuals start at 0 as published;
    here the last convolution does too, so that training starts from the identity or from bicubic upsampling.
    17.11 M parameters at width 32 with `[1, 1, 1, 28]`, 1, `[1, 1, 1, 1]`, the layout for GoPro.

    Args:
        channels: of the images.
        width: channels of the first level.
        encoder_blocks: blocks of each level on the way down.
        middle_blocks: blocks at the smallest size.
        decoder_blocks: blocks of each level on the way up, as many levels as the encoder has.
        scale: output size / input size.

    Attributes:
        context: None, channel attention averages over the whole image.

    Raises:
        ValueError: encoder and decoder differ in the number of levels.
    """

    context = None

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        encoder_blocks: Sequence[int] = (1, 1, 1, 28),
        middle_blocks: int = 1,
        decoder_blocks: Sequence[int] = (1, 1, 1, 1),
        scale: int = 1,
    ) -> None:
        super().__init__()
        if len(encoder_blocks) != len(decoder_blocks):
            raise ValueError(f"{len(encoder_blocks)} encoder levels but {len(decoder_blocks)} decoder levels")
        self.channels = channels
        self.scale = scale
        widths = [width * 2**level for level in range(len(encoder_blocks) + 1)]
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(w, count) for w, count in zip(widths, encoder_blocks, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths[:-1])
        self.middle = _blocks(widths[-1], middle_blocks)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, 2 * w, 1, bias=False), nn.PixelShuffle(2)) for w in reversed(widths[1:])
        )
        self.decoders = nn.ModuleList(
            _blocks(w, count) for w, count in zip(reversed(widths[:-1]), decoder_blocks, strict=True)
        )
        self.last = nn.Conv2d(width, channels * scale**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W; returns `(N, C, scale*H, scale*W)` in [0, 1].

        Raises:
            ValueError: another number of channels.
        """
        require_images("NAFNet", degraded, self.channels)
        height, width = (self.scale * size for size in degraded.shape[-2:])
        features = self.first(pad_to_multiple(degraded, 2 ** len(self.downs)))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for decoder, up in zip(self.decoders, self.ups, strict=True):
            features = decoder(up(features) + skips.pop())
        residual = F.pixel_shuffle(self.last(features), self.scale)
        return clamp_unit(upsampled(degraded, self.scale) + residual[..., :height, :width])


class _Block(Block):
    """Depth-wise mixing with channel attention, then a gated channel mixing; both start switched off."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            PixelLayerNorm(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
            _SimpleGate(),
            _ChannelAttention(width),
            nn.Conv2d(width, width, 1),
        )
        self.mixing = nn.Sequential(
            PixelLayerNorm(width), nn.Conv2d(width, 2 * width, 1), _SimpleGate(), nn.Conv2d(width, width, 1)
        )
        self.spatial_scale = nn.Parameter(torch.zeros(width, 1, 1))
        self.mixing_scale = nn.Parameter(torch.zeros(width, 1, 1))

    def compute(self, features: Tensor) -> Tensor:
        features = features + self.spatial_scale * self.spatial(features)
        return features + self.mixing_scale * self.mixing(features)


class _SimpleGate(nn.Module):
    """The product of the two halves of the channels: what takes the place of an activation."""

    def forward(self, features: Tensor) -> Tensor:
        first, second = features.chunk(2, dim=1)
        return first * second


class _ChannelAttention(nn.Module):
    """Weigh channels by a linear map of their means (the paper's "simplified channel attention")."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.weigh(features.mean(dim=(2, 3), keepdim=True))


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(count)))
