"""Choose a method's setting once, on validation, for all images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor

from medrestore.classical.method import Method
from medrestore.errors import MedrestoreError
from medrestore.metrics import psnr

_CEILING = 100.0  # dB; a perfectly restored image must not outvote all others

M = TypeVar("M", bound=Method)


def tune(method: M, pairs: Iterable[tuple[Tensor, Tensor, Tensor | None]]) -> M:
    """The method with the point of its grid that has the best mean PSNR.

    Args:
        method: whose grid is searched; every pair is visited once.
        pairs: degraded `(1, C, h, w)` and target `(1, C, H, W)` in [0, 1], and the kernel or None. Pairs without a
            kernel are left out where the method needs one.

    Raises:
        MedrestoreError: there is nothing to tune on.
    """
    candidates = [method.with_parameters(setting) for setting in method.grid()]
    totals = [0.0] * len(candidates)
    count = 0
    for degraded, target, kernel in pairs:
        if method.needs_kernel and kernel is None:
            continue
        count += 1
        for i, candidate in enumerate(candidates):
            totals[i] += min(float(psnr(candidate.restore(degraded, kernel), target)), _CEILING)
    if count == 0:
        raise MedrestoreError(f"{method.name} needs validation images with truth to be tuned on, found none")
    return candidates[totals.index(max(totals))]
