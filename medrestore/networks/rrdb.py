"""The generator of ESRGAN: residual-in-residual dense blocks (Wang et al., arXiv:1809.00219)."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.blocks import Block
from medrestore.networks.frame import clamp_unit, enlargements, require_images
from medrestore.networks.initialisation import he_weights

_DENSE, _GROUP = 5, 3  # convolutions of a dense block, dense blocks of a residual group
_SHARE = 0.2  # of a block's output that is added to its input


class RRDBNet(nn.Module):
    """Dense blocks inside residual blocks, nothing normalised (arXiv:1809.00219, section 3.1), for super-resolution.

    First convolution, `blocks` groups of three dense blocks of five convolutions, a convolution and a skip over all of
    it; for each enlargement nearest upsampling and a convolution; two convolutions. 3x3 throughout, leaky ReLU 0.2.
    16,697,987 parameters at the defaults, as published. Weights start as He's, within the dense blocks a tenth of it.
    Takes and returns [0, 1], and works in it.

    Args:
        channels: of the images.
        width: channels between the blocks.
        blocks: groups of three dense blocks.
        growth: channels that each convolution of a dense block adds.
        scale: output size / input size: 2, 3, 4 or 8; 2 and 3 in one enlargement, 4 and 8 in steps of 2.

    Attributes:
        context: how many input pixels around a pixel decide it.

    Raises:
        MedrestoreError: another scale.
    """

    def __init__(self, channels: int = 3, width: int = 64, blocks: int = 23, growth: int = 32, scale: int = 4) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        factors = enlargements("RRDBNet", scale)
        # from the output: two convolutions, then one before each shrinking, of which a part of a pixel counts as one
        reach = list(accumulate(reversed(factors), lambda pixels, factor: -(-(pixels + 1) // factor), initial=2))[-1]
        self.context = 1 + _GROUP * _DENSE * blocks + 1 + reach
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.body = nn.Sequential(
            *(_Group(width, growth) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)
        )
        self.enlarge = nn.Sequential(*(layer for factor in factors for layer in _enlarged(width, factor)))
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, channels, 3, padding=1)
        )
        self.apply(he_weights)
        for module in self.modules():
            if isinstance(module, _Dense):
                module.apply(partial(he_weights, scale=0.1))

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W; returns `(N, C, scale*H, scale*W)` in [0, 1].

        Raises:
            ValueError: another number of channels.
        """
        require_images("RRDBNet", degraded, self.channels)
        features = self.first(degraded)  # (N, width, H, W)
        features = self.enlarge(features + self.body(features))  # (N, width, scale*H, scale*W)
        return clamp_unit(self.last(features))


class _Dense(nn.Module):
    """Each convolution sees the input and what all before it made."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * (_DENSE - 1) + [width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width + index * growth, out, 3, padding=1) for index, out in enumerate(outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        seen = [features]
        for convolution in self.convolutions[:-1]:
            seen.append(F.leaky_relu(convolution(torch.cat(seen, dim=1)), 0.2, inplace=True))
        return features + _SHARE * self.convolutions[-1](torch.cat(seen, dim=1))


class _Group(Block):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(_Dense(width, growth) for _ in range(_GROUP)))

    def compute(self, features: Tensor) -> Tensor:
        return features + _SHARE * self.body(features)


def _enlarged(width: int, factor: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=factor), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2)]
