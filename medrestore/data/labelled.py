"""Sharp images with what people said about them: what judges are trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from medrestore.data.catalogue import Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.labelled_samples import Boxed, LabelledSettings, Mapped, collate_labelled
from medrestore.data.patches import INSIDE, OUTSIDE, patch_places
from medrestore.data.placing import draw_turn, to_side, turned, turned_boxes, unevenly_lit
from medrestore.data.seeding import generator_of
from medrestore.data.store import ImageStore
from medrestore.data.street_classes import IGNORE
from medrestore.data.vessel_truth import at_working_size, reference_of
from medrestore.errors import MedrestoreError
from medrestore.imaging import to_unit, window_of

__all__ = ["Boxed", "LabelledCrops", "LabelledImages", "LabelledSettings", "Mapped", "collate_labelled"]

_MOST_CROPS = 16  # an epoch shows of the largest image
_LACKING = {
    "labels": "a map of classes, which a segmenter learns from; type dataset=street_phantom, or dataset=street "
    "dataset.root=DIR",
    "vessels": "a map of its vessels, which a segmenter of vessels learns from; type dataset=fundus_phantom, or "
    "dataset=fundus dataset.root=DIR with a collection that has them (DRIVE, CHASE_DB1, HRF)",
}
_log = logging.getLogger(__name__)


class LabelledImages(Dataset[Boxed]):
    """Whole images, or patches inside and outside a mask, with boxes and label.

    Indexed by `(epoch, index)`, a pure function of them and the seed; without training, each image or patch as it is,
    indexed by a number alone.

    Args:
        store: where images come from.
        items: of one part of the split; sharp ones with a label are used, or with a mask for patches.
        settings: flips, window and seeds; `crops_per_image` is how often an epoch shows each image (`auto`: once).
        labelled: size and patches.
        training: whether images are flipped and patches drawn anew.

    Raises:
        MedrestoreError: no image has what is needed.
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
        if labelled.patches == "none":
            self.items = [item for item in sharp if item.label]
            self._shown: list[tuple[int, str]] = [(position, "") for position in range(len(self.items))]
            lacking = "a label; a detector of abnormal tissue needs images labelled normal and abnormal"
        else:
            self.items = [item for item in sharp if item.mask is not None]
            self._shown = [(position, kind) for position in range(len(self.items)) for kind in (INSIDE, OUTSIDE)]
            lacking = "a mask; type model.patches=none, or name a data set with lesion masks"
        if not self.items:
            raise MedrestoreError(f"of {len(sharp)} sharp images of {store.source.name} none has {lacking}")
        if training and settings.crops_per_image != "auto":
            self._shown = self._shown * settings.crops_per_image

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, where: tuple[int, int] | int) -> Boxed:
        epoch, index = (0, where) if isinstance(where, int) else where
        start, kind = self._shown[index]
        for step in range(len(self.items)):  # an epoch never stops at a bad file
            position = (start + step) % len(self.items)
            item = self.items[position]
            try:
                drawn = self._draw(item, kind, epoch, index)
            except MedrestoreError as error:
                _log.warning("left out in this epoch: %s", error)
                continue
            if drawn is not None:
                return Boxed(*([part] for part in drawn), torch.tensor([position]))  # type: ignore[arg-type]
        raise MedrestoreError(f"none of the {len(self.items)} labelled images can be used")

    def _draw(self, item: Item, kind: str, epoch: int, index: int) -> tuple[Tensor, Tensor, str] | None:
        """Image, boxes and label; None where the mask leaves no room for a patch."""
        settings = self.settings
        random = generator_of(settings.seed, "labelled", epoch, index)
        image = _unit_image(self.store, item, settings)
        known = self.store.source.annotations(item)
        label, boxes = str(known.get("label", "")), torch.as_tensor(known.get("boxes", torch.zeros(0, 4))).float()
        if kind:
            region = self.store.source.load_mask(item)
            places = random if self.training else generator_of(settings.data_seed, "patches", item.key)
            found = patch_places(region, places) if region is not None else []
            place = next((place for place in found if place.label == kind), None)
            if place is None:
                return None
            image, boxes, label = place.cut(image), torch.zeros(0, 4), kind
        image, boxes = to_side(image, boxes, self.labelled.side)
        if self.training:
            turn = draw_turn(settings.flips, random)
            image = turned(image, turn)
            boxes = turned_boxes(boxes, turn, *image.shape[-2:])
            image = unevenly_lit(image, self.labelled.light, random) if self.labelled.light else image
        return image.contiguous(), boxes, label


class LabelledCrops(Dataset[Mapped]):
    """Square crops of images and of their maps of classes; whole images without training.

    Indexed as `LabelledImages`. A crop is clamped to an image that is smaller.

    Args:
        store: where images come from; decoded maps share its budget of memory.
        items: of one part of the split; sharp ones are used, of vessels those with a map.
        settings: side of the crop, how often an epoch shows an image, flips, window and seeds.
        labelled: light, and which maps.
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
        if labelled.maps == "vessels":  # few of many photographs have a map, and only the source knows which
            self.items = [item for item in sharp if self._has_vessels(item)]
        else:  # generated, or a file
            self.items = [item for item in sharp if item.path is None or item.labels is not None]
        self._kept: dict[str, Tensor] = {}
        if not self.items or labelled.maps not in store.source.annotations(self.items[0]):
            raise MedrestoreError(
                f"of {len(sharp)} sharp images of {store.source.name} none has {_LACKING[labelled.maps]}"
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
        image, classes = self._vessels(item) if self.labelled.maps == "vessels" else self._scene(item)
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

    def _has_vessels(self, item: Item) -> bool:
        try:
            return isinstance(self.store.source.annotations(item).get("vessels"), Tensor)
        except MedrestoreError as error:
            _log.warning("left out: %s", error)
            return False

    def _scene(self, item: Item) -> tuple[Tensor, Tensor]:
        return _unit_image(self.store, item, self.settings), self._classes(item)

    def _vessels(self, item: Item) -> tuple[Tensor, Tensor]:
        """A fundus photograph at its working size, with 1 at vessels and 255 outside the field of view."""
        record, _ = self.store.get(item)
        image, mask = to_unit(record.pixels, window_of(record, self.settings.window)), record.mask
        if item.key not in self._kept:
            size = (image.shape[-2], image.shape[-1])
            vessels = reference_of(self.store.source.annotations(item), size, str(item.path or item.key))
            if vessels is None:
                raise MedrestoreError(f"{item.path or item.key} has no map of vessels")
            self._keep(item, vessels)
            fundus = at_working_size(image, mask, vessels)
        else:
            fundus = at_working_size(image, mask, self._kept[item.key])
        return fundus.image, fundus.classes

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
        return self._keep(item, classes.to(torch.uint8))

    def _keep(self, item: Item, found: Tensor) -> Tensor:
        if self.store.used + found.nbytes <= self.store.budget:
            self.store.used += found.nbytes
            self._kept[item.key] = found
        return found


def _unit_image(store: ImageStore, item: Item, settings: CropSettings) -> Tensor:
    """The sharp image of an item, `(C, H, W)` in [0, 1]."""
    image, _ = store.get(item)
    return to_unit(image.pixels, window_of(image, settings.window))
