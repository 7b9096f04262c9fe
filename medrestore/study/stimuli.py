"""Pictures as they are shown: eight bits, never resized, losslessly compressed."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.uint8]  # (H, W) or (H, W, 3)
_BLOCK = 8  # pixels of the anchor's squares


def eight_bit(image: NDArray[np.float32]) -> Levels:
    """An image `(C, H, W)` in [0, 1], C 1 or 3, as whole levels; the window was applied before."""
    levels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1))


def central(levels: Levels, side: int | None) -> Levels:
    """The middle of an image, at most `side` pixels high and wide; None leaves it whole."""
    height, width = levels.shape[:2]
    if side is None:
        return levels
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return np.ascontiguousarray(levels[top : top + side, left : left + side])


def pixelated(levels: Levels) -> Levels:
    """The low anchor: means over squares of eight pixels, which nobody can find good."""
    height, width = levels.shape[:2]
    small = max(1, round(width / _BLOCK)), max(1, round(height / _BLOCK))
    coarse = Image.fromarray(levels).resize(small, Image.Resampling.BOX)
    return np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST))


def png(levels: Levels) -> bytes:
    """The levels as PNG without colour profile or gamma, so that no browser changes them."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()
