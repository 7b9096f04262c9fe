"""Training samples: crops drawn, degraded and windowed in the one right order.

Draw the box, cut it with a margin at native size, degrade physical values, trim the margin, map the window to [0, 1],
resize where the scale crop asks, flip the pair. Blur before a crop's border is known, or after the window or an x0.5
resize, would be another blur.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from medrestore.data.catalogue import Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.cutting import cut, cut_shrunk, draw_offset
from medrestore.data.samples import Pair, Unpaired
from medrestore.data.scale_crop import resized, resized_mask
from medrestore.data.seeding import generator_of, seed_of
from medrestore.data.store import ImageStore
from medrestore.degradations import Degradation, Frame, Identity
from medrestore.errors import MedrestoreError
from medrestore.imaging import to_unit, window_of

T = TypeVar("T")
_Part = tuple[tuple[int, int], tuple[int, int]] | tuple[None, None]
_MOST_CROPS = 64  # an epoch shows of the largest image
_log = logging.getLogger(__name__)


class _Cropper:
    """Draws one degraded and target crop of an item; a pure function of (seed, epoch, index)."""

    def __init__(self, store: ImageStore, degradation: Degradation, settings: CropSettings) -> None:
        if settings.scale_crop is not None and degradation.scale > 1:
            raise MedrestoreError(
                f"the scale crop resizes pairs of equal size, found a degradation that shrinks by {degradation.scale}; "
                "type sampling.scale_crop=null"
            )
        self.store = store
        self.degradation = degradation
        self.settings = settings
        self._flip = _flips(settings.flips) if settings.flips else None

    def draw(self, item: Item, *draw: int | str) -> tuple[Tensor, Tensor, Tensor]:
        """Degraded `(C, h, w)`, target `(C, H, W)` and mask `(1, H, W)` of one random crop."""
        image, partner = self.store.get(item)
        settings, operator = self.settings, self.degradation
        random = generator_of(settings.seed, *draw)
        parameters = operator.sample(generator_of(settings.data_seed, "fixed", item.key) if settings.fixed else random)
        factor = self._draw_factor(random) if partner is None and item.role == "target" else 1.0
        height, width = (round(size / factor) for size in image.pixels.shape[1:])
        side = settings.crop if settings.scale_crop is None else settings.scale_crop.draw_side(height, width, random)
        rows, columns = self._draw_part(item, factor, random)
        top = draw_offset(height, side, random, rows)
        left = draw_offset(width, side, random, columns)
        if partner is None:
            margin = operator.margin if parameters.margin is None else parameters.margin
            margin = -(-margin // operator.scale) * operator.scale  # the grid of the shrunk image must not move
            patch = cut_shrunk(image.pixels, top - margin, left - margin, side + 2 * margin, factor)
            target = patch[:, margin : margin + side, margin : margin + side]
            degraded = operator.apply(
                patch, replace(parameters, frame=Frame(height, width, top - margin, left - margin))
            )
            trim, small = margin // operator.scale, side // operator.scale
            degraded = degraded[:, trim : trim + small, trim : trim + small]
        else:
            target, degraded = cut(image.pixels, top, left, side), cut(partner.pixels, top, left, side)
        valid = torch.ones(1, side, side)
        if image.mask is not None:
            valid = cut_shrunk(image.mask, top, left, side, factor).ge(0.999).float()
        window = window_of(image, settings.window)
        degraded, target = to_unit(degraded, window), to_unit(target, window)
        if side != settings.crop:
            degraded, target = resized(degraded, settings.crop), resized(target, settings.crop)
            valid = resized_mask(valid, settings.crop)
        return self._flipped(degraded, target, valid, seed_of(settings.seed, *draw, "flip"))

    def _draw_factor(self, random: torch.Generator) -> float:
        """Log-uniform from 1 to `shrink`."""
        if self.settings.shrink == 1:
            return 1.0
        return math.exp(float(torch.rand((), generator=random, dtype=torch.float64)) * math.log(self.settings.shrink))

    def _draw_part(self, item: Item, factor: float, random: torch.Generator) -> _Part:
        """Rows and columns of a marked part of the image `factor` times smaller, None for a crop from anywhere."""
        if self.settings.focus is None or float(torch.rand((), generator=random)) >= self.settings.focus_share:
            return None, None
        boxes = self.store.region_boxes(item)
        x0, y0, x1, y1 = (boxes[int(torch.randint(len(boxes), (), generator=random))] / factor).round().int().tolist()
        return (y0, y1), (x0, x1)

    def _flipped(self, degraded: Tensor, target: Tensor, mask: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        if self._flip is None:
            return degraded, target, mask
        self._flip.set_random_seed(seed % 2**32)
        out = self._flip(image=_channels_last(degraded), target=_channels_last(target), valid=_channels_last(mask))
        return _channels_first(out["image"]), _channels_first(out["target"]), _channels_first(out["valid"])


class PairedCrops(Dataset[Pair]):
    """Degraded and target crops of the same image; indexed by `(epoch, index)`.

    Attributes:
        items: the target images.
        positions: which of them each index shows.
    """

    def __init__(
        self, store: ImageStore, items: Sequence[Item], degradation: Degradation, settings: CropSettings
    ) -> None:
        self.items = [item for item in items if item.role == "target"]
        if settings.focus is not None:
            self.items = _marked(store, self.items)
        self.positions = _positions(store, self.items, settings)
        self._cropper = _Cropper(store, degradation, settings)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, where: tuple[int, int]) -> Pair:
        epoch, index = where
        start = self.positions[index]
        position, drawn = _readable(self.items, start, lambda item: self._cropper.draw(item, "train", epoch, index))
        return Pair(*drawn, torch.tensor(position))


class UnpairedCrops(Dataset[Unpaired]):
    """Crops of degraded and of sharp images that do not belong together; indexed by `(epoch, index)`.

    Degraded on purpose is a share of the sources (`synthetic_sources`), or all of them where the collection has no
    images degraded by nature. They are made of the first half of the groups of sharp images, and the other half serves
    as the reference, so that no source ever meets its own truth.

    Attributes:
        sources: the images degraded by nature.
        made: the sharp images to degrade.
        targets: the sharp images.
        positions: which of the sources (of `made` where there are none) each index shows.
    """

    def __init__(
        self, store: ImageStore, items: Sequence[Item], degradation: Degradation, settings: CropSettings
    ) -> None:
        if settings.focus is not None:
            raise MedrestoreError("sampling.focus needs pairs, this scheme is unpaired; type sampling.focus=null")
        self.sources = [item for item in items if item.role == "source"]
        self.targets = [item for item in items if item.role == "target"]
        self.made: list[Item] = []
        self._share = settings.synthetic_sources if self.sources else 1.0
        if self._share:
            groups = sorted({item.group for item in self.targets}, key=lambda group: seed_of(settings.data_seed, group))
            first = set(groups[: len(groups) // 2])
            self.made = [item for item in self.targets if item.group in first]
            self.targets = [item for item in self.targets if item.group not in first]
        if not self.targets or not (self.sources or self.made):
            raise MedrestoreError(
                f"unpaired training needs two domains, found {len(self.sources)} degraded and {len(self.targets)} "
                "sharp images; name their roles with dataset.source_roles and dataset.target_roles"
            )
        self._seed = settings.seed
        shown = self.sources or self.made
        larger = max(shown, self.targets, key=len)
        self.positions = [index % len(shown) for index in range(len(_positions(store, larger, settings)))]
        self._source = _Cropper(store, Identity(), settings)
        self._made = _Cropper(store, degradation, settings)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, where: tuple[int, int]) -> Unpaired:
        epoch, index = where
        random = generator_of(self._seed, "pick", *where)
        pick = int(torch.randint(len(self.targets), (), generator=random))
        if self._share and float(torch.rand((), generator=random)) < self._share:
            images, cropper, start = self.made, self._made, self.positions[index] % len(self.made)
        else:
            images, cropper, start = self.sources, self._source, self.positions[index]
        position, (source, _, source_mask) = _readable(
            images, start, lambda item: cropper.draw(item, "source", epoch, index)
        )
        _, (_, reference, reference_mask) = _readable(
            self.targets, pick, lambda item: self._source.draw(item, "reference", epoch, index)
        )
        return Unpaired(source, reference, source_mask, reference_mask, torch.tensor(position))


def _marked(store: ImageStore, items: Sequence[Item]) -> list[Item]:
    """The images in which something is marked."""
    marked = [item for item in items if len(store.region_boxes(item))]
    if not marked:
        raise MedrestoreError(
            f"sampling.focus=region: in none of the {len(items)} training images of {store.source.name} a region is "
            "marked; type sampling.focus=null, or a data set with masks or boxes of lesions"
        )
    return marked


def _positions(store: ImageStore, items: Sequence[Item], settings: CropSettings) -> list[int]:
    """Which image each index of an epoch shows."""
    if settings.crops_per_image == "auto":
        counts = [min(_MOST_CROPS, -(-store.area(item) // settings.crop**2)) for item in items]
    else:
        counts = [settings.crops_per_image] * len(items)
    turns = range(max(counts, default=0))
    return [position for turn in turns for position, count in enumerate(counts) if turn < count]


def _readable(items: Sequence[Item], index: int, draw: Callable[[Item], T]) -> tuple[int, T]:
    """Draw from the item at `index`, or from the next one that can be read: an epoch never stops at a bad file."""
    for step in range(len(items)):
        position = (index + step) % len(items)
        try:
            return position, draw(items[position])
        except MedrestoreError as error:
            _log.warning("left out in this epoch: %s", error)
    raise MedrestoreError(f"none of the {len(items)} training images can be read")


def _flips(flips: bool | str) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its newest version otherwise
    import albumentations

    # One transform: seeding gives every transform of a Compose the same numbers, so that separate flips would agree.
    return albumentations.Compose(
        [albumentations.HorizontalFlip(p=0.5) if flips == "horizontal" else albumentations.SquareSymmetry(p=1.0)],
        additional_targets={"target": "image", "valid": "image"},
        is_check_shapes=False,  # the target of a super-resolution pair is larger
    )


def _channels_last(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _channels_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)))
