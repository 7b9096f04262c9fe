"""Wiener deconvolution, blind to the true kernel: a Gaussian is assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from medrestore.classical.gaussian import assumed_taps
from medrestore.classical.method import Setting
from medrestore.degradations.apply import mirror_pad
from medrestore.degradations.kernels import outer

_LEAST_BRIDGE = 64  # pixels between the right border and, round the torus, the left one


@dataclass(frozen=True)
class Wiener:
    """Wiener filter with an assumed Gaussian kernel and a natural image's spectrum (power falls as 1 / f^2).

    Attributes:
        sigma: of the assumed Gaussian, pixels.
        noise: noise-to-signal ratio of the power at about 1 radian a pixel.
    """

    sigma: float = 0.9
    noise: float = 0.02

    name = "wiener"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`sigma` and `noise`."""
        return {"sigma": self.sigma, "noise": self.noise}

    def grid(self) -> list[Setting]:
        """Holds the best settings for focal blur of 3 to 6 px, and for small and big motion blur."""
        return [{"sigma": sigma, "noise": noise} for sigma, noise in product((0.7, 0.9, 1.1, 1.6), (0.1, 0.02, 0.005))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another sigma or noise."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Deconvolve `(1, C, H, W)` in [0, 1]; the true kernel is not looked at."""
        taps = assumed_taps(self.sigma)
        return deconvolve(degraded, outer(taps, taps), self.noise, decay=2).clamp(0, 1)


def deconvolve(degraded: Tensor, kernel: Tensor, noise: float, decay: float) -> Tensor:
    """Wiener filter conj(K) / (|K|^2 + noise f^decay), where the signal's power falls as 1 / f^decay.

    The mean is kept. Beyond its borders the image is mirrored and faded into its other side, so that the FFT's torus
    has no seam and nothing rings from the frame.

    Args:
        degraded: `(N, C, H, W)`.
        kernel: `(k, k')` of odd sizes, sum 1.
        noise: noise-to-signal ratio, > 0.
        decay: 0 = white signal, 2 = a natural image.

    Returns:
        `(N, C, H, W)`, not clipped.
    """
    height, width = degraded.shape[-2:]
    mean = degraded.mean(dim=(-2, -1), keepdim=True)
    torus = _bridged(_bridged(degraded - mean, -2, kernel.shape[0]), -1, kernel.shape[1])
    size = torus.shape[-2:]
    response = _response(kernel.to(degraded), size)
    inverse = response.conj() / (response.abs() ** 2 + noise * _squared_frequency(size, degraded) ** (decay / 2))
    restored = torch.fft.irfft2(torch.fft.rfft2(torus) * inverse, s=size)
    return restored[..., :height, :width] + mean


def _bridged(image: Tensor, dim: Literal[-2, -1], taps: int) -> Tensor:
    """Append a bridge from the far border back to the near one: both mirrored, one fading into the other."""
    size = image.shape[dim]
    goal = size + max(_LEAST_BRIDGE, 2 * taps)
    length = (next_fast_len(goal, real=True) or goal) - size
    padded = mirror_pad(image, length, 0) if dim == -2 else mirror_pad(image, 0, length)
    before, after = padded.narrow(dim, 0, length), padded.narrow(dim, length + size, length)
    step = torch.arange(1, length + 1, device=image.device, dtype=image.dtype) / (length + 1)
    weight = (0.5 - 0.5 * torch.cos(math.pi * step)).view(-1, 1) if dim == -2 else 0.5 - 0.5 * torch.cos(math.pi * step)
    return torch.cat([image, after + weight * (before - after)], dim=dim)


def _response(kernel: Tensor, size: torch.Size) -> Tensor:
    """Frequency response of the kernel with its middle at the origin, `(H, W // 2 + 1)`."""
    canvas = kernel.new_zeros(size)
    canvas[: kernel.shape[0], : kernel.shape[1]] = kernel
    return torch.fft.rfft2(canvas.roll((-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), dims=(0, 1)))


def _squared_frequency(size: torch.Size, like: Tensor) -> Tensor:
    """f^2 of every bin as differences of neighbours see it, 4 - 2 cos u - 2 cos v; near 0 it is u^2 + v^2."""
    rows = torch.fft.fftfreq(size[0], device=like.device, dtype=like.dtype)
    columns = torch.fft.rfftfreq(size[1], device=like.device, dtype=like.dtype)
    return 4 - 2 * torch.cos(2 * math.pi * rows)[:, None] - 2 * torch.cos(2 * math.pi * columns)
