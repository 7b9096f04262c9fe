"""Enhancement by an image formation model with spatially varying background, after Xiong et al. (CMPB 143, 2017)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.classical.guided_filter import box_mean, guided_filter
from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field

_LEAST_TRANSMISSION = 0.1
_LEAST_DEVIATION = 2 / 255  # a flat window has no foreground
_EPS = 1e-3  # of the guided filter
_LEVELS = 64  # of intensity, and about as many cells of the picture, in which each level's spread is counted


@dataclass(frozen=True)
class XiongStyle:
    """I = J t + A (1 - t) solved for J, where A is the background's local colour and t follows the foreground.

    The model, the Mahalanobis test in the bright half, the one after contrast enhancement by spatial entropy in the
    dark half, and A and t from background and foreground are the paper's abstract; its formulas and numbers are not in
    it, so these are ours: background = within one local standard deviation of the local mean; A = local mean of the
    background; t = 1 - omega (1 - d), at least 0.1, where d is the foreground's largest departure from A around a
    pixel, 1 = as far as black or white are; refined by a guided filter. At omega 1 the foreground just reaches black or
    white. The dark surround of a fundus photograph takes no part (`surround.py`).

    Attributes:
        omega: share of the scattering that is taken away, 0 to 1; 0 = the input.
        radius: of the windows for the background, pixels; for the foreground half of it.
    """

    omega: float = 0.6
    radius: int = 32

    name = "xiong_style"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`omega` and `radius`."""
        return {"omega": self.omega, "radius": self.radius}

    def grid(self) -> list[Setting]:
        """From weak to strong, two sizes of window."""
        return [{"omega": omega, "radius": radius} for omega, radius in product((0.2, 0.4, 0.6, 0.8), (16, 32))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another omega or radius."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Undo the scattering of `(N, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return enhance_field(degraded, self._restored)

    def _restored(self, picture: Tensor) -> Tensor:
        intensity = picture.mean(dim=1, keepdim=True)
        background = background_pixels(intensity, self.radius).to(picture)
        light = box_mean(_mean_of(picture, background, self.radius), self.radius)
        middle = light.mean(dim=1, keepdim=True).clamp(0.01, 0.99)
        departure = torch.maximum((middle - intensity) / middle, (intensity - middle) / (1 - middle))
        reach = self.radius // 2
        largest = _local_maximum(departure * (1 - background), reach).clamp(0, 1)
        transmission = guided_filter(intensity, 1 - self.omega * (1 - largest), reach, _EPS)
        return light + (picture - light) / transmission.clamp(_LEAST_TRANSMISSION, 1)


def background_pixels(intensity: Tensor, radius: int) -> Tensor:
    """Where the intensity is within one local standard deviation of the local mean; bool `(1, 1, H, W)`.

    Pixels darker than the picture's mean are tested after contrast enhancement, since dark parts vary little.

    Args:
        intensity: `(1, 1, H, W)` in [0, 1].
        radius: of the square windows, pixels.
    """
    bright = intensity >= intensity.mean()
    tested = _distance(intensity, radius), _distance(spatial_entropy_contrast(intensity), radius)
    return torch.where(bright, *tested) < 1


def spatial_entropy_contrast(intensity: Tensor) -> Tensor:
    """Global contrast enhancement (Celik, TIP 23(12), 2014): a level that is spread over the picture gets more room.

    Args:
        intensity: `(1, 1, H, W)` in [0, 1].

    Returns:
        `(1, 1, H, W)` in [0, 1]; the input where no level is spread over more than one cell.
    """
    height, width = intensity.shape[-2:]
    side = round(_LEVELS**0.5)
    rows = torch.arange(height, device=intensity.device) * side // height
    columns = torch.arange(width, device=intensity.device) * side // width
    level = intensity[0, 0] * (_LEVELS - 1)
    index = (level.round().long() * side + rows[:, None]) * side + columns
    counts = torch.bincount(index.flatten(), minlength=_LEVELS * side * side).view(_LEVELS, -1).double()
    share = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    entropy = -torch.special.xlogy(share, share).sum(dim=1)
    others = entropy.sum() - entropy
    if not bool((others > 0).all()):
        return intensity
    room = (entropy / others).cumsum(0)
    mapped = ((room - room[0]) / (room[-1] - room[0])).to(intensity)
    below = level.floor().clamp(max=_LEVELS - 2).long()
    return torch.lerp(mapped[below], mapped[below + 1], level - below)[None, None]


def _distance(values: Tensor, radius: int) -> Tensor:
    """Mahalanobis distance of each pixel from its window."""
    values = values.double()
    mean = box_mean(values, radius)
    variance = box_mean(values**2, radius) - mean**2
    return (values - mean).abs() / variance.clamp(min=_LEAST_DEVIATION**2).sqrt()


def _mean_of(picture: Tensor, chosen: Tensor, radius: int) -> Tensor:
    """Local mean over the chosen pixels; a window that has hardly any is averaged whole."""
    share = box_mean(chosen, radius)
    mean = box_mean(picture * chosen, radius) / share.clamp(min=1e-6)
    return torch.where(share > 0.05, mean, box_mean(picture, radius))


def _local_maximum(values: Tensor, radius: int) -> Tensor:
    rows = F.max_pool2d(values, (2 * radius + 1, 1), stride=1, padding=(radius, 0))
    return F.max_pool2d(rows, (1, 2 * radius + 1), stride=1, padding=(0, radius))
