"""Crops of sharp images and of their maps of classes: what segmenters are trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from medrestore.data.catalogue import Item
from medrestore.data.crops import CropSettings
from medrestore.data.labelled import LabelledSettings, Mapped, unit_image
from medrestore.data.placing import draw_turn, turned, unevenly_lit
from medrestore.data.seeding import generator_of
from medrestore.data.store import ImageStore
from medrestore.data.street_classes import IGNORE
from medrestore.errors import MedrestoreError

_MOST_CROPS = 16  # an epoch shows of the largest image
_log = logging.getLogger(__name__)


class LabelledCrops(Dataset[Mapped]):
    """Square crops of images and of their maps of classes; whole images without training.

    Indexed as `LabelledImages`. A crop is clamped to an image that is smaller.

    Args:
        store: where images come from; decoded maps share its budget of memory.
        items: of one part of the split; sharp ones are used.
        settings: side of the crop, how often an epoch shows an image, flips, window and seeds.
        labelled: light.
        training: whether crops are cut and flipped.

    Raises:
        MedrestoreError: the images have no map of classes.
    """

    def __init__(
        self,
        store: ImageStore,
        items: Sequence[Item],
        settings: CropSettings,
        labelled: LabelledSettings,
        training: bool = True,
    ) -> None:
        self.store, self.settings, self.labelled, self.training = store, settings, labelled, training
        sharp = [item for item in items if item.role == "target"]
        self.items = [item for item in sharp if item.path is None or item.labels is not None]  # generated, or a file
        self._kept: dict[str, Tensor] = {}
        if not self.items or "labels" not in store.source.annotations(self.items[0]):
            raise MedrestoreError(
                f"of {len(sharp)} sharp images of {store.source.name} none has a map of classes, which a segmenter "
                "learns from; type dataset=street_phantom, or dataset=street dataset.root=DIR"
            )
        self._shown = list(range(len(self.items)))
        if training:
            turns = range(_MOST_CROPS)
            self._shown = [i for turn in turns for i, item in enumerate(self.items) if turn < self._count(item)]

    def _count(self, item: Item) -> int:
        if self.settings.crops_per_image == "auto":
            return min(_MOST_CROPS, -(-self.store.area(item) // self.settings.crop**2))
        return self.settings.crops_per_image

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, where: tuple[int, int] | int) -> Mapped:
        epoch, index = (0, where) if isinstance(where, int) else where
        for step in range(len(self.items)):
            position = (self._shown[index] + step) % len(self.items)
            try:
                image, classes = self._draw(self.items[position], epoch, index)
            except MedrestoreError as error:
                _log.warning("left out in this epoch: %s", error)
                continue
            return Mapped(image[None], classes[None].long(), torch.tensor([position]))
        raise MedrestoreError(f"none of the {len(self.items)} labelled images can be read")

    def _draw(self, item: Item, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        image, classes = unit_image(self.store, item, self.settings), self._classes(item)
        if image.shape[-2:] != classes.shape:
            raise MedrestoreError(
                f"{item.path or item.key}: its map of classes measures {tuple(classes.shape)}, "
                f"the image {tuple(image.shape[-2:])}"
            )
        if not self.training:
            return image, classes
        random = generator_of(self.settings.seed, "labelled", epoch, index)
        height, width = (min(self.settings.crop, size) for size in classes.shape)
        top = int(torch.randint(classes.shape[0] - height + 1, (), generator=random))
        left = int(torch.randint(classes.shape[1] - width + 1, (), generator=random))
        turn = draw_turn(self.settings.flips, random)
        image, classes = (part[..., top : top + height, left : left + width] for part in (image, classes))
        image, classes = turned(image, turn).contiguous(), turned(classes, turn).contiguous()
        return unevenly_lit(image, self.labelled.light, random) if self.labelled.light else image, classes

    def _classes(self, item: Item) -> Tensor:
        """The map `(H, W)`, as bytes."""
        if item.key in self._kept:
            return self._kept[item.key]
        found = self.store.source.annotations(item).get("labels")
        if not isinstance(found, Tensor):
            raise MedrestoreError(f"{item.path or item.key} has no map of classes")
        classes = found.reshape(found.shape[-2:])
        if classes.min() < 0 or classes.max() > IGNORE:
            raise MedrestoreError(f"{item.path or item.key}: classes reach from {classes.min()} to {classes.max()}")
        classes = classes.to(torch.uint8)
        if self.store.used + classes.nbytes <= self.store.budget:
            self.store.used += classes.nbytes
            self._kept[item.key] = classes
        return classes
