"""Blur of a shaken camera or a moving patient, from random paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.kernels import rms_radius, trim
from medrestore.degradations.parameters import Parameters, draw_seed
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.degradations.trajectory import canvas_for, centred, draw_shake, exposure_weights, splat, trajectory
from medrestore.errors import MedrestoreError


class _Preset(NamedTuple):
    length: float
    exposure: float
    anxiety: tuple[float, float]


# S3's "smaller" and "bigger" blur have no numbers in the paper. A longer path and a calmer hand blur more.
_PRESETS = {
    "small": _Preset(length=20, exposure=0.5, anxiety=(0.005, 0.01)),
    "big": _Preset(length=60, exposure=1.0, anxiety=(0.003, 0.005)),
}


class MotionBlur:
    """Blurs along a random path (Boracchi and Foi 2012), centred by mass so that pairs stay registered.

    Args:
        preset: `small` (20 px, half of it exposed, anxiety 0.005 to 0.01) or `big` (60 px, all of it, 0.003 to 0.005).
        length: of the whole path in pixels; None = the preset's; 0 = no blur.
        exposure: fraction of the path that is exposed, in (0, 1]; None = the preset's.
        anxiety: one number, or the range it is drawn from (`expl` of the published program; more curls the path up);
            None = the preset's.
        canvas: odd side of the largest kernel in pixels; None = the smallest that holds every path.
        samples: points of a path.
        sensor: noise and quantisation after the blur; None = none.

    Raises:
        MedrestoreError: a number is out of range, or the canvas is even or too small.
    """

    scale = 1

    def __init__(
        self,
        preset: Literal["small", "big"] = "small",
        length: float | None = None,
        exposure: float | None = None,
        anxiety: float | Sequence[float] | None = None,
        canvas: int | None = None,
        samples: int = 2000,
        sensor: Sensor | None = None,
    ) -> None:
        if preset not in _PRESETS:
            raise MedrestoreError(f"preset is small or big, found {preset!r}; type preset=small")
        chosen = _PRESETS[preset]
        self.length = chosen.length if length is None else length
        self.exposure = chosen.exposure if exposure is None else exposure
        self.anxiety = chosen.anxiety if anxiety is None else _range(anxiety)
        self.samples = samples
        self.sensor = sensor
        _check(self.length, self.exposure, samples)
        self.canvas = _checked_canvas(canvas, canvas_for(self.length, self.exposure))
        self.margin = self.canvas // 2

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw one path and its kernel, trimmed to its support; the description holds `rms_radius` (pixels)."""
        low, high = self.anxiety
        anxiety = low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
        path = trajectory(self.length, draw_shake(anxiety, self.samples, generator))
        weights = exposure_weights(self.samples, self.exposure)
        kernel = trim(splat(centred(path, weights), weights, self.canvas).float())
        description: dict[str, float | int | str] = {
            "type": "motion",
            "length": self.length,
            "exposure": self.exposure,
            "anxiety": anxiety,
            "rms_radius": rms_radius(kernel),
        }
        return Parameters(kernel, description, draw_seed(generator))

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Blur and record `(C, H, W)` or `(N, C, H, W)` of any unit; borders reflect."""
        assert parameters.kernel is not None
        return recorded(blur(image, parameters.kernel), self.sensor, parameters.seed)


def _range(anxiety: float | Sequence[float]) -> tuple[float, float]:
    found = list(anxiety) if isinstance(anxiety, Sequence) else [anxiety, anxiety]
    if len(found) != 2 or not 0 <= found[0] <= found[1]:
        raise MedrestoreError(f"anxiety is a number >= 0 or a range, found {anxiety}; type anxiety=[0.005,0.01]")
    return found[0], found[1]


def _check(length: float, exposure: float, samples: int) -> None:
    if length < 0:
        raise MedrestoreError(f"length is a number of pixels >= 0, found {length}; type length=20")
    if not 0 < exposure <= 1:
        raise MedrestoreError(f"exposure is a fraction in (0, 1], found {exposure}; type exposure=0.5")
    if samples * exposure < 2:
        raise MedrestoreError(f"a path needs two exposed samples, found samples={samples}; type samples=2000")


def _checked_canvas(canvas: int | None, needed: int) -> int:
    if canvas is None:
        return needed
    if canvas % 2 == 0 or canvas < needed:
        raise MedrestoreError(
            f"canvas is odd and at least {needed} for such paths, found {canvas}; type canvas={needed}"
        )
    return canvas
