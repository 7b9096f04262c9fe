"""Lay one photograph of an eye over another of other light and blur: shift, small rotation, small change of scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.optimize
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from medrestore.errors import MedrestoreError
from medrestore.imaging.alignment import Alignment, centre_of, places_in

LEAST_CORRELATION = 0.35  # photographs of different eyes reached 0.17, left and right eye in one camera 0.29
LEAST_OVERLAP = 0.5  # of the first field of view

_COARSE_SIDE = 160  # pixels along the longer side of the search over rotations
_FINE_SIDE = 512
_DETAIL = 1 / 320  # of the longer side: blur of both photographs, below which a cataract leaves nothing to compare
_SURROUND = 1 / 24  # of the longer side: what local mean and spread are taken over
_RIM = 0.04  # of the longer side
_ROTATIONS = range(-12, 13, 3)  # degrees that are tried coarsely
_FARTHEST = 0.25  # of the longer side
_STEPS = 40


def register(first: Tensor, second: Tensor, first_mask: Tensor, second_mask: Tensor) -> Alignment:
    """Find the shift, rotation and scale that lay a photograph over another one of the same eye.

    Compared is the green channel (or the only one) less its local mean, divided by its local spread, inside both
    fields of view: so neither light nor veil matters, and blur little. A correlation over all shifts at a few rotations
    gives a start, centre on centre is another, so that what is registered already stays; BFGS maximises the
    correlation from there, on a coarse grid, then on a finer one.

    Args:
        first: (C, H, W) in [0, 1], C 1 or 3.
        second: (C, H', W') in [0, 1].
        first_mask: Field of view, bool (1, H, W).
        second_mask: bool (1, H', W').

    Raises:
        MedrestoreError: The correlation found is below `LEAST_CORRELATION`, or the fields of view overlap too little.
    """
    side = max(*first.shape[-2:], *second.shape[-2:])
    views = ((first, first_mask), (second, second_mask))
    coarse = _Pair(*(_Detail.of(*view, max(1, round(side / _COARSE_SIDE)), side) for view in views))
    fine = _Pair(*(_Detail.of(*view, max(1, round(side / _FINE_SIDE)), side) for view in views))
    as_they_are = torch.zeros(4, dtype=torch.float64)
    starts = (as_they_are, coarse.searched())
    found = max((coarse.climbed(start) for start in starts), key=coarse.correlation)
    found = fine.climbed(_rescaled(found, coarse.first.factor / fine.first.factor))
    before, after, overlap = fine.correlation(as_they_are), fine.correlation(found), fine.overlap(found)
    down, right, angle, scale = _rescaled(found, fine.first.factor).tolist()
    if after < LEAST_CORRELATION or overlap < LEAST_OVERLAP:
        raise MedrestoreError(
            f"the two photographs cannot be registered: they correlate by {before:.2f} as they are, by {after:.2f} at "
            f"best (shift {down:.0f}, {right:.0f} pixels, {math.degrees(angle):.1f} degrees, {overlap:.0%} overlap), "
            f"where {LEAST_CORRELATION} and {LEAST_OVERLAP:.0%} are needed; are they of the same eye?"
        )
    return Alignment((down, right), math.degrees(angle), math.exp(scale), before, after, overlap)


@dataclass(frozen=True, slots=True)
class _Detail:
    """What a photograph shows apart from light.

    Attributes:
        values: Detail, (1, 1, h, w), float64, 0 outside the field of view.
        weight: (1, 1, h, w), 1 inside the field of view, falling to 0 at its rim.
        centre: The photograph's centre on this grid, `(y, x)` of pixel centres.
        factor: Pixels of the photograph along the side of one here.
    """

    values: Tensor
    weight: Tensor
    centre: tuple[float, float]
    factor: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[-2], self.values.shape[-1]

    @classmethod
    def of(cls, photograph: Tensor, mask: Tensor, factor: int, side: int) -> _Detail:
        channel = photograph[1 if len(photograph) == 3 else 0].detach().cpu().double()[None, None]
        weight = (avg_pool2d(mask.detach().cpu().double()[None], factor) > 0.999).double()
        values = avg_pool2d(channel, factor) * weight
        fine, coarse = max(1.0, _DETAIL * side / factor), max(3.0, _SURROUND * side / factor)
        smooth = _local_mean(values, weight, fine)
        left = (smooth - _local_mean(smooth, weight, coarse)) * weight
        spread = _local_mean(left.square(), weight, coarse).sqrt()
        least = 0.1 * (left.square().sum() / weight.sum().clamp(min=1)).sqrt() + 1e-6
        # A flare or the disc's rim must not outweigh the vessels.
        detail = (left / (spread + least)).clamp(-3, 3) * weight
        centre = centre_of((photograph.shape[-2], photograph.shape[-1]), factor)
        # Blur across the rim darkens it in one photograph and not in the other.
        framed = np.pad(weight[0, 0].numpy(), 1)
        depth = np.asarray(scipy.ndimage.distance_transform_edt(framed), np.float64)[1:-1, 1:-1]
        inner = (torch.from_numpy(depth) > _RIM * side / factor).double()[None, None]
        return cls(detail, _blurred(inner, fine), centre, factor)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two photographs' detail on grids of one factor. A pose is `(down, right, angle, log scale)`, float64, radians."""

    first: _Detail
    second: _Detail

    def correlation(self, pose: Tensor) -> float:
        with torch.no_grad():
            return float(self._correlation(pose))

    def overlap(self, pose: Tensor) -> float:
        weight, _ = self._seen(pose)
        return float((self.first.weight * weight).sum() / self.first.weight.sum())

    def climbed(self, start: Tensor) -> Tensor:
        """Maximise the correlation from a start."""
        # One unit of each number moves the rim by about a pixel.
        reach = max(self.first.shape) / 2
        units = torch.tensor([1.0, 1.0, 1 / reach, 1 / reach], dtype=torch.float64)

        def falling(steps: np.ndarray) -> tuple[float, np.ndarray]:
            pose = (torch.from_numpy(steps) * units).requires_grad_()
            loss = -self._correlation(pose)
            (slope,) = torch.autograd.grad(loss, pose)
            return loss.item(), (slope * units).numpy()

        best = scipy.optimize.minimize(
            falling, (start / units).numpy(), jac=True, method="BFGS", options={"maxiter": _STEPS, "gtol": 1e-5}
        )
        found = torch.from_numpy(best.x) * units
        return found if self.correlation(found) > self.correlation(start) else start

    def searched(self) -> Tensor:
        """Return the best of all shifts at a few rotations."""
        return max((self._shifted(math.radians(degrees)) for degrees in _ROTATIONS), key=self.correlation)

    def _shifted(self, angle: float) -> Tensor:
        """Return the pose of the largest correlation over all shifts at one rotation.

        By Fourier transforms: for detail without a mean, sums of products and of squares under both masks are all it
        takes (after Padfield, IEEE Transactions on Image Processing 21(5), 2012).
        """
        pose = torch.tensor([0.0, 0.0, angle, 0.0], dtype=torch.float64)
        seen, second = (part[0, 0] for part in self._seen(pose))
        weight, first = self.first.weight[0, 0], self.first.values[0, 0]
        size = [2 * length for length in self.first.shape]
        downs = torch.fft.fftfreq(size[0], 1 / size[0], dtype=torch.float64)[:, None]
        rights = torch.fft.fftfreq(size[1], 1 / size[1], dtype=torch.float64)

        def summed(moved: Tensor, fixed: Tensor) -> Tensor:
            """For every shift d the sum over p of moved(p + d) fixed(p)."""
            return torch.fft.irfft2(torch.fft.rfft2(moved, size) * torch.fft.rfft2(fixed, size).conj(), size)

        products = summed(seen * second, weight * first)
        energy = summed(seen * second.square(), weight) * summed(seen, weight * first.square())
        farthest = _FARTHEST * max(self.first.shape)
        allowed = (downs.abs() <= farthest) & (rights.abs() <= farthest)
        allowed &= summed(seen, weight) >= LEAST_OVERLAP * weight.sum()
        best = int(torch.where(allowed, products / energy.clamp(min=1e-9).sqrt(), -1.0).argmax())
        down, right = float(downs[best // size[1], 0]), float(rights[best % size[1]])
        # Found was a shift after the rotation; the pose's comes before it.
        pose[0] = math.cos(angle) * down - math.sin(angle) * right
        pose[1] = math.sin(angle) * down + math.cos(angle) * right
        return pose

    def _seen(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and detail of the second photograph, laid over the first, (1, 1, h, w) each."""
        first, second = self.first, self.second
        places = places_in(pose, first.shape, first.centre, second.shape, second.centre)
        both = torch.cat([second.weight, second.values], 1)
        weight, values = grid_sample(both, places, "bilinear", "zeros", align_corners=False).split(1, 1)
        return weight, values

    def _correlation(self, pose: Tensor) -> Tensor:
        seen, second = self._seen(pose)
        weight = self.first.weight * seen
        total = weight.sum().clamp(min=1e-9)
        one, other = (part - (weight * part).sum() / total for part in (self.first.values, second))
        energy = (weight * one.square()).sum() * (weight * other.square()).sum()
        return (weight * one * other).sum() / energy.clamp(min=1e-9).sqrt()


def _rescaled(pose: Tensor, factor: float) -> Tensor:
    """Return a pose on a grid `factor` times as fine."""
    return pose * torch.tensor([factor, factor, 1.0, 1.0], dtype=pose.dtype)


def _local_mean(values: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Return the Gaussian mean over the pixels that count."""
    return _blurred(values * weight, sigma) / _blurred(weight, sigma).clamp(min=1e-3)


def _blurred(values: Tensor, sigma: float) -> Tensor:
    blurred = scipy.ndimage.gaussian_filter(values[0, 0].numpy(), sigma, mode="constant", truncate=3.0)
    return torch.from_numpy(blurred)[None, None]
