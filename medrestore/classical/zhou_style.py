"""Luminosity and contrast adjustment of colour fundus photographs, after Zhou et al. (TBME 65(3), 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import torch
from torch import Tensor

from medrestore.classical.clahe import equalise_lightness
from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field


@dataclass(frozen=True)
class ZhouStyle:
    """Gamma correction of the value V of HSV with hue and saturation kept, then CLAHE of the lightness of CIE Lab.

    The steps are the paper's; gamma 2.2 and CLAHE with 8 x 8 tiles and clip limit 2 are recalled from it, not checked
    against it, hence the name. The dark surround of a fundus photograph takes no part (`surround.py`).

    Attributes:
        gamma: V becomes V^(1 / gamma); 1 leaves it.
        clip: of CLAHE, at least 1.
        tiles: of CLAHE in each direction.
    """

    gamma: float = 2.2
    clip: float = 2.0
    tiles: int = 8

    name = "zhou_style"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`gamma`, `clip` and `tiles`."""
        return {"gamma": self.gamma, "clip": self.clip, "tiles": self.tiles}

    def grid(self) -> list[Setting]:
        """The paper's gamma and weaker ones, two clip limits."""
        return [{"gamma": gamma, "clip": clip} for gamma, clip in product((1.1, 1.3, 1.6, 2.2), (1.2, 2.0))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another gamma, clip limit or number of tiles."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Brighten and equalise `(N, C, H, W)` in [0, 1], C = 1 or 3; the kernel is not looked at."""
        return enhance_field(
            degraded, lambda picture: equalise_lightness(brighten(picture, self.gamma), self.clip, self.tiles)
        )


def brighten(picture: Tensor, gamma: float) -> Tensor:
    """Multiply all channels by V^(1 / gamma) / V, where V is the largest of them; black stays.

    Args:
        picture: `(N, C, H, W)` in [0, 1].
        gamma: 1 leaves the picture, more brightens it.

    Returns:
        `(N, C, H, W)` in [0, 1] of the same hue and saturation (HSV).
    """
    value = picture.amax(dim=1, keepdim=True)
    return picture * torch.where(value > 0, value.clamp(min=1e-6) ** (1 / gamma - 1), 1.0)
