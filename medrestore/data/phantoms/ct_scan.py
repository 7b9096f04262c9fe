"""The scanner of the CT phantom: field of view, table, sharpness of the reconstruction, noise, whole HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medrestore.data.phantoms.ct_tissues import AIR
from medrestore.data.phantoms.section import Canvas, Shape
from medrestore.data.phantoms.texture import Array, spectral_noise

LOWEST, HIGHEST = -1024, 3071  # of 12-bit CT


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a patient was scanned."""

    field: float  # diameter of the field of view in mm
    noise: float  # standard deviation in the middle of the body, HU
    sigma: float  # of the point spread in pixels
    shortest: float  # wavelength in the noise, pixels
    round_field: bool  # whether the corners are left unmeasured


def draw_protocol(rng: np.random.Generator, width: float, head: bool) -> Protocol:
    """Draw the settings of a scan: a soft kernel with little noise, or a sharp one with more.

    Args:
        rng: the patient's.
        width: half of the body's, mm.
        head: whether the head is scanned, in a smaller field.
    """
    sharp = rng.random()
    field = rng.uniform(225, 245) if head else 2 * width * rng.uniform(1.06, 1.2)
    noise = 2.5 + 3.0 * sharp if head else 5.0 + 8.0 * sharp
    return Protocol(float(field), noise, 0.55 - 0.2 * sharp, 3.4 - 1.2 * sharp, bool(rng.random() < 2 / 3))


def table(canvas: Canvas, depth: float, head: bool) -> None:
    """The couch under the back: a thin bright shell around foam; for the head a narrow cradle."""
    across, top, bow = (88.0, depth - 12, 0.0062) if head else (215.0, depth + 1, 0.00075)
    y = canvas.y - np.float32(top) + np.float32(bow) * canvas.x**2  # below the upper shell
    edge = np.float32(across) - np.abs(canvas.x)
    board = Shape((slice(None), slice(None)), np.minimum(np.minimum(y, 17 - y), edge))
    canvas.fill(board, 60.0 if head else -60.0)
    canvas.fill(board.inset(1.6), -928.0)  # foam: neither air nor lung


def scan(rng: np.random.Generator, canvas: Canvas, protocol: Protocol) -> tuple[Array, Array | None]:
    """What the scanner makes of a painted slice.

    Returns:
        Pixels (H, W) float32 in whole HU, and the round field of view, bool (H, W), or None where all was measured.
    """
    size = canvas.size
    pixels = ndimage.gaussian_filter(canvas.values, protocol.sigma, truncate=3)
    # Few photons pass the middle of the body: noise grows with the path through tissue (of variance 1 in the middle).
    thick = ndimage.uniform_filter(np.minimum(pixels, 300) - np.float32(AIR), max(3, size // 4), mode="constant")
    spread = 0.35 + 0.65 * thick / np.float32(1000)
    pixels += np.float32(protocol.noise) * spread * spectral_noise(rng, size, -0.5, shortest=protocol.shortest)
    pixels = np.rint(np.clip(pixels, LOWEST, HIGHEST)).astype(np.float32)
    if not protocol.round_field:
        return pixels, None
    axis = np.arange(size) - (size - 1) / 2
    valid = np.hypot(axis[:, None], axis[None, :]) <= size / 2
    pixels[~valid] = pixels[valid].min()
    return pixels, valid
