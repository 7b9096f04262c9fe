"""Restore images within a memory budget, and say how far tiles are from the whole image where they were needed."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate

from medrestore.inference.tiling import memory_for, restore_image, smallest_tile, tile_within

_LEVELS = 255


class TileDeviation(NamedTuple):
    """How far the tiles of an image are from the image restored whole.

    Attributes:
        height: of what was restored both ways, in pixels.
        width: the same.
        tile: side of its tiles in pixels.
        largest: absolute difference in 8-bit levels.
        mean: of the absolute differences.
    """

    height: int
    width: int
    tile: int
    largest: float
    mean: float


class WithinMemory:
    """Restores images, whole where the budget allows it and else in tiles, and remembers the first that needed them.

    Args:
        generator: see `restore_image`.
        memory_bytes: the budget of one image.
    """

    def __init__(self, generator: nn.Module, memory_bytes: int) -> None:
        self.generator = generator
        self.memory_bytes = memory_bytes
        self._tiled = self._tile = 0
        self._first: tuple[Tensor, str] | None = None

    def restore(self, image: Tensor, name: str) -> Tensor:
        """Restore `(C, H, W)` in [0, 1].

        Args:
            image: the image.
            name: of the image, for `tiles_said`.
        """
        restored = restore_image(self.generator, image, memory_bytes=self.memory_bytes)
        tile = tile_within(self.generator, image, self.memory_bytes)
        if tile is not None:
            self._tiled += 1
            self._tile = max(self._tile, tile)
            self._first = self._first or (image, name)
        return restored

    def tiles_said(self, budget: str) -> str | None:
        """How many images were restored in tiles and what that changed, in a sentence; None where none was.

        The first of them is restored both ways for it, as far as the budget goes, see `tile_deviation`.

        Args:
            budget: the key that sets it, such as `memory_gb`.
        """
        if self._first is None:
            return None
        image, name = self._first
        found = tile_deviation(self.generator, image, self.memory_bytes)
        text = f"{self._tiled} images were too large for {budget} and restored in tiles of at most {self._tile} pixels"
        measured = f"{found.height} x {found.width} pixels of {name}"
        context: int | None = self.generator.context  # type: ignore[assignment]
        if context is not None:
            return (
                f"{text}: exact, for a pixel hangs on no more than {context} pixels around it (measured on {measured}: "
                f"at most {found.largest:.2g} of 255 levels from the whole)"
            )
        enough = memory_for(self.generator, image) / 2**30
        return (
            f"{text}: this generator takes means or attention over all it sees, so tiles differ from the whole image, "
            f"by up to {found.largest:.1f} of 255 levels, {found.mean:.2f} on average (measured on {name} shrunk to "
            f"{found.height} x {found.width} pixels, its tiles to {found.tile}; at full size it may be more); type "
            f"{budget}={math.ceil(enough)} to restore it whole"
        )


def tile_deviation(generator: nn.Module, image: Tensor, memory_bytes: int) -> TileDeviation:
    """Restore as much of an image as fits whole, once whole and once in tiles.

    With a finite `context` that is the middle of the image, two tiles of the smallest size across. Without one it is
    all of the image, shrunk to what the budget takes, in as many tiles as the image has at its own size: what differs
    are the statistics of each tile, and a part of the image would not have those of the whole.

    Args:
        generator: see `restore_image`.
        image: `(C, H, W)` in [0, 1], too large for the budget.
        memory_bytes: the budget.
    """
    height, width = image.shape[-2:]
    tile, least = tile_within(generator, image, memory_bytes) or max(height, width), smallest_tile(generator)
    if generator.context is not None:
        top, left = max(0, (height - 2 * least) // 2), max(0, (width - 2 * least) // 2)
        seen, tile = image[:, top : top + 2 * least, left : left + 2 * least], least
    else:
        shrink = min(1.0, max(tile, least) / math.sqrt(height * width))
        size = [max(1, int(shrink * side)) for side in (height, width)]
        seen, tile = interpolate(image[None], size=size, mode="area")[0], max(least, int(shrink * tile))
    whole, tiled = restore_image(generator, seen), restore_image(generator, seen, tile=tile)
    difference = _LEVELS * (whole.clamp(0, 1) - tiled.clamp(0, 1)).abs()
    return TileDeviation(
        seen.shape[-2], seen.shape[-1], tile, float(difference.max()), float(difference.double().mean())
    )
