"""Contrast limited adaptive histogram equalisation (Zuiderveld 1994), the usual first help for fundus photographs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from medrestore.classical.method import Setting
from medrestore.classical.surround import enhance_field

_LEVELS = 255


@dataclass(frozen=True)
class Clahe:
    """CLAHE of the lightness L of CIE Lab; of the grey where there is one channel.

    8 x 8 tiles and a clip limit of 2 on OpenCV's scale are what published fundus code commonly takes; Zuiderveld
    gives no numbers. The dark surround of a fundus photograph takes no part (`surround.py`).

    Attributes:
        clip: highest count of a histogram bin over the mean count, at least 1; 1 leaves the picture nearly as it is.
        tiles: in each direction.
    """

    clip: float = 2.0
    tiles: int = 8

    name = "clahe"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`clip` and `tiles`."""
        return {"clip": self.clip, "tiles": self.tiles}

    def grid(self) -> list[Setting]:
        """Around the common setting, and weaker."""
        return [{"clip": clip, "tiles": tiles} for clip, tiles in product((1.2, 1.5, 2.0, 3.0), (4, 8))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another clip limit or number of tiles."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Equalise `(N, C, H, W)` in [0, 1], C = 1 or 3; the kernel is not looked at."""
        return enhance_field(degraded, lambda picture: equalise_lightness(picture, self.clip, self.tiles))


def equalise_lightness(picture: Tensor, clip: float, tiles: int) -> Tensor:
    """CLAHE of the lightness of CIE Lab (sRGB, D65) or of the grey, by OpenCV with 256 levels.

    Args:
        picture: `(N, C, H, W)` in [0, 1], C = 1 or 3.
        clip: highest count of a histogram bin over the mean count, at least 1.
        tiles: in each direction.

    Returns:
        `(N, C, H, W)` in [0, 1]; colours outside sRGB are clipped.
    """
    planes = picture.detach().to("cpu", torch.float32).permute(0, 2, 3, 1).contiguous().numpy()
    equalised = np.stack([_equalised(plane, clip, tiles) for plane in planes])
    return torch.from_numpy(equalised).permute(0, 3, 1, 2).to(picture).clamp(0, 1)


def _equalised(image: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """`(H, W, C)` float32."""
    if image.shape[-1] == 1:
        return _clahe(image[..., 0], clip, tiles)[..., None]
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    lab[..., 0] = 100 * _clahe(lab[..., 0] / 100, clip, tiles)
    return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)


def _clahe(plane: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """`(H, W)` float32; what the 256 levels round off is added again, so that no bands appear."""
    levels = np.rint(plane * _LEVELS).clip(0, _LEVELS).astype(np.uint8)
    equalised = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles)).apply(levels)
    return (plane + (equalised.astype(np.float32) - levels) / _LEVELS).clip(0, 1)
