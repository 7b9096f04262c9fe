"""What every metric asks of its images."""

from __future__ import annotations

import torch
from torch import Tensor

_TOLERANCE = 1e-4  # outside [0, 1]; rounding of a float32 pipeline stays far below


def check_pair(preds: Tensor, target: Tensor) -> None:
    """Refuse images that cannot be compared.

    Raises:
        ValueError: not `(N, C, H, W)`, shapes that differ, nothing in them, or values outside [0, 1] (beyond 1e-4).
    """
    if preds.ndim != 4 or preds.shape != target.shape or preds.numel() == 0:
        raise ValueError(
            f"preds and target are both (N, C, H, W) of one size, found {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    for name, image in (("preds", preds), ("target", target)):
        low, high = float(image.min()), float(image.max())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # written so that NaN is refused too
            raise ValueError(f"{name} must be in [0, 1], found min={low:.4g}, max={high:.4g}")


def check_mask(mask: Tensor, preds: Tensor) -> None:
    """Refuse a mask that is not bool `(N, 1, H, W)` of the images' size.

    Raises:
        ValueError: another type or shape.
    """
    expected = (preds.shape[0], 1, *preds.shape[2:])
    if mask.dtype != torch.bool or tuple(mask.shape) != expected:
        raise ValueError(f"mask must be bool {expected}, found {mask.dtype} {tuple(mask.shape)}")


def mask_for(mask: Tensor, preds: Tensor) -> Tensor:
    """The mask of each image, bool `(N, 1, H, W)`; one `(1, 1, H, W)` serves all of them.

    Raises:
        ValueError: another type or shape.
    """
    if mask.ndim == 4 and len(mask) == 1:
        mask = mask.expand(len(preds), -1, -1, -1)
    check_mask(mask, preds)
    return mask


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `(N, C, H, W)` over channels and valid pixels, `(N,)`; NaN where no pixel is valid."""
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    count = mask.sum(dim=(1, 2, 3))
    return (values.mean(dim=1, keepdim=True) * mask).sum(dim=(1, 2, 3)) / count
