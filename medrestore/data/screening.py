"""Which images of a collection show enough to learn from: the settings of the screening (paper S5, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medrestore.errors import MedrestoreError


@dataclass(frozen=True, slots=True)
class Screening:
    """An image is kept where its pixel-difference score is above a threshold taken from the training images.

    Attributes:
        threshold: `mean` of the scores of the training images (S5), or the quantile of them, from 0 to below 1.
        sigma: Of the Gaussian before, in pixels, whatever the size of the image; 0 = none.
        size: Height and width that an image must have, one number for both; None for any (S5 took 512).

    Raises:
        MedrestoreError: A value that cannot be meant.
    """

    threshold: float | Literal["mean"] = "mean"
    sigma: float = 5.0
    size: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        number = _is_number(self.threshold) and 0 <= float(self.threshold) < 1
        if not number and self.threshold != "mean":
            raise MedrestoreError(
                f"dataset.screening.threshold={self.threshold} is neither mean nor a quantile from 0 to below 1; "
                "type dataset.screening.threshold=0.5 to drop half of the training images"
            )
        if not (_is_number(self.sigma) and self.sigma >= 0):
            raise MedrestoreError(
                f"dataset.screening.sigma={self.sigma} is no width in pixels; type dataset.screening.sigma=5"
            )
        sides = self._sides()
        if self.size is not None and not (len(sides) == 2 and all(isinstance(s, int) and s > 0 for s in sides)):
            raise MedrestoreError(
                f"dataset.screening.size={self.size} is no height and width in pixels; "
                "type dataset.screening.size=512, or 'dataset.screening.size=[384,274]'"
            )

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width that an image must have, None for any."""
        return None if self.size is None else (self._sides()[0], self._sides()[1])

    def _sides(self) -> Sequence[int]:
        if isinstance(self.size, int):
            return (self.size, self.size)
        return self.size if isinstance(self.size, Sequence) else ()


def switched(screen: bool, screening: Screening | None) -> Screening | None:
    """Return the screening of a source: its settings where `dataset.screen` is true, None for every image.

    Raises:
        MedrestoreError: One of the two is something else.
    """
    if not isinstance(screen, bool):
        raise MedrestoreError(f"dataset.screen={screen} is not known; type dataset.screen=true or dataset.screen=false")
    if not isinstance(screening, Screening | None):
        raise MedrestoreError(
            f"dataset.screening={screening} is no group of settings; type dataset.screening.threshold={screening}"
        )
    return (screening or Screening()) if screen else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
