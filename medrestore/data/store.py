"""Decoded images in memory, up to a stated budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrestore.data.catalogue import Item, LeftOut, Source
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

Progress = Callable[[Iterable[Item]], Iterable[Item]]


class ImageStore:
    """Reads images through a source and keeps decoded ones in memory up to `budget` bytes.

    Photographs of 8 bits are kept as bytes. `fill` runs before loader processes start, so that they share its memory.

    Args:
        source: where images come from.
        channels: 1 or 3; grey is repeated, colour becomes its luma (ITU-R BT.601).
        budget: bytes of decoded pixels to keep.

    Attributes:
        unreadable: keys of the images that `fill` could not decode.
    """

    def __init__(self, source: Source, channels: int, budget: int) -> None:
        self.source = source
        self.channels = channels
        self.budget = budget
        self.used = 0
        self.unreadable: set[str] = set()
        self._kept: dict[str, tuple[_Kept, _Kept | None]] = {}
        self._areas: dict[str, int] = {}

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
        if item.key not in self._areas:
            try:
                self.get(item)
            except MedrestoreError:
                return 1
        return self._areas[item.key]

    def get(self, item: Item) -> tuple[Image, Image | None]:
        """The item's image and its degraded partner (real pairs only).

        Raises:
            MedrestoreError: the file cannot be read, or the two images of a real pair do not fit each other.
        """
        if item.key in self._kept:
            image, partner = self._kept[item.key]
            return image.get(), None if partner is None else partner.get()
        image = _with_channels(self.source.load(item), self.channels)
        self._areas[item.key] = image.pixels[0].numel()
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
