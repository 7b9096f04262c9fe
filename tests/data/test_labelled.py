"""Images for judges: pure functions of seed, epoch and index; boxes and maps follow what is done to the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.labelled import (
    Boxed,
    LabelledCrops,
    LabelledImages,
    LabelledSettings,
    Mapped,
    collate_labelled,
)
from medrestore.data.patches import patch_places, patches_of
from medrestore.data.placing import to_side, turned, turned_boxes, unevenly_lit
from medrestore.data.store import ImageStore
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

BOX = (4, 6, 14, 20)  # x0, y0, x1, y1


class Fake:
    """Dark images with one bright box; classes = brightness; masks around the box."""

    name = "fake"

    def __init__(self, sizes: list[tuple[int, int]], labels: bool = True, box: tuple[int, int, int, int] = BOX) -> None:
        self.sizes, self.labels, self.box = sizes, labels, box

    def items(self) -> list[Item]:
        return [
            Item(f"{n:012x}", f"p{n}", "target", "abnormal" if self.labels else "", "fake", "", None, None, None,
                 Path("mask.png"))
            for n in range(len(self.sizes))
        ]  # fmt: skip

    def catalogue(self) -> Catalogue:
        return Catalogue(tuple(self.items()), (), ())

    def _marked(self, item: Item) -> Tensor:
        marked = torch.zeros(1, *self.sizes[int(item.key, 16)], dtype=torch.bool)
        marked[:, self.box[1] : self.box[3], self.box[0] : self.box[2]] = True
        return marked

    def load(self, item: Item) -> Image:
        noise = torch.rand(3, *self.sizes[int(item.key, 16)], generator=torch.Generator().manual_seed(0)) * 0.2
        pixels = ((noise + 0.6 * self._marked(item)) * 255).round() / 255
        return Image(pixels, None, "intensity", None, Path("x.png"), None, None, {"bits": 8})

    def load_degraded(self, item: Item) -> Image | None:
        return None

    def load_mask(self, item: Item) -> Tensor | None:
        return self._marked(item)

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        if not self.labels:
            return {}
        return {
            "boxes": torch.tensor([self.box], dtype=torch.float32),
            "label": "abnormal",
            "labels": self._marked(item)[0].long(),
        }


SETTINGS = CropSettings(crop=16, crops_per_image=1, flips=True, window="auto", fixed=False, seed=3, data_seed=0)


def images(source: Fake | None = None, training: bool = True, **labelled: object) -> LabelledImages:
    source = source or Fake([(40, 48)] * 6)
    wanted = LabelledSettings(**labelled)  # type: ignore[arg-type]
    return LabelledImages(ImageStore(source, 3, 10**9), source.items(), SETTINGS, wanted, training)


def crops(source: Fake | None = None, training: bool = True, **settings: object) -> LabelledCrops:
    source = source or Fake([(40, 48)] * 6)
    store = ImageStore(source, 3, 10**9)
    return LabelledCrops(store, source.items(), replace(SETTINGS, **settings), LabelledSettings(), training)  # type: ignore[arg-type]


def box_of(image: Tensor) -> list[int]:
    rows, columns = (image.amin(0) > 0.5).nonzero(as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_a_sample_is_a_pure_function_of_seed_epoch_and_index() -> None:
    for data in (images(light=0.2), crops()):
        first, again, other = data[4, 2], data[4, 2], data[5, 2]
        assert torch.equal(first.images[0], again.images[0])
        assert first.images[0].shape != other.images[0].shape or not torch.equal(first.images[0], other.images[0])


def test_boxes_turn_with_the_image_in_all_eight_ways() -> None:
    data = images()
    seen = set()
    for epoch in range(40):
        sample = data[epoch, 0]
        assert box_of(sample.images[0]) == sample.boxes[0][0].tolist()
        seen.add((tuple(sample.images[0].shape), tuple(sample.boxes[0][0].tolist())))
    assert len(seen) == 8


def test_turning_back_gives_the_image() -> None:
    image, boxes = torch.rand(3, 5, 7), torch.tensor([[1.0, 2, 4, 5]])
    for turn in range(4):
        assert torch.equal(turned(turned(image, turn), turn), image)
    assert torch.equal(turned_boxes(boxes, 4, 7, 5), torch.tensor([[2.0, 1, 5, 4]]))


def test_scaling_takes_the_boxes_along() -> None:
    sample = images(training=False, side=80)[0]
    assert sample.images[0].shape == (3, 80, 96)
    assert sample.boxes[0][0].tolist() == [2 * side for side in BOX]
    image, boxes = torch.rand(3, 64, 96), torch.tensor([[0.0, 0, 96, 64]])
    small, fitted = to_side(image, boxes, 16)
    assert small.shape == (3, 16, 24) and fitted.tolist() == [[0, 0, 24, 16]]
    torch.testing.assert_close(small.mean(), image.mean(), atol=0.01, rtol=0)


def test_light_and_veil_keep_the_range_and_leave_no_seed_behind() -> None:
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    lit = unevenly_lit(image, 0.3, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert lit.min() >= 0 and lit.max() <= 1 and (lit - image).abs().mean() > 0.02


def test_crops_of_image_and_map_are_alike() -> None:
    data = crops(crops_per_image=4)
    assert len(data) == 24
    for index in range(24):
        sample = data[0, index]
        assert sample.images.shape == (1, 3, 16, 16) and sample.classes.dtype == torch.int64
        assert torch.equal(sample.images[0].amin(0) > 0.5, sample.classes[0] == 1)


def test_streets_are_flipped_left_to_right_only() -> None:
    data = crops(Fake([(16, 16)] * 2), flips="horizontal")
    seen = {data[epoch, 0].images.numpy().tobytes() for epoch in range(12)}
    whole = crops(Fake([(16, 16)] * 2), training=False)[0].images
    assert seen == {whole.numpy().tobytes(), whole.flip(-1).numpy().tobytes()}


def test_a_crop_is_clamped_to_a_small_image_and_padded_in_the_batch() -> None:
    data = crops(Fake([(20, 24), (40, 24)]), crop=32, flips=False)
    low, high = data[0, 0], data[0, 1]
    assert low.images.shape == (1, 3, 20, 24) and high.images.shape == (1, 3, 32, 24)
    batch = collate_labelled([low, high])
    assert isinstance(batch, Mapped) and batch.images.shape == (2, 3, 32, 24)
    assert (batch.classes[0, 20:] == 255).all() and (batch.classes[:, :20] < 2).all()
    assert batch.key.tolist() == [0, 1]


def test_whole_images_collate_to_lists() -> None:
    data = images(Fake([(20, 24), (40, 24)]), training=False)
    batch = collate_labelled([data[0], data[1]])
    assert isinstance(batch, Boxed) and [tuple(i.shape) for i in batch.images] == [(3, 20, 24), (3, 40, 24)]
    assert batch.labels == ["abnormal"] * 2 and batch.key.tolist() == [0, 1]


def test_patches_lie_inside_and_outside_the_mask() -> None:
    region = torch.zeros(1, 96, 128, dtype=torch.bool)
    region[:, 20:70, 30:90] = True
    for seed in range(20):
        inside, outside = patch_places(region, torch.Generator().manual_seed(seed))
        assert inside.label == "inside" and outside.label == "outside" and inside.side == outside.side
        assert inside.cut(region).float().mean() >= 0.6 and not outside.cut(region).any()


def test_patches_are_the_same_places_in_every_version_of_an_image() -> None:
    region = torch.zeros(1, 96, 128, dtype=torch.bool)
    region[:, 20:70, 30:90] = True
    image = torch.rand(3, 96, 128)
    first, second = patches_of(image, region, 7), patches_of(image * 0.5, region, 7)
    for (label, patch), (same, other) in zip(first, second, strict=True):
        assert label == same and torch.equal(patch * 0.5, other)
    assert patches_of(image, torch.ones_like(region), 7) == []
    assert patches_of(image, torch.zeros_like(region), 7) == []


def test_patches_as_training_samples() -> None:
    source = Fake([(60, 60), (18, 18), (60, 60)], box=(4, 4, 30, 30))  # the second leaves no room for patches
    data = images(source, patches="inside_outside")
    assert len(data) == 6
    labels = [data[0, index].labels[0] for index in range(6)]
    assert labels == ["inside", "outside"] * 3
    assert int(data[0, 2].key) == 2


def test_data_without_labels_masks_or_maps_are_refused_in_one_line() -> None:
    unlabelled = Fake([(20, 20)] * 2, labels=False)
    with pytest.raises(MedrestoreError, match="of 2 sharp images of fake none has a label"):
        images(unlabelled)
    with pytest.raises(MedrestoreError, match="none has a map of classes"):
        crops(unlabelled)
    source = Fake([(20, 20)])
    with pytest.raises(MedrestoreError, match=r"none has a mask; type model\.patches=none"):
        LabelledImages(
            ImageStore(source, 3, 0), [replace(item, mask=None) for item in source.items()], SETTINGS,
            LabelledSettings(patches="inside_outside"),
        )  # fmt: skip


def test_maps_are_kept_within_the_budget_of_the_store() -> None:
    source = Fake([(20, 24)] * 3)
    store = ImageStore(source, 3, 0)
    data = LabelledCrops(store, source.items(), SETTINGS, LabelledSettings())
    assert torch.equal(data[0, 0].classes, data[0, 0].classes) and store.used == 0
