"""The scanner of the brain phantom: point spread, shading by the coil, noise of magnitudes, whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.section import around
from medrestore.data.phantoms.texture import Array
from medrestore.imaging import Window

HIGHEST = 4095  # of 12 bits, as most scanners write them


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a patient was scanned."""

    field: float  # of view in mm
    gain: float  # of the value 1 in the numbers of the file
    noise: float  # standard deviation of either part of the complex signal, where white matter is 0.42
    sigma: float  # of the point spread in pixels
    shading: Array  # (2,) change of brightness across the field of view
    centre: float  # how much brighter or darker the middle is

    @property
    def window(self) -> Window:
        """What the scanner suggests to show: a little more than the brightest tissue of the patient."""
        return Window(0.0, float(round(1.15 * self.gain)), "file")


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """Draw the settings of a scan."""
    return Protocol(
        field=float(rng.uniform(215, 240)),
        gain=around(rng, 1100, 0.4),
        noise=float(rng.uniform(0.003, 0.007)),
        sigma=float(rng.uniform(0.8, 1.0)),
        shading=rng.uniform(-0.12, 0.12, 2).astype(np.float32),
        centre=float(rng.uniform(-0.15, 0.1)),
    )


def scan(rng: np.random.Generator, values: Array, protocol: Protocol) -> Array:
    """Return what the scanner makes of a painted slice (H, W): whole numbers from 0 to 4095, float32.

    Noise of a magnitude image is Rician (H. Gudbjartsson, S. Patz, MRM 34, 1995, 910): in air it is not symmetric.
    """
    size = len(values)
    signal = ndimage.gaussian_filter(values, protocol.sigma, truncate=3)
    at = np.linspace(-1, 1, size, dtype=np.float32)
    down, right = protocol.shading
    signal = signal * (1 + down * at[:, None] + right * at + protocol.centre * (1 - at[:, None] ** 2 - at**2))
    real, imaginary = np.float32(protocol.noise) * rng.standard_normal((2, size, size), dtype=np.float32)
    magnitude = np.hypot(signal + real, imaginary)
    return np.rint(np.clip(magnitude * protocol.gain, 0, HIGHEST)).astype(np.float32)
