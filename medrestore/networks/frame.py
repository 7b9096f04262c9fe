"""What stands around every generator: check and padding of its input, what its residual is added to, its range."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.errors import MedrestoreError


def require_images(network: str, images: Tensor, channels: int) -> None:
    """Refuse anything but `(N, channels, H, W)`.

    Args:
        network: its name, for the message.
        images: what the network was given.
        channels: what it takes.

    Raises:
        ValueError: another shape.
    """
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"{network} takes (N, {channels}, H, W), got {tuple(images.shape)}")


def pad_to_multiple(images: Tensor, multiple: int, least: int = 1) -> Tensor:
    """Continue images by reflection to the right and below until H and W are multiples of `multiple`.

    Any size works: one pixel is repeated, and what is shorter than the padding is reflected again and again.

    Args:
        images: `(N, C, H, W)`.
        multiple: of the stride of a network.
        least: the smallest H and W to return.

    Returns:
        `(N, C, H', W')` with the input in its upper left corner; the input itself where nothing is missing.
    """
    height, width = images.shape[-2:]
    rows = _padded(height, multiple, least)
    columns = _padded(width, multiple, least)
    if rows != height:
        images = images.index_select(-2, _reflected(height, rows, images.device))
    if columns != width:
        images = images.index_select(-1, _reflected(width, columns, images.device))
    return images


def upsampled(images: Tensor, scale: int) -> Tensor:
    """Enlarge `(N, C, H, W)` by bicubic interpolation (a = -0.5, as MATLAB and Pillow); scale 1 returns the input."""
    if scale == 1:
        return images
    size = [scale * side for side in images.shape[-2:]]
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


def enlargements(network: str, scale: int) -> tuple[int, ...]:
    """The steps in which a network enlarges: 2 and 3 at once, 4 and 8 in steps of 2.

    Args:
        network: its name, for the message.
        scale: output size / input size.

    Raises:
        MedrestoreError: another scale.
    """
    steps = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise MedrestoreError(
            f"{network} enlarges by 2, 3, 4 or 8, found scale={scale}; type degradation.operator.scale=4"
        )
    return steps[scale]


def clamp_unit(images: Tensor) -> Tensor:
    """Clamp to [0, 1] without cutting off the gradient that leads back inside.

    An ordinary clamp has no gradient outside the range, so an overshoot would never be corrected; a gradient that
    leads further out is dropped, so that nothing drifts away unseen.

    Args:
        images: any shape.
    """
    return _ClampUnit.apply(images)  # type: ignore[return-value]


class _ClampUnit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        return images.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (images,) = ctx.saved_tensors
        # descent moves against the gradient: above 1 a negative one leads out, below 0 a positive one
        outward = ((images > 1) & (gradient < 0)) | ((images < 0) & (gradient > 0))
        return gradient.masked_fill(outward, 0.0)


def _padded(size: int, multiple: int, least: int) -> int:
    return -(-max(size, least) // multiple) * multiple


def _reflected(size: int, padded: int, device: torch.device) -> Tensor:
    """Source index of each of `padded` positions when `size` of them are mirrored at the ends."""
    period = max(1, 2 * (size - 1))
    position = torch.arange(padded, device=device) % period
    return torch.minimum(position, period - position)
