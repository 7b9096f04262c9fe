"""Decoded images in memory, up to a stated budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from medrestore.data.catalogue import Item, LeftOut, Source
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

Progress = Callable[[Iterable[Item]], Iterable[Item]]


class ImageStore:
    """Reads images through a source and keeps decoded ones in memory up to `budget` bytes.

    Photographs of 8 bits are kept as bytes. `fill` runs before loader processes start, so that they share its memory.

    Args:
        source: where images come from.
        channels: 1 or 3; grey is repeated, colour is averaged to grey.
        budget: bytes of decoded pixels to keep.
    """

    def __init__(self, source: Source, channels: int, budget: int) -> None:
        self.source = source
        self.channels = channels
        self.budget = budget
        self.used = 0
        self._kept: dict[str, tuple[Image, Image | None]] = {}

    def fill(self, items: Sequence[Item], progress: Progress) -> list[LeftOut]:
        """Decode every item once, keep what fits, and return those that cannot be read, with the reason."""
        bad: list[LeftOut] = []
        for item in progress(items):
            try:
                self.get(item)
            except MedrestoreError as error:
                bad.append(LeftOut(path=item.path, reason=str(error)))  # type: ignore[arg-type]
        return bad

    def get(self, item: Item) -> tuple[Image, Image | None]:
        """The item's image and its degraded partner (real pairs only).

        Raises:
            MedrestoreError: the file cannot be read, or the two images of a real pair do not fit each other.
        """
        if item.key in self._kept:
            image, partner = self._kept[item.key]
            return _expand(image), None if partner is None else _expand(partner)
        image = _with_channels(self.source.load(item), self.channels)
        partner = self.source.load_degraded(item)
        if partner is not None:
            partner = _with_channels(partner, self.channels)
            if partner.pixels.shape != image.pixels.shape:
                raise MedrestoreError(
                    f"{item.path}: the degraded partner measures {tuple(partner.pixels.shape[1:])}, "
                    f"the target {tuple(image.pixels.shape[1:])}; register the pair first"
                )
        kept = (_compact(image), None if partner is None else _compact(partner))
        size = sum(part.pixels.nbytes for part in kept if part is not None)
        if self.used + size <= self.budget:
            self._kept[item.key] = kept
            self.used += size
        return image, partner


def _with_channels(image: Image, channels: int) -> Image:
    have = image.pixels.shape[0]
    if have == channels:
        return image
    pixels = image.pixels.expand(channels, -1, -1) if have == 1 else image.pixels.mean(0, keepdim=True)
    return replace(image, pixels=pixels.contiguous())


def _compact(image: Image) -> Image:
    if image.unit == "intensity" and image.metadata.get("bits") == 8:
        return replace(image, pixels=(image.pixels * 255).round().to(torch.uint8))
    return image


def _expand(image: Image) -> Image:
    return replace(image, pixels=image.pixels / 255) if image.pixels.dtype == torch.uint8 else image
