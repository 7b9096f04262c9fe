"""Blur kernels of zero phase: taps of Gaussian and box, the size-to-sigma rule, shape measures."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError

SigmaRule = Literal["opencv", "k/6"]


def sigma_of(size: int, rule: SigmaRule | float) -> float:
    """Standard deviation in pixels of a Gaussian whose kernel has `size` taps.

    Args:
        size: number of taps, at least 1.
        rule: `opencv` = 0.3 ((size - 1) / 2 - 1) + 0.8, the formula behind `sigma=0` there, for every size;
            `k/6` = size / 6; a number = that many pixels whatever the size.

    Raises:
        MedrestoreError: the rule is unknown or the number negative.
    """
    if rule == "opencv":
        return 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    if rule == "k/6":
        return size / 6
    if isinstance(rule, str) or not 0 <= rule < math.inf:
        raise MedrestoreError(f"sigma is opencv, k/6 or a number of pixels >= 0, found {rule!r}; type sigma=opencv")
    return float(rule)


def gaussian_taps(size: int, sigma: float) -> Tensor:
    """Gaussian taps of zero phase, float64, sum 1; an even size is evaluated on the odd support `size + 1`.

    Args:
        size: number of taps, at least 1; 1 leaves an image as it is.
        sigma: standard deviation in pixels; 0 leaves an image as it is.

    Raises:
        MedrestoreError: size below 1.
    """
    radius = _checked(size) // 2
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    if sigma == 0:
        return (offsets == 0).double()
    taps = torch.exp(-(offsets**2) / (2 * sigma**2))
    return taps / taps.sum()


def box_taps(size: int) -> Tensor:
    """Mean over `size` pixels of zero phase, float64, sum 1; an even size has half weights at both ends.

    Raises:
        MedrestoreError: size below 1.
    """
    taps = torch.full((_checked(size) // 2 * 2 + 1,), 1 / size, dtype=torch.float64)
    if size % 2 == 0:
        taps[[0, -1]] /= 2
    return taps


def outer(rows: Tensor, columns: Tensor) -> Tensor:
    """The separable kernel `(rows, columns)`, float32, of two vectors of taps."""
    return torch.outer(rows, columns).float()


def trim(kernel: Tensor) -> Tensor:
    """Cut rows and columns that are zero at both ends, so that the centre stays the centre."""
    return kernel[_kept(kernel.sum(1))][:, _kept(kernel.sum(0))]


def centroid(kernel: Tensor) -> tuple[float, float]:
    """Centre of mass (row, column) in pixels from the middle of the kernel."""
    rows, columns = _offsets(kernel)
    mass = kernel.double()
    return float((mass.sum(1) * rows).sum() / mass.sum()), float((mass.sum(0) * columns).sum() / mass.sum())


def rms_radius(kernel: Tensor) -> float:
    """Root mean square distance in pixels of the kernel's mass from its middle; 0 for no blur."""
    rows, columns = _offsets(kernel)
    mass = kernel.double()
    return math.sqrt(float((mass.sum(1) * rows**2).sum() + (mass.sum(0) * columns**2).sum()) / float(mass.sum()))


def _checked(size: int) -> int:
    if size < 1:
        raise MedrestoreError(f"a kernel has at least one tap, found size {size}; type a size >= 1")
    return size


def _kept(profile: Tensor) -> slice:
    middle = len(profile) // 2
    reach = int((profile.nonzero().flatten() - middle).abs().max())
    return slice(middle - reach, middle + reach + 1)


def _offsets(kernel: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (
        torch.arange(size, dtype=torch.float64, device=kernel.device) - (size - 1) / 2 for size in kernel.shape
    )
    return rows, columns
