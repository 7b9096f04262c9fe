"""Distance of spectra: what paper S4 proposes against smoothed textures (section 7.2, future work)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medrestore.losses.content import Distance, l1, mse

Part = Literal["magnitude", "complex"]


def fourier(
    restored: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    distance: Distance = "l2",
    of: Part = "magnitude",
) -> Tensor:
    """Mean absolute (`l1`) or squared (`l2`) difference of orthonormal spectra over channels and frequencies.

    `l2` of `magnitude` is the metric `fourier_error` as a loss, S4's proposal: blind to where things are, and never
    above the MSE. `l2` of `complex` is the MSE itself (Parseval), so it adds nothing to it. `l1` of `complex` gives the
    weak high frequencies more weight than the MSE does (akin to MIMO-UNet, arXiv:2108.05054).

    Args:
        restored: `(N, C, H, W)` in [0, 1].
        target: the same shape.
        mask: `(N, 1, H, W)`, or None; where it is 0 the restored image takes its target's values.
        distance: `l1` or `l2`.
        of: the spectra's `magnitude`, or the `complex` spectra themselves.
    """
    if mask is not None:
        restored = torch.where(mask.bool(), restored, target)
    if of == "complex":  # the transform is linear
        difference = _spectrum(restored - target)
        return difference.abs().mean() if distance == "l1" else torch.view_as_real(difference).square().sum(-1).mean()
    term = l1 if distance == "l1" else mse
    return term(_spectrum(restored).abs(), _spectrum(target).abs())


class FourierLoss(nn.Module):
    """`fourier` as a term of a config.

    Args:
        distance: `l1` or `l2`.
        of: `magnitude` or `complex`.

    Raises:
        ValueError: another distance or part.
    """

    def __init__(self, distance: Distance = "l2", of: Part = "magnitude") -> None:
        super().__init__()
        if distance not in ("l1", "l2"):
            raise ValueError(f"distance={distance!r} is not known; type l1 or l2")
        if of not in ("magnitude", "complex"):
            raise ValueError(f"of={of!r} is not known; type magnitude or complex")
        self.distance: Distance = distance
        self.of: Part = of

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare `(N, C, H, W)` in [0, 1] with its target."""
        return fourier(restored, target, mask, self.distance, self.of)


def _spectrum(images: Tensor) -> Tensor:
    """`(N, C, H, W)`, complex, in at least single precision; torch gives the modulus the slope 0 at 0."""
    return torch.fft.fft2(images.to(torch.promote_types(images.dtype, torch.float32)), norm="ortho")
