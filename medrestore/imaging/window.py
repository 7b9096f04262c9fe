"""Windows: which physical values become [0, 1], and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError


@dataclass(frozen=True, slots=True)
class Window:
    """The interval of physical values that is mapped to [0, 1].

    Attributes:
        low: Becomes 0, in the unit of the image.
        high: Becomes 1.
        name: What reports call it.

    Raises:
        MedrestoreError: When the interval is empty, inverted or not finite.
    """

    low: float
    high: float
    name: str = "custom"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise MedrestoreError(
                f"a window needs low < high, got low={self.low:g} high={self.high:g}: give the smaller value first"
            )

    @classmethod
    def from_centre(cls, centre: float, width: float, name: str = "custom") -> Window:
        """The window of ``width`` around ``centre`` (radiology's L and W): ``centre - width / 2`` to the same above.

        Raises:
            MedrestoreError: When ``width`` is not positive.
        """
        return cls(centre - width / 2, centre + width / 2, name)


# HU presets, width/level as in radiology teaching; "wide" is the range of 12-bit CT.
WINDOWS: dict[str, Window] = {
    "brain": Window.from_centre(40, 80, "brain"),
    "lung": Window.from_centre(-600, 1500, "lung"),
    "soft_tissue": Window.from_centre(50, 350, "soft_tissue"),
    "bone": Window.from_centre(500, 2000, "bone"),
    "wide": Window(-1024, 3071, "wide"),
}


def to_unit(pixels: Tensor, window: Window | None) -> Tensor:
    """Physical values of any shape to [0, 1]; values outside the window are clamped.

    Args:
        pixels: Physical values.
        window: None stands for [0, 1], the range of photographs.
    """
    if window is None:
        return pixels.clamp(0.0, 1.0)
    return ((pixels - window.low) / (window.high - window.low)).clamp(0.0, 1.0)


def from_unit(unit: Tensor, window: Window | None, original: Tensor | None = None) -> Tensor:
    """The inverse of `to_unit`: [0, 1] to physical values.

    With ``original`` the change against it is added to it, so that an unchanged pixel comes back bit for bit, and
    where the original lies outside the window its own value is kept: the window hid it, so nothing was restored there.

    Args:
        unit: Values in [0, 1], any shape.
        window: The window of the way in.
        original: The physical values of the way in, of the same shape as ``unit``.

    Raises:
        ValueError: When ``original`` has another shape.
    """
    low, high = (0.0, 1.0) if window is None else (window.low, window.high)
    if original is None:
        return unit * (high - low) + low
    if original.shape != unit.shape:
        raise ValueError(f"original must have the shape {tuple(unit.shape)}, got {tuple(original.shape)}")
    changed = original + (unit - to_unit(original, window)) * (high - low)
    return torch.where((original < low) | (original > high), original, changed)
