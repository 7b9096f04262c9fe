"""Enlargement without learning; `bicubic` is the reference row where the scale changes."""

from __future__ import annotations

from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.classical.method import Setting
from medrestore.degradations.apply import mirror_pad

_LOBES = 3  # of the Lanczos window


class _Interpolation:
    """Enlarges `scale` times; pixel centres as in `align_corners=False`.

    Args:
        scale: whole factor, at least 1.
    """

    needs_kernel = False

    def __init__(self, scale: int) -> None:
        self.scale = scale

    @property
    def parameters(self) -> Setting:
        """None."""
        return {}

    def grid(self) -> list[Setting]:
        """Nothing to tune."""
        return [{}]

    def with_parameters(self, parameters: Setting) -> Self:
        """Itself."""
        return self


class Nearest(_Interpolation):
    """Repeats each pixel."""

    name = "nearest"
    kind: Literal["classical"] = "classical"

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Enlarge `(1, C, H, W)` in [0, 1] to `(1, C, scale H, scale W)`."""
        return degraded.repeat_interleave(self.scale, -2).repeat_interleave(self.scale, -1).clamp(0, 1)


class Bilinear(_Interpolation):
    """Linear between pixel centres."""

    name = "bilinear"
    kind: Literal["classical"] = "classical"

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Enlarge `(1, C, H, W)` in [0, 1] to `(1, C, scale H, scale W)`."""
        return F.interpolate(degraded, scale_factor=self.scale, mode="bilinear", align_corners=False).clamp(0, 1)


class Bicubic(_Interpolation):
    """Cubic convolution with a = -0.5 (Keys 1981), as MATLAB's imresize and Pillow have it."""

    name = "bicubic"
    kind: Literal["reference"] = "reference"

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Enlarge `(1, C, H, W)` in [0, 1] to `(1, C, scale H, scale W)`."""
        # torch's cubic has a = -0.75 without `antialias` and a = -0.5 with it; it filters nothing when enlarging.
        return F.interpolate(degraded, scale_factor=self.scale, mode="bicubic", antialias=True).clamp(0, 1)


class Lanczos(_Interpolation):
    """Sinc windowed by its own main lobe, three lobes a side; borders reflect."""

    name = "lanczos"
    kind: Literal["classical"] = "classical"

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Enlarge `(1, C, H, W)` in [0, 1] to `(1, C, scale H, scale W)`."""
        n, channels, height, width = degraded.shape
        taps = _lanczos_taps(self.scale).to(degraded)  # (scale, 7)
        planes = mirror_pad(degraded.reshape(-1, 1, height, width), _LOBES, _LOBES)
        rows = F.conv2d(planes, taps[:, None, :, None]).transpose(1, 2)  # (N C, H, scale, W + 6)
        rows = rows.reshape(-1, 1, self.scale * height, width + 2 * _LOBES)
        both = F.conv2d(rows, taps[:, None, None, :]).permute(0, 2, 3, 1)  # (N C, scale H, W, scale)
        return both.reshape(n, channels, self.scale * height, self.scale * width).clamp(0, 1)


def _lanczos_taps(scale: int) -> Tensor:
    """Weights of the seven nearest pixels for each of the `scale` new pixels inside an old one, sum 1 each."""
    phase = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5  # from the old pixel's centre
    distance = torch.arange(-_LOBES, _LOBES + 1) - phase[:, None]
    taps = torch.where(distance.abs() < _LOBES, torch.sinc(distance) * torch.sinc(distance / _LOBES), 0.0)
    return taps / taps.sum(dim=1, keepdim=True)
