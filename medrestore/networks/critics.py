"""Critics: networks that score images, without a sigmoid."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from medrestore.networks.frame import require_images
from medrestore.networks.initialisation import normal_weights
from medrestore.networks.normalisation import InstanceNorm

Norm = Literal["instance", "batch", "none"]


class PatchCritic(nn.Module):
    """Scores overlapping patches of 70 x 70 pixels (PatchGAN: Isola et al., arXiv:1611.07004, as in DeblurGAN).

    4x4 convolutions with padding 2: `layers` of stride 2, one of stride 1, one to a single channel; leaky ReLU 0.2; no
    normalisation after the first. 256 x 256 pixels become 35 x 35 scores. 2,764,737 parameters as published.
    It sees one image alone and has no sigmoid, so that every adversarial loss can use it. Inside it works in [-1, 1];
    the gradient penalty is therefore taken with respect to values in [0, 1].

    Args:
        channels: of the images.
        width: channels after the first convolution, doubled by each further one up to eight times.
        layers: of stride 2.
        norm: `instance`; `batch` mixes the samples of a batch, which the gradient penalty forbids (arXiv:1704.00028,
            section 4); or `none`.
    """

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 3, norm: Norm = "instance") -> None:
        super().__init__()
        self.channels = channels
        widths = [width * min(2**layer, 8) for layer in range(layers + 1)]
        body: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=2), nn.LeakyReLU(0.2, inplace=True)]
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            stride = 2 if index < layers else 1
            body += [nn.Conv2d(before, after, 4, stride=stride, padding=2), _norm(norm, after)]
            body += [nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*body, nn.Conv2d(widths[-1], 1, 4, padding=2))
        self.apply(normal_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Score `(N, C, H, W)` in [0, 1] of any H and W; returns a map `(N, 1, H', W')` of any real numbers.

        Raises:
            ValueError: another number of channels.
        """
        require_images("PatchCritic", images, self.channels)
        return self.body(2 * images - 1)


def _norm(norm: Norm, width: int) -> nn.Module:
    if norm == "instance":
        return InstanceNorm(width)
    if norm == "batch":
        return nn.BatchNorm2d(width)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"norm={norm!r} is not known; type instance, batch or none")
