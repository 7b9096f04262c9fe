"""Motion blur of papers S3 and S4: a kernel along the random path of a camera or a patient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.hand import Preset, hand_of
from medrestore.degradations.kernels import rms_radius, trim
from medrestore.degradations.parameters import Parameters, draw_seed
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.degradations.trajectory import canvas_for, splat
from medrestore.errors import MedrestoreError

_CANVAS = 64  # of the published program, which draws paths of 60 px on it


class MotionBlur:
    """Blurs along a random path (Boracchi and Foi 2012), centred by mass so that pairs stay registered.

    Args:
        preset: `small` (20 px, half of it exposed, anxiety 0.005 to 0.01) or `big` (60 px, all of it, 0.003 to 0.005).
        length: of the whole path in pixels; None = the preset's; 0 = no blur.
        exposure: fraction of the path that is exposed, in (0, 1]; None = the preset's.
        anxiety: one number, or the range it is drawn from (`expl` of the published program; more curls the path up);
            None = the preset's.
        canvas: odd side of the largest kernel in pixels; None = the smallest that holds every path.
        canvas_sizes: sizes in pixels, one drawn for each image with equal chance, instead of `length` and `canvas`:
            a size stands for a path of 60/64 of it and for 64/size of the anxiety. [160, 320, 480, 640] is the
            program of S4 (son-of-a-gan/Blur-Dataset); None = one size, as the paper says.
        samples: points of a path.
        sensor: noise and quantisation after the blur; None = none.

    Raises:
        MedrestoreError: a number is out of range, or the canvas is even or too small.
    """

    scale = 1

    def __init__(
        self,
        preset: Preset = "small",
        length: float | None = None,
        exposure: float | None = None,
        anxiety: float | Sequence[float] | None = None,
        canvas: int | None = None,
        canvas_sizes: Sequence[int] | None = None,
        samples: int = 2000,
        sensor: Sensor | None = None,
    ) -> None:
        self.hand = hand_of(preset, length, exposure, anxiety, samples)
        self.sensor = sensor
        self.canvas_sizes = None if canvas_sizes is None else _checked_sizes(canvas_sizes, length, canvas)
        longest = self.hand.length if self.canvas_sizes is None else _length_on(max(self.canvas_sizes))
        self.canvas = _checked_canvas(canvas, canvas_for(longest, self.hand.exposure))
        self.margin = self.canvas // 2

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw one path and its kernel, trimmed to its support.

        The description holds `length` and `rms_radius` in pixels, `exposure`, `anxiety`, and `canvas_size` where there
        are several.
        """
        length, calm, canvas, size = self.hand.length, 1.0, self.canvas, {}
        if self.canvas_sizes is not None:
            drawn = self.canvas_sizes[int(torch.randint(len(self.canvas_sizes), (), generator=generator))]
            length, calm, size = _length_on(drawn), _CANVAS / drawn, {"canvas_size": drawn}
            canvas = canvas_for(length, self.hand.exposure)  # splatting on the largest would be slow for the small
        anxiety = self.hand.draw_anxiety(generator) * calm
        path = self.hand.draw_path(anxiety, generator, length)
        kernel = trim(splat(path, self.hand.weights, canvas).float())
        description: dict[str, float | int | str] = {
            "type": "motion",
            **size,
            "length": length,
            "exposure": self.hand.exposure,
            "anxiety": anxiety,
            "rms_radius": rms_radius(kernel),
        }
        return Parameters(kernel, description, draw_seed(generator), margin=max(kernel.shape) // 2)

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Blur and record `(C, H, W)` or `(N, C, H, W)` of any unit; borders reflect."""
        assert parameters.kernel is not None
        return recorded(blur(image, parameters.kernel), self.sensor, parameters.seed)


def _length_on(canvas_size: int) -> float:
    return canvas_size * 60 / _CANVAS


def _checked_sizes(sizes: Sequence[int], length: float | None, canvas: int | None) -> tuple[int, ...]:
    whole = isinstance(sizes, Sequence) and all(isinstance(size, int) and size >= 1 for size in sizes)
    if not whole or not sizes:
        raise MedrestoreError(f"canvas_sizes holds whole sizes >= 1, found {sizes}; type canvas_sizes=[160,320]")
    for name, value in (("length", length), ("canvas", canvas)):
        if value is not None:
            raise MedrestoreError(f"canvas_sizes sets the {name} too, found {name}={value}; type {name}=null")
    return tuple(sizes)


def _checked_canvas(canvas: int | None, needed: int) -> int:
    if canvas is None:
        return needed
    if canvas % 2 == 0 or canvas < needed:
        raise MedrestoreError(
            f"canvas is odd and at least {needed} for such paths, found {canvas}; type canvas={needed}"
        )
    return canvas
