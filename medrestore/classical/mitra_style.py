"""Cataract removal in the frequency domain, after Mitra et al. (CMPB 156, 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
from torch import Tensor

from medrestore.classical.gaussian import gaussian_blur
from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field

_OFFSET = 1 / 255  # the logarithm of black is none
_LEVELS = 256
_CUT = 0.005  # share of the pixels that may lie below a channel's minimum or above its maximum
_LEAST_SPREAD = 0.02  # of a channel; one that is flat has no contrast to stretch


@dataclass(frozen=True)
class MitraStyle:
    """Takes off a smooth veil, equalises the intensity of HSI, stretches each channel.

    The order of steps is that of the paper's abstract (S2 says CLAHE in its place). The abstract has neither formulas
    nor numbers, so all of these are ours: the veil is the Gaussian low-pass of the logarithm, per channel, its mean
    kept, of which a share is taken off; the intensity's histogram is equalised and the colour scaled with it, paler
    where a channel would exceed 1; each channel is stretched until its 0.5 % darkest are black, its 0.5 % brightest
    staying where they are, which takes off a veil's offset without a colour cast. The dark surround takes no part
    (`surround.py`).

    Attributes:
        veil: share of the veil that is taken off, 0 to 1; at 1 little but noise is left of a flat retina.
        cut_off: of the low-pass, share of the Nyquist frequency; 0.005 is a Gaussian of sigma 64 pixels.
        equalisation: 0 = the intensity stays, 1 = equal counts of all intensities, which makes noise of
            what is flat, so the default is weak.
    """

    veil: float = 0.5
    cut_off: float = 0.005
    equalisation: float = 0.25

    name = "mitra_style"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`veil`, `cut_off` and `equalisation`."""
        return {"veil": self.veil, "cut_off": self.cut_off, "equalisation": self.equalisation}

    def grid(self) -> list[Setting]:
        """Weak and half veils of 13 and 64 pixels, equalisation from none to full."""
        return [
            {"veil": veil, "cut_off": cut_off, "equalisation": equalisation}
            for veil, cut_off, equalisation in product((0.25, 0.5), (0.005, 0.025), (0.0, 0.5, 1.0))
        ]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another veil, cut-off or equalisation."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Take the veil off `(N, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return enhance_field(degraded, self._restored)

    def _restored(self, picture: Tensor) -> Tensor:
        clear = without_veil(picture, self.veil, self.cut_off)
        intensity = clear.mean(dim=1, keepdim=True)
        equal = torch.lerp(intensity, equalised(intensity), self.equalisation)
        return stretched(recoloured(clear, equal))


def without_veil(picture: Tensor, share: float, cut_off: float) -> Tensor:
    """Take a share off the logarithm's low frequencies; `(N, C, H, W)`, each channel's geometric mean is kept."""
    logarithm = torch.log(picture + _OFFSET)
    veil = gaussian_blur(logarithm, 1 / (math.pi * cut_off))  # transfer exp(-(f / cut-off)^2 / 2), Nyquist at 1/2
    veil = veil - veil.mean(dim=(-2, -1), keepdim=True)
    return (torch.exp(logarithm - share * veil) - _OFFSET).clamp(0, 1)


def equalised(intensity: Tensor) -> Tensor:
    """Each intensity in [0, 1] becomes the share of pixels that are darker; `(1, 1, H, W)`."""
    level = intensity * (_LEVELS - 1)
    counts = torch.bincount(level.round().long().flatten(), minlength=_LEVELS).double()
    middle = ((counts.cumsum(0) - counts / 2) / counts.sum()).to(intensity)  # of each level's own pixels, half
    below = level.floor().clamp(max=_LEVELS - 2).long()
    return torch.lerp(middle[below], middle[below + 1], level - below)


def recoloured(picture: Tensor, intensity: Tensor) -> Tensor:
    """The picture with another intensity (mean of channels) and the same hue.

    Saturation (HSI) stays too, except where a channel would exceed 1: there the colour is paler, not clipped.

    Args:
        picture: `(N, C, H, W)` in [0, 1].
        intensity: `(N, 1, H, W)` in [0, 1].
    """
    old = picture.mean(dim=1, keepdim=True)
    excess = (picture.amax(dim=1, keepdim=True) - old).clamp(min=1e-6)
    chroma = torch.minimum(intensity / old.clamp(min=1e-6), (1 - intensity) / excess)
    return (intensity + (picture - old) * chroma).clamp(0, 1)


def stretched(picture: Tensor) -> Tensor:
    """Move each channel's minimum to 0 and keep its maximum, each up to 0.5 % of the pixels; `(N, C, H, W)`."""
    ordered = picture.flatten(2).sort(dim=2).values
    cut = int(_CUT * (ordered.shape[2] - 1))
    low, high = ordered[..., cut, None, None], ordered[..., -1 - cut, None, None]
    spread = high - low
    moved = (picture - low) * high / spread.clamp(min=_LEAST_SPREAD)
    return torch.where(spread < _LEAST_SPREAD, picture, moved).clamp(0, 1)
