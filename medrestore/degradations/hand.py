"""The unsteady hand: which random paths a motion blur draws, checked once and shared by all motion blurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from medrestore.degradations.trajectory import centred, draw_shake, exposure_weights, trajectory
from medrestore.errors import MedrestoreError

Preset = Literal["small", "big"]


@dataclass(frozen=True)
class Hand:
    """How paths are drawn.

    Attributes:
        length: of the whole path in pixels.
        exposure: fraction of the path that is exposed, in (0, 1].
        anxiety: the range it is drawn from (`expl` of the published program; more curls the path up).
        samples: points of a path.
    """

    length: float
    exposure: float
    anxiety: tuple[float, float]
    samples: int

    def draw_anxiety(self, generator: torch.Generator) -> float:
        """Uniform in the range."""
        low, high = self.anxiety
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

    def draw_path(self, anxiety: float, generator: torch.Generator, length: float | None = None) -> Tensor:
        """A path, complex128 `(samples,)` in pixels, the centre of mass of its light at 0.

        Args:
            anxiety: as drawn by `draw_anxiety`.
            generator: the only source of randomness.
            length: of the whole path; None = the hand's.
        """
        shake = draw_shake(anxiety, self.samples, generator)
        return centred(trajectory(self.length if length is None else length, shake), self.weights)

    @property
    def weights(self) -> Tensor:
        """The light of each point of a path, float64 `(samples,)`."""
        return exposure_weights(self.samples, self.exposure)


# S3's "smaller" and "bigger" blur have no numbers in the paper. A longer path and a calmer hand blur more.
_PRESETS: dict[str, Hand] = {
    "small": Hand(length=20, exposure=0.5, anxiety=(0.005, 0.01), samples=2000),
    "big": Hand(length=60, exposure=1.0, anxiety=(0.003, 0.005), samples=2000),
}


def hand_of(
    preset: Preset,
    length: float | None,
    exposure: float | None,
    anxiety: float | Sequence[float] | None,
    samples: int,
) -> Hand:
    """The hand of a preset with what is not None in its place.

    Raises:
        MedrestoreError: the preset is unknown or a number is out of range.
    """
    if preset not in _PRESETS:
        raise MedrestoreError(f"preset is small or big, found {preset!r}; type preset=small")
    usual = _PRESETS[preset]
    hand = Hand(
        usual.length if length is None else length,
        usual.exposure if exposure is None else exposure,
        usual.anxiety if anxiety is None else _range(anxiety),
        samples,
    )
    if hand.length < 0:
        raise MedrestoreError(f"length is a number of pixels >= 0, found {hand.length}; type length=20")
    if not 0 < hand.exposure <= 1:
        raise MedrestoreError(f"exposure is a fraction in (0, 1], found {hand.exposure}; type exposure=0.5")
    if samples * hand.exposure < 2:
        raise MedrestoreError(f"a path needs two exposed samples, found samples={samples}; type samples=2000")
    return hand


def _range(anxiety: float | Sequence[float]) -> tuple[float, float]:
    found = list(anxiety) if isinstance(anxiety, Sequence) else [anxiety, anxiety]
    if len(found) != 2 or not 0 <= found[0] <= found[1]:
        raise MedrestoreError(f"anxiety is a number >= 0 or a range, found {anxiety}; type anxiety=[0.005,0.01]")
    return found[0], found[1]
