"""Spectral distance: how far the radial power spectra of two images lie apart, in dB.

What a smooth enlargement lacks and what a network invents both show in the high frequencies, whatever their phase: a
stand-in for a perceptual distance where no trained features are at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_pair

RINGS = 32  # of equal width, from frequency zero to half a cycle a pixel
NYQUIST = 0.5  # cycles a pixel
_FLOOR = 1 / 255**2 / 12  # the power of rounding to eight bits: what lies below it, nobody sees


@torch.no_grad()
def spectral_distance(preds: Tensor, target: Tensor, *, above: float = 0.0) -> Tensor:
    """Mean over rings of frequencies of the absolute difference of `radial_power` in dB; lower is better.

    Blind to phase: a shift changes next to nothing.

    Args:
        preds: `(N, C, H, W)` in [0, 1].
        target: of the same shape, in [0, 1].
        above: cycles a pixel; only rings that begin there or further out count. 0.5 / scale is what the input of a
            super-resolution cannot hold.

    Returns:
        `(N,)` float64; NaN where no ring counts.

    Raises:
        ValueError: shapes differ, values lie outside [0, 1], or `above` is no frequency below a half.
    """
    check_pair(preds, target)
    return ring_distance(radial_power(preds), radial_power(target), above)


def ring_distance(first: Tensor, second: Tensor, above: float = 0.0) -> Tensor:
    """`spectral_distance` of images whose radial powers `(N, 32)` are known, `(N,)`.

    Raises:
        ValueError: `above` is no frequency below a half.
    """
    if not 0 <= above < NYQUIST:
        raise ValueError(f"above is a frequency from 0 to {NYQUIST} cycles a pixel, found {above}")
    return (first - second).abs()[:, ring_edges()[:-1] >= above - 1e-9].nanmean(dim=1)


@torch.no_grad()
def radial_power(image: Tensor) -> Tensor:
    """Mean power of each ring of frequencies in dB; of white noise of variance v it is 10 log10(v), the first apart.

    The mean is taken out and a Hann window laid over each channel, so that the borders draw no cross through the
    spectrum; the power of rounding to eight bits is added, and powers are averaged over channels.

    Args:
        image: `(N, C, H, W)` in [0, 1].

    Returns:
        `(N, 32)` float64; NaN in rings that hold no frequency of so small an image.
    """
    height, width = image.shape[-2:]
    values = image.double()
    rows, columns = (torch.hann_window(side, periodic=False, dtype=torch.float64) for side in (height, width))
    window = (rows[:, None] * columns).to(image.device)
    energy = window.square().sum()
    mean = (values * window).sum(dim=(-2, -1), keepdim=True) / window.sum()
    power = torch.fft.fft2((values - mean) * window).abs().square() / energy  # (N, C, H, W)
    ring = _rings(height, width).to(image.device)
    inside = ring < RINGS
    count = torch.bincount(ring[inside], minlength=RINGS)
    sums = torch.zeros(len(image), RINGS, dtype=torch.float64, device=image.device)
    sums.index_add_(1, ring[inside], power.mean(dim=1)[:, inside])
    return 10 * torch.log10(sums / count + _FLOOR)


def ring_edges() -> Tensor:
    """Where the rings begin and end in cycles a pixel, `(33,)` float64."""
    return torch.linspace(0, NYQUIST, RINGS + 1, dtype=torch.float64)


def _rings(height: int, width: int) -> Tensor:
    """The ring of every frequency, `(H, W)`; 32 for the mean and for the corners, which are in none."""
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    radius = (rows[:, None] ** 2 + columns**2).sqrt()
    ring = (radius * (RINGS / NYQUIST) + 1e-9).long().clamp(max=RINGS)
    ring[0, 0] = RINGS
    return ring


class SpectralDistance(MeanOverImages):
    """Mean spectral distance over the images of all updates, see `spectral_distance`.

    Args:
        above: cycles a pixel from which on frequencies count.
    """

    higher_is_better = False

    def __init__(self, above: float = 0.0) -> None:
        super().__init__()
        self.above = above

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(spectral_distance(preds, target, above=self.above))
