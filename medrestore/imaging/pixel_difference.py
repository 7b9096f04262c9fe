"""How much detail an image shows, whatever its noise: the pixel-difference score of paper S5."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

_REACH = 4.0  # standard deviations that the Gaussian is cut at, as scipy does


def pixel_difference(image: Tensor, sigma: float = 5.0) -> float:
    """Mean absolute difference of horizontally and vertically adjacent pixels after a Gaussian.

    S5's equation 1 over the number of its terms, so that the score does not grow with the number of pixels: grey levels
    a pixel, 0 for a constant image. Every channel is filtered by itself, in two dimensions; borders reflect. The
    Gaussian is there for the noise, whose grain is measured in pixels, and so is `sigma`: neither follows the size of
    the image. The same picture on a coarser grid has steeper steps and scores higher.

    Paper S5, section 3.2, equation 1 (its published program, SRGAN-Medical-Imaging, has the sigma, takes the horizontal
    differences twice, and lets the Gaussian mix the channels).

    Args:
        image: (C, H, W) in [0, 1].
        sigma: Standard deviation of the Gaussian in pixels; 0 = no filter.

    Returns:
        The score, mean over the channels, in [0, 1].
    """
    total, pairs = 0.0, 0
    for channel in image.detach().cpu().float().numpy():
        smooth = _smoothed(np.ascontiguousarray(channel), sigma)
        for axis in (0, 1):
            steps = np.abs(np.diff(smooth, axis=axis))
            total, pairs = total + float(steps.sum(dtype=np.float64)), pairs + steps.size
    return total / max(pairs, 1)


def _smoothed(channel: np.ndarray, sigma: float) -> np.ndarray:
    if sigma == 0:
        return channel
    side = 2 * int(_REACH * sigma + 0.5) + 1
    return cv2.GaussianBlur(channel, (side, side), sigma, borderType=cv2.BORDER_REFLECT)  # scipy's "reflect"
