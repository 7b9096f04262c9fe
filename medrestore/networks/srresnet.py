"""The generator of SRGAN: SRResNet (Ledig et al., arXiv:1609.04802, figure 4), as paper S5 uses it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from medrestore.networks.blocks import Block
from medrestore.networks.frame import clamp_unit, enlargements, require_images
from medrestore.networks.normalisation import BatchNorm, Dropout


class SRResNet(nn.Module):
    """Residual blocks with batch normalisation at the small size, then pixel shuffles (arXiv:1609.04802, section 2.1).

    9x9 convolution; `blocks` of convolution, batch norm, PReLU, convolution, batch norm and a skip; convolution, batch
    norm and a skip over all blocks; for each enlargement a convolution, pixel shuffle and PReLU; 9x9 convolution. Every
    convolution has a bias, and every PReLU one slope: one after the first convolution, one a block, one an enlargement.
    1,549,462 parameters at the defaults. It sees [0, 1] and makes [-1, 1] inside, as published, without a tanh; it
    takes and returns [0, 1]. In evaluation mode batch norm uses its running statistics.

    Args:
        channels: of the images.
        width: channels inside.
        blocks: residual blocks.
        scale: output size / input size: 2, 3, 4 or 8; 2 and 3 in one enlargement, 4 and 8 in steps of 2.
        channel_slopes: PReLUs with a slope a channel. (S5's program had one a pixel and channel, which ties the network
            to one size and adds 38.8 million parameters.)
        dropout: probability between the two convolutions of a block while training (S5's future work).

    Attributes:
        context: how many input pixels around a pixel decide it.

    Raises:
        MedrestoreError: another scale.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 16,
        scale: int = 4,
        channel_slopes: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        slopes = width if channel_slopes else 1
        # 4 of the first convolution, 2 a block, 1 behind them, and 3 of the head and the enlargements at any scale
        self.context = 4 + 2 * blocks + 1 + 3
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU(slopes))
        self.body = nn.Sequential(
            *(_Block(width, slopes, dropout) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
            BatchNorm(width),
        )
        self.enlarge = nn.Sequential(
            *(layer for factor in enlargements("SRResNet", scale) for layer in _shuffled(width, factor, slopes))
        )
        self.last = nn.Conv2d(width, channels, 9, padding=4)

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W; returns `(N, C, scale*H, scale*W)` in [0, 1].

        Raises:
            ValueError: another number of channels.
        """
        require_images("SRResNet", degraded, self.channels)
        features = self.first(degraded)  # (N, width, H, W)
        features = self.enlarge(features + self.body(features))  # (N, width, scale*H, scale*W)
        return clamp_unit((self.last(features) + 1) / 2)


class _Block(Block):
    def __init__(self, width: int, slopes: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            BatchNorm(width),
            nn.PReLU(slopes),
            Dropout(dropout) if dropout else nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1),
            BatchNorm(width),
        )

    def compute(self, features: Tensor) -> Tensor:
        return features + self.body(features)


def _shuffled(width: int, factor: int, slopes: int) -> Iterator[nn.Module]:
    yield nn.Conv2d(width, width * factor**2, 3, padding=1)
    yield nn.PixelShuffle(factor)
    yield nn.PReLU(slopes)
