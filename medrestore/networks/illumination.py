"""A small generator for images behind a veil: a smooth map of gain and offset, then residual blocks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images
from medrestore.networks.plain import PlainResidual

_FOLD = 2  # pixels folded into channels before the first convolution
_LIMIT = math.log(4.0)  # the gain stays within 1/4 and 4


class IlluminationResidual(nn.Module):
    """Undo a veil by gain and offset, then sharpen by residual blocks; starts as the identity.

    A clouded lens mixes what is behind it with scattered light, `t * image + (1 - t) * light` (the haze model of He et
    al., CVPR 2009), both varying slowly over the picture. Its inverse, and the veil itself, is a gain and an offset a
    channel: strided convolutions read them from each cell of 16 x 16 pixels and its neighbours, and they are
    interpolated between the cells' centres, so that this part cannot draw details. What a blur took is left to a
    `PlainResidual`. No normalisation; the last convolution of each part starts at 0. 86,042 parameters at the defaults.

    Nothing is pooled over the whole image: a crop gets the map that it has in the whole, and tiles are exact.

    Args:
        channels: of the images.
        width: channels of the residual blocks.
        depth: residual blocks of two convolutions.
        map_width: channels of the convolutions that find gain and offset.
        map_depth: 3x3 convolutions between the cells; each lets a cell see one neighbour further.

    Attributes:
        scale: 1, the output is as large as the input.
        stride: side of a cell in pixels.
        context: how many input pixels around a pixel decide it.
    """

    scale = 1
    stride = 8 * _FOLD

    def __init__(
        self, channels: int = 3, width: int = 32, depth: int = 3, map_width: int = 24, map_depth: int = 3
    ) -> None:
        super().__init__()
        self.channels = channels
        convolutions = [
            nn.Conv2d(channels * _FOLD**2, map_width, 3, stride=2, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
            nn.Conv2d(map_width, map_width, 3, stride=2, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
        ]
        for _ in range(map_depth):
            convolutions += [nn.Conv2d(map_width, map_width, 3, padding=1, padding_mode="replicate")]
            convolutions += [nn.ReLU(inplace=True)]
        self.cells = nn.Sequential(*convolutions)
        self.last = nn.Conv2d(map_width, 2 * channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.residual = PlainResidual(channels, width, depth, _FOLD)
        # The furthest a pixel leans on: the folded pixel where the residual blocks begin, which lies left of its cell's
        # centre and is interpolated with the cell before, whose neighbours begin 3 * _FOLD pixels further out.
        cells = self.stride // 2 - _FOLD + self.stride * (map_depth + 1) + 3 * _FOLD
        self.context = cells + self.residual.context

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W.

        Raises:
            ValueError: another number of channels.
        """
        require_images("IlluminationResidual", degraded, self.channels)
        gain, offset = self.illumination(degraded)
        return self.residual(clamp_unit(gain * degraded + offset))

    def illumination(self, degraded: Tensor) -> tuple[Tensor, Tensor]:
        """Gain (within 1/4 and 4) and offset of every pixel of `(N, C, H, W)`, in that shape each."""
        height, width = degraded.shape[-2:]
        folded = F.pixel_unshuffle(pad_to_multiple(degraded, self.stride), _FOLD) - 0.5
        coarse = self.last(self.cells(folded)).float()  # (N, 2C, H / 16, W / 16); exp is too coarse in half precision
        fine = F.interpolate(coarse, scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        gain, offset = fine[..., :height, :width].chunk(2, dim=1)
        return torch.exp(_LIMIT * torch.tanh(gain)), offset
