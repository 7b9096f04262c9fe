"""Decoded images in memory, up to a stated budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medrestore.data.catalogue import Item, LeftOut, Source
from medrestore.errors import MedrestoreError
from medrestore.imaging import WINDOWS, Image, Window, to_unit

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
        self._kept: dict[str, tuple[Image, Image | None, Tensor | None]] = {}

    def fill(self, items: Sequence[Item], progress: Progress) -> list[LeftOut]:
        """Decode every item once, keep what fits, and return those that cannot be read, with the reason."""
        bad: list[LeftOut] = []
        for item in progress(items):
            try:
                self.get(item)
            except MedrestoreError as error:
                bad.append(LeftOut(path=item.path, reason=str(error)))  # type: ignore[arg-type]
        return bad

    def get(self, item: Item) -> tuple[Image, Image | None, Tensor | None]:
        """The item's image, its degraded partner (real pairs only) and its mask `(1, H, W)` or None.

        Raises:
            MedrestoreError: the file cannot be read, or the two images of a real pair do not fit each other.
        """
        if item.key in self._kept:
            image, partner, mask = self._kept[item.key]
            return _expand(image), None if partner is None else _expand(partner), mask
        image = _with_channels(self.source.load(item), self.channels)
        partner = self.source.load_degraded(item)
        if partner is not None:
            partner = _with_channels(partner, self.channels)
            if partner.pixels.shape != image.pixels.shape:
                raise MedrestoreError(
                    f"{item.path}: the degraded partner measures {tuple(partner.pixels.shape[1:])}, "
                    f"the target {tuple(image.pixels.shape[1:])}; register the pair first"
                )
        mask = image.mask if image.mask is not None else self.source.load_mask(item)
        kept = (_compact(image), None if partner is None else _compact(partner), mask)
        size = sum(t.nbytes for t in (kept[0].pixels, kept[1].pixels if kept[1] else None, mask) if t is not None)
        if self.used + size <= self.budget:
            self._kept[item.key] = kept
            self.used += size
        return image, partner, mask


def window_of(image: Image, setting: str | Sequence[float]) -> Window | None:
    """The window that maps an image to [0, 1].

    Args:
        image: the image.
        setting: `auto` (photographs as they are, else the window the file suggests, else its 0.5 and 99.5
            percentiles), a name of `imaging.WINDOWS`, or `(centre, width)`.

    Raises:
        MedrestoreError: an unknown name, or an empty or inverted window.
    """
    if not isinstance(setting, str):
        return Window.from_centre(*setting)
    if setting != "auto":
        if setting not in WINDOWS:
            raise MedrestoreError(f"sampling.window={setting!r} is not known; there are: auto, {', '.join(WINDOWS)}")
        return WINDOWS[setting]
    if image.unit == "intensity" or image.window is not None:
        return image.window
    values = image.pixels[image.mask.expand_as(image.pixels)] if image.mask is not None else image.pixels.flatten()
    low, high = torch.quantile(values[:: max(1, values.numel() // 1_000_000)], torch.tensor([0.005, 0.995])).tolist()
    return Window(low, max(high, low + 1e-6), "percentiles")


def windowed(pixels: Tensor, image: Image, setting: str | Sequence[float]) -> Tensor:
    """Map physical values to [0, 1] with the window that `setting` gives for `image`."""
    return to_unit(pixels, window_of(image, setting))


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
