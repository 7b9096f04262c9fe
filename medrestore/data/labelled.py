"""Sharp images with what people said about them: what judges are trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import Dataset

from medrestore.data.catalogue import Item
from medrestore.data.crops import CropSettings
from medrestore.data.patches import INSIDE, OUTSIDE, patch_places
from medrestore.data.placing import draw_turn, to_side, turned, turned_boxes, unevenly_lit
from medrestore.data.seeding import generator_of
from medrestore.data.store import ImageStore
from medrestore.data.street_classes import IGNORE
from medrestore.errors import MedrestoreError
from medrestore.imaging import to_unit, window_of

_log = logging.getLogger(__name__)


class Boxed(NamedTuple):
    """A batch of images of any size with boxes; a sample is a batch of one.

    Attributes:
        images: `(C, h, w)` in [0, 1] each.
        boxes: `(k, 4)` each: x0, y0, x1, y1 in pixels; k = 0 where there are none, or none are known.
        labels: the collection's own word for each image, or `inside` and `outside` for patches.
        key: `(N,)` position of each sample's image in its part of the split.
    """

    images: list[Tensor]
    boxes: list[Tensor]
    labels: list[str]
    key: Tensor


class Mapped(NamedTuple):
    """A batch of images with the class of every pixel; a sample is a batch of one.

    Attributes:
        images: `(N, C, h, w)` in [0, 1].
        classes: `(N, h, w)` int64, 255 where a pixel counts for nothing.
        key: `(N,)` position of each sample's image in its part of the split.
    """

    images: Tensor
    classes: Tensor
    key: Tensor


@dataclass(frozen=True)
class LabelledSettings:
    """How a judge wants its images.

    Attributes:
        side: images are scaled so that the shorter side has this many pixels; None leaves them as they are.
        patches: `inside_outside` cuts two patches of each image by its lesion mask; `none` takes whole images.
        light: how unevenly training images are lit, see `unevenly_lit`; 0 for not.
    """

    side: int | None = None
    patches: Literal["none", "inside_outside"] = "none"
    light: float = 0.0


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
        image = unit_image(self.store, item, settings)
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


def collate_labelled(samples: Sequence[Boxed] | Sequence[Mapped]) -> Boxed | Mapped:
    """Put samples into one batch; maps and images of several sizes are padded, with pixels that count for nothing."""
    if isinstance(samples[0], Boxed):
        images, boxes, labels, keys = zip(*samples, strict=True)
        flat = [[one for part in parts for one in part] for parts in (images, boxes, labels)]
        return Boxed(flat[0], flat[1], flat[2], torch.cat(keys))
    images, classes, keys = zip(*samples, strict=True)
    height, width = (max(part.shape[axis] for part in classes) for axis in (-2, -1))
    return Mapped(
        torch.cat([_padded(part, height, width, 0.0) for part in images]),
        torch.cat([_padded(part, height, width, IGNORE) for part in classes]),
        torch.cat(keys),
    )


def unit_image(store: ImageStore, item: Item, settings: CropSettings) -> Tensor:
    """The sharp image of an item, `(C, H, W)` in [0, 1]."""
    image, _ = store.get(item)
    return to_unit(image.pixels, window_of(image, settings.window))


def _padded(part: Tensor, height: int, width: int, value: float) -> Tensor:
    return pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2]), value=value)
