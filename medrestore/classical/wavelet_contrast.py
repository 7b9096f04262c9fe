"""Contrast enhancement in an undecimated wavelet, by the gain curve of Starck et al. (TIP 12(6), 2003)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
from torch import Tensor

from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field
from medrestore.degradations.apply import blur

_B3 = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # cubic B-spline
_NOISE = (0.8908, 0.2007, 0.0856, 0.0413, 0.0205, 0.0103)  # deviation of white noise of deviation 1 in each plane
_MEDIAN = 0.6745  # of the absolute values of noise of deviation 1
_LEAST_SIGMA = (1 / 255) / 12**0.5  # rounding to 8 bits is noise too; a drawn picture may have no other


@dataclass(frozen=True)
class WaveletContrast:
    """Multiplies each wavelet coefficient by a gain that grows for weak structure and leaves noise and strong edges.

    Starck et al. apply the curve to curvelets; no maintained curvelet package exists, so it is applied to the
    undecimated B3-spline wavelet (a trous), of which the picture is the plain sum. As in their colour version one gain
    serves all channels; it is read off the coefficients' root mean square, here of R, G, B and not of Luv. c = 3 and
    p = 0.5 are the authors'; five scales and m = 50 sigma are ours. The noise is estimated from the median of the
    finest plane. The dark surround of a fundus photograph takes no part (`surround.py`).

    Attributes:
        power: p, how strongly weak structure is raised, 0 to 1; 0 = the input.
        strongest: m in units of the plane's noise: coefficients above it are left alone; more than 2 `noise`.
        noise: c, multiples of the noise up to which coefficients are left alone.
        scales: number of wavelet planes, 1 to 6.
    """

    power: float = 0.5
    strongest: float = 50.0
    noise: float = 3.0
    scales: int = 5

    name = "wavelet_contrast"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`power`, `strongest`, `noise` and `scales`."""
        return {"power": self.power, "strongest": self.strongest, "noise": self.noise, "scales": self.scales}

    def grid(self) -> list[Setting]:
        """The authors' power and weaker ones, three limits."""
        return [
            {"power": power, "strongest": strongest}
            for power, strongest in product((0.1, 0.25, 0.5), (20.0, 50.0, 100.0))
        ]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another power, limit, noise threshold or number of scales."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Raise the contrast of `(N, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return enhance_field(degraded, self._enhanced)

    def _enhanced(self, picture: Tensor) -> Tensor:
        *planes, restored = wavelet_planes(picture, self.scales)
        sigma = float(planes[0].abs().median()) / _MEDIAN / _NOISE[0]
        for plane, share in zip(planes, _NOISE[: self.scales], strict=True):
            size = plane.square().mean(dim=1, keepdim=True).sqrt()
            relative = size / (max(sigma, _LEAST_SIGMA) * share)
            restored = restored + plane * gain(relative, self.noise, self.strongest, self.power)
        return restored


def wavelet_planes(picture: Tensor, scales: int) -> list[Tensor]:
    """The `scales` planes of the a trous transform, finest first, and the smooth rest; their sum is the picture.

    Args:
        picture: `(N, C, H, W)`; borders reflect.
        scales: number of planes.
    """
    planes: list[Tensor] = []
    for scale in range(scales):
        taps = torch.zeros(4 * 2**scale + 1, dtype=torch.float64)
        taps[:: 2**scale] = torch.tensor(_B3, dtype=torch.float64)
        smooth = blur(blur(picture, taps[:, None]), taps[None])
        planes.append(picture - smooth)
        picture = smooth
    return [*planes, picture]


def gain(size: Tensor, c: float, m: float, p: float) -> Tensor:
    """Starck et al., with s = 0, for sizes, c and m in units of the noise.

    1 below c; (x - c) / c (m / c)^p + (2c - x) / c up to 2c; (m / x)^p up to m; 1 above. At 2c it falls from (m / c)^p
    to (m / 2c)^p, as printed.
    """
    rising = (size - c) / c * (m / c) ** p + (2 * c - size) / c
    falling = (m / size.clamp(min=c)) ** p
    one = torch.ones_like(size)
    return torch.where(size < c, one, torch.where(size < 2 * c, rising, torch.where(size < m, falling, one)))
