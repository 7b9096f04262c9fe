"""Random camera paths and the blur they leave (Boracchi and Foi, IEEE TIP 21(8), 2012).

The steps follow the authors' published program rather than the algorithm box of the paper, which differ. Pure
functions of numbers drawn beforehand: shake -> path -> exposure weights -> kernel.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shake:
    """The random numbers of one path of `n` samples.

    Attributes:
        anxiety: how nervous the hand is (`expl`); 0 = a straight line.
        angle: of the first step, radians.
        centripetal: pull back to the start, in [0, 0.7].
        jitter: complex128 `(n - 1,)`, Gaussian push of every step times its strength in [0, 10].
        turn: complex128 `(n - 1,)`, factor on the velocity: 1, or about -0.8 where the hand jerks back.
    """

    anxiety: float
    angle: float
    centripetal: float
    jitter: Tensor
    turn: Tensor


def draw_shake(anxiety: float, samples: int, generator: torch.Generator) -> Shake:
    """Draw the random numbers of one path; equal generators give equal shakes.

    Args:
        anxiety: `expl` of the published program; 0.005 is a usual value.
        samples: points of the path, at least 2.
        generator: the only source of randomness.
    """
    centripetal, gaussian, big_shake, angle = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    push = torch.randn(samples - 1, 2, generator=generator, dtype=torch.float64)
    chance, swing = torch.rand(2, samples - 1, generator=generator, dtype=torch.float64)
    jerk = 1 + 2 * torch.polar(torch.ones_like(swing), math.pi + swing - 0.5)
    turn = torch.where(chance < 0.2 * big_shake * anxiety, jerk, torch.ones_like(jerk))
    return Shake(anxiety, 2 * math.pi * angle, 0.7 * centripetal, 10 * gaussian * torch.view_as_complex(push), turn)


def trajectory(length: float, shake: Shake) -> Tensor:
    """The path of a point on the sensor, complex128 `(n,)` in pixels: real = column, imaginary = row, start at 0.

    Every step has the same length, so the whole path is exactly `length` pixels long.
    """
    samples = len(shake.turn) + 1
    step = length / (samples - 1)
    if step == 0:
        return torch.zeros(samples, dtype=torch.complex128)
    inertia = shake.anxiety / step if shake.anxiety > 0 else 1.0  # the published program's start; later steps have 1
    velocity, position = cmath.rect(inertia, shake.angle), 0j
    pull = shake.anxiety * shake.centripetal
    path = [position]
    # Each step depends on the one before: plain complex numbers are faster here than tensors.
    for push, turn in zip((shake.anxiety * shake.jitter).tolist(), shake.turn.tolist(), strict=True):
        velocity = turn * velocity + push - pull * position
        velocity /= abs(velocity)
        position += step * velocity
        path.append(position)
    return torch.tensor(path, dtype=torch.complex128)


def exposure_weights(samples: int, exposure: float, start: float = 0.0) -> Tensor:
    """How much light each sample of a path gets while the shutter is open, float64 `(samples,)` in [0, 1].

    Args:
        samples: points of the path.
        exposure: the shutter closes at this fraction of the path, in (start, 1].
        start: the shutter opens at this fraction.
    """
    t = torch.arange(samples, dtype=torch.float64)
    return (t.clamp(max=exposure * samples) - (t - 1).clamp(min=start * samples)).clamp(0, 1)


def centred(path: Tensor, weights: Tensor) -> Tensor:
    """Move the path so that the centre of mass of its light is 0, to the fraction of a pixel.

    Without this a kernel shifts the image by several pixels, and a pair is no longer registered.
    """
    return path - (weights * path).sum() / weights.sum()


def splat(path: Tensor, weights: Tensor, canvas: int) -> Tensor:
    """Collect the light of paths in pixels, each sample shared by its four neighbours (bilinear).

    The shares keep the centre of mass exactly.

    Args:
        path: complex `(..., n)`, pixels from the middle of the canvas; within `(canvas - 1) / 2` of it on both axes.
        weights: `(n,)`, non-negative.
        canvas: side of the kernel, odd.

    Returns:
        float64 `(..., canvas, canvas)`, non-negative, each of sum 1.
    """
    row, column = path.imag + canvas // 2, path.real + canvas // 2
    top, left = row.floor().clamp(0, canvas - 2), column.floor().clamp(0, canvas - 2)
    down, right = row - top, column - left
    paths = math.prod(path.shape[:-1])
    own = torch.arange(paths).view(*path.shape[:-1], 1) * canvas**2  # each path has a canvas of its own
    corner = own + (top * canvas + left).long()
    places = torch.stack([corner, corner + 1, corner + canvas, corner + canvas + 1])
    shares = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    light = torch.bincount(places.flatten(), weights=(shares * weights).flatten(), minlength=paths * canvas**2)
    light = light.view(*path.shape[:-1], canvas, canvas)
    return light / light.sum((-2, -1), keepdim=True)


def canvas_for(length: float, exposure: float) -> int:
    """The odd side that holds every centred kernel of such paths.

    No point of a path is further from the centre of mass than half the path's length: that far from the end of a
    straight line, less for any other.
    """
    return 2 * (math.ceil(length * exposure / 2) + 1) + 1
