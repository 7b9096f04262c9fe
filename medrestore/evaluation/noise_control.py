"""The input plus slight noise: a row that restores nothing, beside every score that judges an image alone."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.data.seeding import generator_of

NOISE_CONTROL = "noise_control"


def noisy(image: Tensor, key: str, noise: float, seed: int) -> Tensor:
    """Add white Gaussian noise, a function of the seed and the image's key alone; what leaves [0, 1] is cut off.

    Args:
        image: `(C, H, W)` in [0, 1].
        key: of the image.
        noise: standard deviation in the image's unit.
        seed: of the noise.
    """
    drawn = torch.randn(image.shape, generator=generator_of("noise control", seed, key))
    return (image + noise * drawn.to(image)).clamp(0, 1)
