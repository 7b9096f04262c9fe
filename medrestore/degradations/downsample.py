"""Antialiased shrinking by a whole factor."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.degradations.apply import mirror_pad
from medrestore.degradations.parameters import Parameters, draw_seed
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.errors import MedrestoreError

Kind = Literal["bicubic", "area", "bilinear", "gaussian"]
_GAUSSIAN_SIGMA = 0.4  # of the scale: 1.6 px at x4, the usual "blur and decimate" setting


class Downsample:
    """Shrinks an image `scale` times without aliasing; pixel centres are those of `align_corners=False`.

    Args:
        scale: whole factor, at least 1; 1 leaves the image as it is.
        kind: `bicubic` (a = -0.5, stretched by the scale: MATLAB imresize, PIL), `bilinear` (stretched likewise),
            `area` (mean of each block), `gaussian` (sigma 0.4 scale, then decimation).
        sensor: noise and quantisation after the shrinking; None = none.

    Raises:
        MedrestoreError: scale or kind is unknown; on `apply`, the image is not a multiple of the scale.
    """

    def __init__(self, scale: int, kind: Kind = "bicubic", sensor: Sensor | None = None) -> None:
        if not isinstance(scale, int) or scale < 1:
            raise MedrestoreError(f"scale is a whole number >= 1, found {scale!r}; type scale=2")
        if kind not in get_args(Kind):
            raise MedrestoreError(f"kind is one of {', '.join(get_args(Kind))}, found {kind!r}; type kind=bicubic")
        self.scale = scale
        self.kind: Kind = kind
        self.sensor = sensor
        self._taps = _decimation_taps(scale)
        reach = {"area": 0, "bilinear": scale, "bicubic": 2 * scale, "gaussian": (len(self._taps) - scale) // 2}[kind]
        # A whole number of output pixels, so that trimming keeps the grid.
        self.margin = 0 if scale == 1 else math.ceil(reach / scale) * scale

    @property
    def convention(self) -> str:
        """What a table must say of it, for each of these is worth up to a dB: filter, grid, borders, sensor."""
        filters = {
            "bicubic": f"bicubic (a = -0.5) stretched by {self.scale}, which antialiases",
            "bilinear": f"bilinear stretched by {self.scale}, which antialiases",
            "area": f"mean of blocks of {self.scale} x {self.scale} pixels, which antialiases",
            "gaussian": f"Gaussian of sigma {_GAUSSIAN_SIGMA * self.scale:g} px against aliasing, then decimation",
        }
        borders = "no borders" if self.kind == "area" else "borders mirrored about the edge pixel"
        sensor = "no noise or rounding" if self.sensor is None else f"then {self.sensor.said}"
        return f"x{self.scale}, {filters[self.kind]}, pixel centres as align_corners=False, {borders}, {sensor}"

    def sample(self, generator: torch.Generator) -> Parameters:
        """Nothing is drawn but the sensor's seed."""
        return Parameters(None, {"type": "downsample", "kind": self.kind, "scale": self.scale}, draw_seed(generator))

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Shrink `(C, H, W)` or `(N, C, H, W)` of any unit to `H / scale` by `W / scale`; borders reflect."""
        height, width = image.shape[-2:]
        if height % self.scale or width % self.scale:
            raise MedrestoreError(
                f"an image of {height} x {width} does not divide by scale={self.scale}; crop it first"
            )
        return recorded(image if self.scale == 1 else self._shrunk(image), self.sensor, parameters.seed)

    def _shrunk(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        batch = image.reshape(-1, 1, height, width)
        match self.kind:
            case "area":
                small = F.avg_pool2d(batch, self.scale)
            case "gaussian":
                small = self._decimated(batch)
            case _:
                padded = mirror_pad(batch, self.margin, self.margin)
                small = F.interpolate(padded, scale_factor=1 / self.scale, mode=self.kind, antialias=True)
                trim = self.margin // self.scale
                small = small[..., trim:-trim, trim:-trim]
        return small.reshape(*image.shape[:-2], height // self.scale, width // self.scale)

    def _decimated(self, batch: Tensor) -> Tensor:
        taps = self._taps.to(batch)
        reach = (len(taps) - self.scale) // 2
        rows = F.conv2d(mirror_pad(batch, reach, reach), taps.view(1, 1, -1, 1), stride=(self.scale, 1))
        return F.conv2d(rows, taps.view(1, 1, 1, -1), stride=(1, self.scale))


def _decimation_taps(scale: int) -> Tensor:
    """Gaussian taps centred on a block of `scale` pixels: as even or odd in number as the block."""
    sigma = _GAUSSIAN_SIGMA * scale
    count = 2 * math.ceil(3 * sigma) + scale % 2
    offsets = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    taps = torch.exp(-(offsets**2) / (2 * sigma**2))
    return taps / taps.sum()
