"""Adaptive unsharp masking (Polesel, Ramponi, Mathews, TIP 9(3), 2000): none in flat parts, less at strong edges."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
from torch import Tensor

from medrestore.classical.gaussian import gaussian_blur
from medrestore.classical.guided_filter import box_mean
from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field

_STRONG = math.sqrt(200 / 60)  # the authors' two thresholds of the local variance, as a ratio of deviations
_AT_EDGES = (3 - 1) / (4 - 1)  # the authors raise the dynamics 4 times at medium contrast, 3 times at strong


@dataclass(frozen=True)
class AdaptiveUnsharp:
    """restored = degraded + gain (degraded - blurred) on the mean of the channels, the gain by local contrast.

    The local standard deviation says where: below `flat` the gain is 0, halfway to 1.83 `flat` it is `amount`, above
    that two thirds of `amount`, linear between. The classes and ratios are the authors' (variances 60 and 200, gains
    4 and 3, recalled from the paper, not checked against it); they approach the gain by a recursion along each row,
    which here is replaced by the gain it aims at, and mask with a 3 x 3 Laplacian, here with a Gaussian. The same
    detail is added to all channels, so that no coloured noise appears. The dark surround takes no part (`surround.py`).

    Attributes:
        sigma: of the Gaussian blur, pixels; the deviation is taken over 2 ceil(sigma) + 1 pixels squared.
        amount: gain at medium contrast.
        flat: local standard deviation up to which nothing is changed, in [0, 1] units; 0.03 is the authors' 60.
    """

    sigma: float = 2.0
    amount: float = 1.0
    flat: float = 0.01

    name = "adaptive_unsharp"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`sigma`, `amount` and `flat`."""
        return {"sigma": self.sigma, "amount": self.amount, "flat": self.flat}

    def grid(self) -> list[Setting]:
        """Two scales, two gains, and thresholds from a fundus photograph's noise to the authors' 60."""
        return [
            {"sigma": sigma, "amount": amount, "flat": flat}
            for sigma, amount, flat in product((1.5, 3.0), (0.5, 1.0, 2.0), (0.01, 0.03))
        ]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another sigma, amount or threshold."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Sharpen `(N, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return enhance_field(degraded, self._sharpened)

    def _sharpened(self, picture: Tensor) -> Tensor:
        intensity = picture.mean(dim=1, keepdim=True).double()
        radius = math.ceil(self.sigma)
        variance = box_mean(intensity**2, radius) - box_mean(intensity, radius) ** 2
        gain = self._gain(variance.clamp(min=0).sqrt())
        return picture + (gain * (intensity - gaussian_blur(intensity, self.sigma))).to(picture)

    def _gain(self, deviation: Tensor) -> Tensor:
        medium, strong = self.flat * (1 + _STRONG) / 2, self.flat * _STRONG
        rising = ((deviation - self.flat) / (medium - self.flat)).clamp(0, 1)
        falling = ((deviation - medium) / (strong - medium)).clamp(0, 1)
        return self.amount * torch.lerp(rising, torch.full_like(rising, _AT_EDGES), falling)
