"""A small generator that weighs what an image holds and draws nothing: local gain, offset and bands of detail."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images

_FOLD = 2  # pixels folded into channels before the first convolution
_SPLINE = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # cubic B-spline
_LIMIT = math.log(4.0)  # a gain stays within 1/4 and 4
_DARK = 0.05  # the brightest channel of a pixel that counts fully


class LocalGain(nn.Module):
    """Undo a veil by gain and offset and a blur by gains of the bands of detail; starts as the identity.

    A clouded lens mixes what is behind it with scattered light, `t * image + (1 - t) * light` (the haze model of He et
    al., CVPR 2009), and damps fine detail, all of it slowly varying over the picture. The image is split into bands of
    detail and the rest by the undecimated B-spline wavelet ("a trous", Starck, Fadili and Murtagh, TIP 2007); in every
    channel each band is multiplied by a gain, the sum by another, and an offset is added:

        gain * (rest + sum over bands of band_gain * band) + offset

    Strided convolutions read gains and offset from each cell of 16 x 16 pixels and its neighbours; between the cells'
    centres they are interpolated. So a detail can be strengthened or damped, and none can be invented: neither the grid
    nor the texture that an adversary draws out of a generator that paints its pixels. The same network the other way
    round clouds a photograph. No normalisation; the last convolution starts at 0.

    Black pixels, as around a field of view, have no weight in the wavelet, so that its edge is no detail. Nothing
    is pooled over the whole image: a crop gets what it has in the whole, and tiles are exact.

    Args:
        channels: of the images.
        width: channels of the convolutions.
        depth: 3x3 convolutions between the cells; each lets a cell see one neighbour further.
        bands: of detail, each twice as coarse as the one before; the first is what a Gaussian of 1 pixel takes away.

    Attributes:
        scale: 1, the output is as large as the input.
        stride: side of a cell in pixels.
        context: how many input pixels around a pixel decide it.
    """

    scale = 1
    stride = 8 * _FOLD

    def __init__(self, channels: int = 3, width: int = 32, depth: int = 4, bands: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.bands = bands
        convolutions = [
            nn.Conv2d(channels * _FOLD**2, width, 3, stride=2, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=2, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
        ]
        for _ in range(depth):
            convolutions += [nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"), nn.ReLU(inplace=True)]
        self.cells = nn.Sequential(*convolutions)
        self.last = nn.Conv2d(width, (2 + bands) * channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        # The furthest a pixel leans on lies left: it is interpolated with the cell before, whose neighbours begin
        # 3 * _FOLD pixels further out.
        cells = self.stride // 2 - 1 + self.stride * (depth + 1) + 3 * _FOLD
        self.context = max(cells, 2 * (2**bands - 1))

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W.

        Raises:
            ValueError: another number of channels.
        """
        require_images("LocalGain", degraded, self.channels)
        offset, gain, *band_gains = self.coefficients(degraded)
        with torch.autocast(degraded.device.type, enabled=False):  # half precision has not the levels of an image
            rest, *bands = _wavelet(degraded.float(), self.bands)
            for band_gain, band in zip(band_gains, bands, strict=True):
                rest = torch.addcmul(rest, band_gain, band)
            return clamp_unit(torch.addcmul(offset, gain, rest))

    def coefficients(self, degraded: Tensor) -> tuple[Tensor, ...]:
        """Offset, gain and band gains (finest first; within 1/4 and 4) of every pixel, `(N, C, H, W)` each."""
        height, width = degraded.shape[-2:]
        folded = F.pixel_unshuffle(pad_to_multiple(degraded, self.stride), _FOLD) - 0.5
        coarse = self.last(self.cells(folded)).float()  # (N, (2 + bands) C, H / 16, W / 16); float for exp
        offset, gains = coarse.tensor_split([self.channels], dim=1)
        coarse = torch.cat([offset, torch.exp(_LIMIT * torch.tanh(gains))], dim=1)
        fine = F.interpolate(coarse, scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        return fine[..., :height, :width].chunk(2 + self.bands, dim=1)


def _wavelet(images: Tensor, bands: int) -> list[Tensor]:
    """The rest, and the bands from the finest on; their sum is the image."""
    seen = (images.detach().amax(1, keepdim=True) / _DARK).clamp(0, 1)
    found, finer = [], images
    for band in range(bands):
        coarser = _smoothed(finer, seen, 2**band)
        found.append(finer - coarser)
        finer = coarser
    return [finer, *found]


def _smoothed(images: Tensor, seen: Tensor, distance: int) -> Tensor:
    """Mean by the B-spline over pixels `distance` apart, weighted by how far they count; borders repeat their pixel."""
    taps = torch.tensor(_SPLINE, dtype=images.dtype, device=images.device)
    planes = torch.cat([images * seen, seen], dim=1)
    planes = F.pad(planes, (2 * distance,) * 4, mode="replicate")
    # a CPU convolves this layout three times as fast
    planes = planes.contiguous(memory_format=torch.channels_last)
    kernel = (taps[:, None] * taps).expand(planes.shape[1], 1, -1, -1)
    planes = F.conv2d(planes, kernel, groups=planes.shape[1], dilation=distance)
    mean = planes[:, :-1] / planes[:, -1:].clamp(min=1e-3)
    return images + seen * (mean - images)  # a black pixel stays what it is
