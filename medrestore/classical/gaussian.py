"""The Gaussian that blind methods assume in place of the unknown kernel."""

from __future__ import annotations

import math

from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.kernels import gaussian_taps


def assumed_taps(sigma: float) -> Tensor:
    """Taps of a Gaussian cut at three sigma, float64, odd in number, sum 1."""
    return gaussian_taps(2 * math.ceil(3 * sigma) + 1, sigma)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur `(N, C, H, W)` with the assumed Gaussian, first along columns, then along rows; borders reflect."""
    taps = assumed_taps(sigma)
    return blur(blur(image, taps[:, None]), taps[None])
