"""A small U-Net (Ronneberger et al., arXiv:1505.04597) that learns a scene's classes in minutes on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle

from medrestore.networks.normalisation import BatchNorm


class SmallUNet(nn.Module):
    """Four levels on pixel-unshuffled input; the deepest one also sees the mean of the whole image.

    Args:
        classes: number of classes.
        width: channels of the finest level; the others have 1.5, 2 and 3 times as many.

    Attributes:
        stride: H and W must be multiples of it.
    """

    stride = 16

    def __init__(self, classes: int, width: int = 24) -> None:
        super().__init__()
        widths = [width, width * 3 // 2, width * 2, width * 3]
        self.first = _block(12, widths[0])
        self.down = nn.ModuleList(_block(a, b, 2) for a, b in pairwise(widths))
        self.context = nn.Sequential(nn.Conv2d(widths[-1], widths[-1], 1), nn.ReLU(inplace=True))
        self.deepest = _block(widths[-1], widths[-1])
        self.up = nn.ModuleList(_block(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.last = nn.Conv2d(widths[0], classes * 4, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, images: Tensor) -> Tensor:
        """`(N, 3, H, W)` -> scores `(N, classes, H, W)`."""
        folded = pixel_unshuffle(images - 0.5, 2).contiguous(memory_format=torch.channels_last)
        levels = [self.first(folded)]
        for step in self.down:
            levels.append(step(levels[-1]))
        features = self.deepest(levels[-1] + self.context(levels[-1].mean((-2, -1), keepdim=True)))
        for step, level in zip(self.up, levels[-2::-1], strict=True):
            wide = interpolate(features, size=level.shape[-2:], mode="bilinear", align_corners=False)
            features = step(torch.cat((wide, level), 1))
        return self.shuffle(self.last(features))


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        BatchNorm(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, 1, 1, bias=False),
        BatchNorm(after),
        nn.ReLU(inplace=True),
    )
