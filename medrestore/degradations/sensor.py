"""What the sensor adds after the optics: shot noise, read noise, quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError

_RINGING = 0.25  # an antialiased or bicubic image may leave its range by less than this part of it


@dataclass(frozen=True)
class Sensor:
    """Noise and quantisation of the degraded image, in the order light, electronics, converter.

    Shot and read noise after Boracchi and Foi, TIP 21(8) 2012: Poisson(poisson * y) / poisson + gaussian * N(0, 1).

    Attributes:
        gaussian: standard deviation of the read noise, in the image's unit; 0 = none.
        poisson: mean photons at value 1; None = no shot noise. Needs values >= 0.
        bits: 8 or 16 clips to [0, 1] and rounds to so many bits; None = not stored. Needs values in [0, 1].

    Raises:
        MedrestoreError: a number is out of its range; on `apply`, the image does not fit.
    """

    gaussian: float = 0.0
    poisson: float | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.gaussian < 0:
            raise MedrestoreError(f"gaussian is a standard deviation >= 0, found {self.gaussian}; type gaussian=0")
        if self.poisson is not None and self.poisson <= 0:
            raise MedrestoreError(f"poisson is a number of photons > 0, found {self.poisson}; type poisson=null")
        if self.bits not in (None, 8, 16):
            raise MedrestoreError(f"bits is 8, 16 or null, found {self.bits}; type bits=8")

    @property
    def said(self) -> str:
        """What it does, for a table."""
        parts = [
            "" if self.poisson is None else f"shot noise of {self.poisson:g} photons at 1",
            f"noise of {self.gaussian:g}" if self.gaussian else "",
            "" if self.bits is None else f"rounding to {self.bits} bits",
        ]
        return ", ".join(part for part in parts if part) or "no noise or rounding"

    def apply(self, image: Tensor, seed: int) -> Tensor:
        """Record an image of any shape; the same seed gives the same noise on every device."""
        generator = torch.Generator().manual_seed(seed)
        if self.bits is not None:
            _check_unit(image)
        if self.poisson is not None:
            image = self._shot(image, self.poisson, generator)
        if self.gaussian > 0:
            image = image + self.gaussian * torch.randn(image.shape, generator=generator).to(image)
        return image if self.bits is None else _quantised(image, self.bits)

    def _shot(self, image: Tensor, photons: float, generator: torch.Generator) -> Tensor:
        low, high = float(image.min()), float(image.max())
        if low < -_RINGING * max(high, 0.0):
            raise MedrestoreError(f"shot noise needs values >= 0, found {low:.4g} to {high:.4g}; type poisson=null")
        counts = torch.poisson((image.cpu() * photons).clamp(min=0), generator=generator)
        return (counts / photons).to(image)


def recorded(image: Tensor, sensor: Sensor | None, seed: int) -> Tensor:
    """The image as the sensor gives it; without a sensor, as it is."""
    return image if sensor is None else sensor.apply(image, seed)


def _check_unit(image: Tensor) -> None:
    low, high = float(image.min()), float(image.max())
    if low < -_RINGING or high > 1 + _RINGING:
        raise MedrestoreError(f"bits needs values in [0, 1], found {low:.4g} to {high:.4g}; type bits=null")


def _quantised(image: Tensor, bits: int) -> Tensor:
    levels = 2**bits - 1
    return torch.floor(image.clamp(0, 1) * levels + 0.5) / levels
