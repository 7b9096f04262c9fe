"""Haze removal by the dark channel prior (He, Sun, Tang, TPAMI 33(12), 2011), taken for the veil of a cataract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch.nn.functional as F
from torch import Tensor

from medrestore.classical.guided_filter import guided_filter
from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field

_LEAST_TRANSMISSION = 0.1  # He 2011
_BRIGHTEST = 0.001  # He 2011: share of the pixels, those of the highest dark channel
_RADIUS = 4  # patches; 60 pixels at a patch of 15, as the authors' guided filter paper has it
_EPS = 1e-4  # of the same
_LEAST_LIGHT = 1 / 255  # a photograph may have no blue at all


@dataclass(frozen=True)
class DarkChannel:
    """I = J t + A (1 - t) solved for J: some channel of J is dark near every pixel, so what lights it there is veil.

    A = the brightest pixel among the 0.1 % of highest dark channel; t = 1 - omega dark(I / A), refined by a guided
    filter; J = (I - A) / max(t, 0.1) + A. The authors' numbers are the default. With one channel its local minimum is
    the dark channel. The dark surround of a fundus photograph takes no part (`surround.py`).

    Attributes:
        omega: share of the veil that is taken away, 0 to 1.
        patch: side of the squares the minimum is taken over, pixels, odd.
    """

    omega: float = 0.95
    patch: int = 15

    name = "dark_channel"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`omega` and `patch`."""
        return {"omega": self.omega, "patch": self.patch}

    def grid(self) -> list[Setting]:
        """The authors' setting and weaker ones; a retina has no haze-free sky to go by."""
        return [{"omega": omega, "patch": patch} for omega, patch in product((0.25, 0.5, 0.75, 0.95), (7, 15))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another omega or patch."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Take the veil off `(N, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return enhance_field(degraded, self._unveiled)

    def _unveiled(self, picture: Tensor) -> Tensor:
        light = veil_colour(picture, self.patch)
        transmission = 1 - self.omega * dark_channel(picture / light, self.patch)
        guide = picture.mean(dim=1, keepdim=True)
        transmission = guided_filter(guide, transmission, _RADIUS * self.patch, _EPS)
        return (picture - light) / transmission.clamp(_LEAST_TRANSMISSION, 1) + light


def dark_channel(picture: Tensor, patch: int) -> Tensor:
    """The least value of any channel within squares of `patch` pixels; `(N, C, H, W)` to `(N, 1, H, W)`."""
    negative = -picture.amin(dim=1, keepdim=True)
    rows = F.max_pool2d(negative, (patch, 1), stride=1, padding=(patch // 2, 0))
    return -F.max_pool2d(rows, (1, patch), stride=1, padding=(0, patch // 2))


def veil_colour(picture: Tensor, patch: int) -> Tensor:
    """A: the pixel of highest mean among the 0.1 % of highest dark channel; `(N, C, 1, 1)`, at least 1/255."""
    n, channels = picture.shape[:2]
    pixels = picture.flatten(2)
    dark = dark_channel(picture, patch).flatten(1)
    candidates = dark.topk(max(1, int(_BRIGHTEST * dark.shape[1]))).indices  # (N, k)
    colours = pixels.gather(2, candidates[:, None].expand(-1, channels, -1))  # (N, C, k)
    best = colours.mean(dim=1).argmax(dim=1)  # (N,)
    return colours.gather(2, best.view(n, 1, 1).expand(-1, channels, 1))[..., None].clamp(min=_LEAST_LIGHT)
