"""Photographs of one eye before and after an operation: the later one laid over the earlier one."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from medrestore.imaging import Image
from medrestore.imaging.alignment import Alignment
from medrestore.imaging.registration import register


def aligned(before: Image, after: Image) -> Alignment:
    """Find how the photograph after an operation lies over the one before it.

    Args:
        before: With its field of view as mask.
        after: The same.

    Raises:
        MedrestoreError: The two cannot be registered.
    """
    return register(before.pixels, after.pixels, _field(before), _field(after))


def laid_over(before: Image, after: Image, alignment: Alignment) -> Image:
    """Warp the photograph after an operation into the frame of the one before it, which stays untouched.

    Returns:
        The image, with the overlap of both fields of view as mask and, in its metadata, `registration_down`,
        `registration_right` (pixels), `registration_angle` (degrees), `registration_scale`,
        `registration_correlation_before`, `registration_correlation` and `registration_overlap`.
    """
    height, width = before.pixels.shape[-2:]
    numbers = {
        "down": alignment.shift[0],
        "right": alignment.shift[1],
        "angle": alignment.angle,
        "scale": alignment.scale,
        "correlation_before": alignment.correlation_before,
        "correlation": alignment.correlation,
        "overlap": alignment.overlap,
    }
    return replace(
        after,
        pixels=alignment.warp(after.pixels, height, width),
        spacing=before.spacing,
        mask=_field(before) & alignment.warp(_field(after), height, width),
        metadata={**after.metadata, **{f"registration_{name}": value for name, value in numbers.items()}},
    )


def _field(image: Image) -> Tensor:
    if image.mask is None:
        raise ValueError("a photograph to be registered has its field of view as mask")
    return image.mask
