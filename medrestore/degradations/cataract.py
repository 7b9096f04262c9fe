"""Synthetic cataract for fundus photographs: a veil of scattered light that grows from a centre, and a blur."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.kernels import gaussian_taps
from medrestore.degradations.parameters import Frame, Parameters, draw_seed, frame_of
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.errors import MedrestoreError

REFERENCE = 512  # pixels, the side for which the published program states its numbers
DIMMING = 0.2  # of the light, at strength 1
_CLOSING = 3  # pixels of the reference: dark spots up to twice as wide belong to the field of view
_CUT = 3.0  # standard deviations


class Cataract:
    """Dims, blurs and veils a fundus photograph as a clouded lens does; the black surround stays as it is.

    With the strength s, out = (1 - 0.2 s) b + s r m (c - b): b is the blurred photograph, r the part of the light that
    is scattered, c the colour of the veil and m the distance from a random centre, 0 there and 1 at the far edge. At
    s = 1 it is the program of H. Li et al., "An annotation-free restoration network for cataractous fundus images",
    TMI 2022 (liamheng/Annotation-free-Fundus-Image-Enhancement, cataract_simulation.py) with these differences:

    - its box-like blurs of 3, 5, 7 px become Gaussians of the same width, drawn evenly, and weaker with s;
    - c is drawn and not the largest value in the picture, so that a crop gets the same veil as the whole image;
    - its random contrast and saturation are left out: they belong to the camera.

    Blur scales with the shorter side of the whole image over 512. The field stop is in the camera, behind the lens of
    the eye: the edge of the field of view stays sharp, no light leaves it. The field is told from the surround by
    brightness (largest channel, small dark spots closed): a smooth gate from 0 to 1 between the values of `surround`.
    What differs from place to place follows `Parameters.frame`.

    Args:
        strength: range of s in [0, 1], drawn evenly; 0 leaves a photograph as it is.
        sigma: range of the blur at s = 1 as standard deviation in pixels, for a shorter side of 512.
        veil: range of r in [0, 1 - 0.2], drawn evenly.
        colour: lowest and highest red, green and blue of c, in [0, 1].
        centre: the veil's centre lies within this part of the sides from the image's middle, in [0, 0.5].
        surround: brightness up to which a pixel is surround, and from which it is not.
        largest: crops come from images whose shorter side is at most so many pixels; sets `margin`.
        sensor: noise and quantisation after the degradation; None = none.

    Raises:
        MedrestoreError: a range makes no sense; on `apply`, the image is no colour photograph in [0, 1], or larger than
            `largest` and cropped.
    """

    scale = 1

    def __init__(
        self,
        strength: Sequence[float] = (0.3, 1.0),
        sigma: Sequence[float] = (0.8, 2.0),
        veil: Sequence[float] = (0.6, 0.8),
        colour: Sequence[Sequence[float]] = ((0.8, 0.7, 0.35), (1.0, 0.9, 0.6)),
        centre: float = 0.3,
        surround: Sequence[float] = (0.04, 0.12),
        largest: int = 1024,
        sensor: Sensor | None = None,
    ) -> None:
        self.strength = _range("strength", strength, 1.0, "[0.3,1.0]")
        self.sigma = _range("sigma", sigma, math.inf, "[0.8,2.0]")
        self.veil = _range("veil", veil, 1 - DIMMING, "[0.6,0.8]")
        self.surround = _range("surround", surround, 1.0, "[0.04,0.12]")
        if self.surround[0] == self.surround[1]:
            raise MedrestoreError(f"surround is two brightnesses, found {list(surround)}; type surround=[0.04,0.12]")
        self.colour = _colours(colour)
        if not 0 <= centre <= 0.5:
            raise MedrestoreError(
                f"centre is a part of the image's sides from 0 to 0.5, found {centre}; type centre=0.3"
            )
        if largest < 1:
            raise MedrestoreError(f"largest is a number of pixels, found {largest}; type largest=1024")
        self.centre, self.largest, self.sensor = centre, largest, sensor
        self.margin = self._margin(self.strength[1] * self.sigma[1])

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw one cataract; `field` is float64 `(8,)`: s, blur, s r, centre (row, column; parts of the sides), c.

        The description holds `strength` s, `sigma` (s times the drawn one, pixels for a side of 512) and `veil` s r.
        """
        drawn = torch.rand(8, generator=generator, dtype=torch.float64)
        low, high = self.colour
        strength = _between(self.strength, float(drawn[0]))
        sigma = strength * _between(self.sigma, float(drawn[1]))
        veil = strength * _between(self.veil, float(drawn[2]))
        centre = (drawn[3:5] * 2 - 1) * self.centre
        description: dict[str, float | int | str] = {
            "type": "cataract",
            "strength": strength,
            "sigma": sigma,
            "veil": veil,
        }
        field = torch.cat(
            [torch.tensor([strength, sigma, veil], dtype=torch.float64), centre, low + drawn[5:] * (high - low)]
        )
        margin = 0 if strength == 0 else self._margin(sigma)
        return Parameters(None, description, draw_seed(generator), field=field, margin=margin)

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Cloud and record `(3, H, W)` or `(N, 3, H, W)` in [0, 1]; borders reflect."""
        assert parameters.field is not None
        _check_colour(image)
        frame = frame_of(image, parameters)
        whole = tuple(image.shape[-2:]) == (frame.height, frame.width)
        if min(frame.height, frame.width) > self.largest and not whole:
            raise MedrestoreError(
                f"crops of an image of {frame.height} x {frame.width} need a wider margin than that for a shorter side "
                f"of {self.largest}; type degradation.operator.largest={min(frame.height, frame.width)}"
            )
        strength, sigma, veil = parameters.field[:3].tolist()
        if strength == 0:
            return recorded(image.clone(), self.sensor, parameters.seed)
        unit = min(frame.height, frame.width) / REFERENCE
        field = self._field_of_view(image, round(_CLOSING * unit))
        seen = _blurred(image, field, sigma * unit)
        distance = _distance(image, parameters.field[3:5].tolist(), frame)
        colour = parameters.field[5:].to(image)[:, None, None]
        clouded = (1 - DIMMING * strength) * seen + veil * distance * (colour - seen).clamp(min=0)
        return recorded(image + field * (clouded - image), self.sensor, parameters.seed)

    def _field_of_view(self, image: Tensor, reach: int) -> Tensor:
        """How much each pixel belongs to the field of view, `(..., 1, H, W)` in [0, 1]."""
        low, high = self.surround
        gate = ((image.amax(-3, keepdim=True) - low) / (high - low)).clamp(0, 1)
        gate = gate * gate * (3 - 2 * gate)
        planes = gate.reshape(-1, 1, *gate.shape[-2:])
        side = 2 * reach + 1
        planes = F.max_pool2d(planes, side, stride=1, padding=reach)
        return -F.max_pool2d(-planes, side, stride=1, padding=reach).view_as(gate)

    def _margin(self, sigma: float) -> int:
        """Pixels of context for the largest image that crops come from."""
        unit = self.largest / REFERENCE
        return math.ceil(_CUT * sigma * unit) + 2 * round(_CLOSING * unit)


def _blurred(image: Tensor, field: Tensor, sigma: float) -> Tensor:
    """Blur inside the field of view alone: the weighted mean of its pixels, the surround has no weight."""
    radius = math.ceil(_CUT * sigma)
    taps = gaussian_taps(2 * radius + 1, sigma)
    planes = torch.cat([image * field, field], dim=-3)
    for kernel in (taps[:, None], taps[None]):
        planes = blur(planes, kernel)
    return planes[..., :3, :, :] / planes[..., 3:, :, :].clamp(min=1e-6)


def _distance(image: Tensor, centre: Sequence[float], frame: Frame) -> Tensor:
    """Distance of every pixel from the veil's centre, 0 to 1 at the far edge of a round field of view, `(H, W)`."""
    row = (0.5 + centre[0]) * frame.height - 0.5 - frame.top
    column = (0.5 + centre[1]) * frame.width - 0.5 - frame.left
    y = torch.arange(image.shape[-2], device=image.device, dtype=image.dtype)[:, None] - row
    x = torch.arange(image.shape[-1], device=image.device, dtype=image.dtype) - column
    # The field of view is as wide as the image, and at times cut above and below.
    far = max(frame.height, frame.width) / 2 + math.hypot(centre[0] * frame.height, centre[1] * frame.width)
    return (torch.hypot(y, x) / far).clamp(max=1)


def _check_colour(image: Tensor) -> None:
    if image.shape[-3] != 3:
        raise MedrestoreError(
            f"the cataract degradation needs photographs of 3 colour channels, found {image.shape[-3]}; type another "
            "degradation, e.g. degradation=focal"
        )
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise MedrestoreError(
            f"the cataract degradation needs values in [0, 1], found {low:.4g} to {high:.4g}; type another "
            "degradation, e.g. degradation=focal"
        )


def _between(ends: tuple[float, float], where: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * where


def _range(name: str, found: Sequence[float], most: float, example: str) -> tuple[float, float]:
    if not isinstance(found, Sequence) or len(found) != 2 or not 0 <= found[0] <= found[1] <= most:
        limit = "" if most == math.inf else f" and <= {most:g}"
        raise MedrestoreError(
            f"{name} is the smallest and the largest value, >= 0{limit}, found {found}; type {name}={example}"
        )
    return float(found[0]), float(found[1])


def _colours(found: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    colours = [torch.tensor(list(colour), dtype=torch.float64) for colour in found]
    right = len(colours) == 2 and all(colour.shape == (3,) for colour in colours)
    if not right or not bool(((colours[0] >= 0) & (colours[0] <= colours[1]) & (colours[1] <= 1)).all()):
        raise MedrestoreError(
            f"colour is the lowest and the highest red, green and blue in [0, 1], found {[list(c) for c in found]}; "
            "type colour=[[0.8,0.7,0.35],[1,0.9,0.6]]"
        )
    return colours[0], colours[1]
