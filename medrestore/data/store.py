"""Decoded images in memory, up to a stated budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrestore.data.catalogue import Item, LeftOut, Source
from medrestore.data.regions import marked_region, part_boxes
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

_log = logging.getLogger(__name__)
Progress = Callable[[Iterable[Item]], Iterable[Item]]


class ImageStore:
    """Reads images through a source and keeps decoded ones in memory up to `budget` bytes.

    Photographs of 8 bits are kept as bytes. `fill` runs before loader processes start, so that they share its memory.

    Args:
        source: where images come from.
        channels: 1 or 3; grey is repeated, colour becomes its luma (ITU-R BT.601).
        budget: bytes of decoded pixels to keep.
        least: pixels that each side of an image must have, more than 1 where images are shrunk by a factor.

    Attributes:
        unreadable: keys of the images that `fill` could not decode.
    """

    def __init__(self, source: Source, channels: int, budget: int, least: int = 1) -> None:
        self.source = source
        self.channels = channels
        self.budget = budget
        self.least = least
        self.used = 0
        self.unreadable: set[str] = set()
        self._kept: dict[str, tuple[_Kept, _Kept | None]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._boxes: dict[str, Tensor] = {}

    def fill(self, items: Sequence[Item], progress: Progress) -> list[LeftOut]:
        """Decode every item once, keep what fits, and return those that cannot be read, with the reason."""
        bad: list[LeftOut] = []
        for item in progress(items):
            try:
                self.get(item)
            except MedrestoreError as error:
                bad.append(LeftOut.because(item.path, error))
                self.unreadable.add(item.key)
        return bad

    def load(self, item: Item) -> Image:
        """The item's image alone; see `get`."""
        return self.get(item)[0]

    def forget(self, keys: Iterable[str]) -> None:
        """Give the memory of some images back."""
        for key in keys:
            self.used -= _bytes(self._kept.pop(key, ()))

    def area(self, item: Item) -> int:
        """Pixels of an image, 1 when it cannot be read; remembered from its first decoding."""
        height, width = self.size(item)
        return height * width

    def size(self, item: Item) -> tuple[int, int]:
        """Height and width of an image, 1 and 1 when it cannot be read; remembered from its first decoding."""
        if item.key not in self._sizes:
            try:
                self.get(item)
            except MedrestoreError:
                return 1, 1
        return self._sizes[item.key]

    def region_boxes(self, item: Item) -> Tensor:
        """Boxes of what is marked in an image, int64 `(k, 4)`, see `regions`; none where it cannot be read."""
        if item.key not in self._boxes:
            try:
                self._boxes[item.key] = self._read_boxes(item)
            except MedrestoreError as error:
                _log.warning("%s: its marked region is not used: %s", item.path or item.key, error)
                self._boxes[item.key] = torch.zeros(0, 4, dtype=torch.int64)
        return self._boxes[item.key]

    def _read_boxes(self, item: Item) -> Tensor:
        known = {**self.source.annotations(item), "region": self.source.load_mask(item)}
        height, width = self.get(item)[0].pixels.shape[-2:]
        region = marked_region(known, height, width)
        return torch.zeros(0, 4, dtype=torch.int64) if region is None else part_boxes(region)

    def get(self, item: Item) -> tuple[Image, Image | None]:
        """The item's image and its degraded partner (real pairs only).

        Raises:
            MedrestoreError: the file cannot be read, it is too small, or the two images of a real pair do not fit each
                other.
        """
        if item.key in self._kept:
            image, partner = self._kept[item.key]
            return image.get(), None if partner is None else partner.get()
        image = _with_channels(self.source.load(item), self.channels)
        height, width = image.pixels.shape[1:]
        if min(height, width) < self.least:
            raise MedrestoreError(
                f"cannot read {image.source}: it has {width} x {height} pixels, fewer than the {self.least} a side "
                "that the factor needs; leave it out"
            )
        self._sizes[item.key] = height, width
        partner = self.source.load_degraded(item)
        if partner is not None:
            partner = _with_channels(partner, self.channels)
            if partner.pixels.shape != image.pixels.shape:
                raise MedrestoreError(
                    f"{item.path}: the degraded partner measures {tuple(partner.pixels.shape[1:])}, "
                    f"the target {tuple(image.pixels.shape[1:])}; register the pair first"
                )
            image = _valid_in_both(image, partner)
        kept = (_Kept.of(image), None if partner is None else _Kept.of(partner))
        size = _bytes(kept)
        if self.used + size <= self.budget:
            self._kept[item.key] = kept
            self.used += size
        return image, partner


def _bytes(kept: tuple[_Kept | None, ...]) -> int:
    return sum(part.nbytes for part in kept if part is not None)


def smaller_than(crop: int, store: ImageStore, items: Sequence[Item]) -> list[str]:
    """Say in a line how many images are smaller than a crop; no line where none is."""
    sizes = [store.size(item) for item in items]
    small = [size for size in sizes if min(size) < crop]
    if not small:
        return []
    height, width = min(small, key=min)
    fitting = max(8, min(height, width) // 8 * 8)
    return [
        f"{len(small)} of {len(sizes)} training images are smaller than a crop of {crop} pixels (the smallest "
        f"{width} x {height}) and are mirrored beyond their borders; type sampling.crop={fitting} to cut inside all"
    ]


def _valid_in_both(image: Image, partner: Image) -> Image:
    """The target, valid where both images of a real pair are: a field of view may end elsewhere in each."""
    if partner.mask is None:
        return image
    return replace(image, mask=partner.mask if image.mask is None else image.mask & partner.mask)


def _with_channels(image: Image, channels: int) -> Image:
    have = image.pixels.shape[0]
    if have == channels:
        return image
    if have == 1:
        return replace(image, pixels=image.pixels.expand(channels, -1, -1).contiguous())
    from kornia.color import rgb_to_grayscale  # seconds to import, and few runs need it

    return replace(image, pixels=rgb_to_grayscale(image.pixels))


@dataclass(frozen=True)
class _Kept:
    """A decoded image; one of 8 bits as bytes beside a record without pixels."""

    image: Image
    stored: Tensor | None
    mask: Tensor | None = None

    @classmethod
    def of(cls, image: Image) -> _Kept:
        if image.unit != "intensity" or image.metadata.get("bits") != 8:
            return cls(image, None)
        stored = (image.pixels * 255).round().to(torch.uint8)
        if not torch.equal(stored / 255, image.pixels):  # luma lies between the levels
            return cls(image, None)
        record = replace(image, pixels=image.pixels.new_empty(image.pixels.shape[0], 0, 0), mask=None)
        return cls(record, stored, image.mask)

    @property
    def nbytes(self) -> int:
        pixels = self.image.pixels if self.stored is None else self.stored
        return pixels.nbytes + (0 if self.mask is None else self.mask.nbytes)

    def get(self) -> Image:
        return self.image if self.stored is None else replace(self.image, pixels=self.stored / 255, mask=self.mask)
