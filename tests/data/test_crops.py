"""Training samples: the order of operations, reproducibility, borders, flips of the pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.crops import PairedCrops, UnpairedCrops
from medrestore.data.cutting import cut
from medrestore.data.store import ImageStore
from medrestore.degradations import Downsample, FocalBlur, Identity, Parameters, blur
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image, Unit


def item(number: int, role: str = "target") -> Item:
    return Item(f"{number:012x}", f"patient{number // 2}", role, "", "fake", "", None, None, None, None)  # type: ignore[arg-type]


class Fake:
    """Images of random texture, by the item's number."""

    name = "fake"

    def __init__(
        self,
        size: tuple[int, int] = (40, 44),
        unit: Unit = "intensity",
        broken: set[int] | None = None,
        marked: dict[int, tuple[slice, slice]] | None = None,
    ) -> None:
        self.size, self.unit, self.broken, self.marked = size, unit, broken or set(), marked or {}
        self.loads = 0

    def catalogue(self) -> Catalogue:
        return Catalogue(tuple(item(number) for number in range(6)), (), ())

    def load(self, wanted: Item) -> Image:
        number = int(wanted.key, 16)
        self.loads += 1
        if number in self.broken:
            raise MedrestoreError(f"image {number} is broken")
        values = torch.rand(3, *self.size, generator=torch.Generator().manual_seed(number))
        pixels = (values * 255).round() / 255 if self.unit == "intensity" else values * 2000 - 1000
        return Image(pixels, None, self.unit, None, Path(f"{number}.png"), None, None, {"format": "png", "bits": 8})

    def load_degraded(self, wanted: Item) -> Image | None:
        return None

    def load_mask(self, wanted: Item) -> Tensor | None:
        number = int(wanted.key, 16)
        if number not in self.marked:
            return None
        mask = torch.zeros(1, *self.size, dtype=torch.bool)
        mask[0, self.marked[number][0], self.marked[number][1]] = True
        return mask

    def annotations(self, wanted: Item) -> dict[str, Tensor | str]:
        return {}


def settings(**changes: object) -> CropSettings:
    values = {
        "crop": 16, "crops_per_image": 2, "flips": False, "window": "auto", "fixed": False, "seed": 3, "data_seed": 0,
    }  # fmt: skip
    return CropSettings(**{**values, **changes})  # type: ignore[arg-type]


def paired(operator=None, source: Fake | None = None, **changes: object) -> PairedCrops:
    store = ImageStore(source or Fake(), 3, 10**9)
    return PairedCrops(store, [item(n) for n in range(6)], operator or FocalBlur(), settings(**changes))


def test_a_sample_is_a_pure_function_of_seed_epoch_and_index() -> None:
    first, again = paired()[4, 7], paired()[4, 7]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.degraded, paired()[5, 7].degraded)
    assert not torch.equal(first.degraded, paired(seed=4)[4, 7].degraded)


def test_an_epoch_shows_each_image_as_often_as_asked() -> None:
    data = paired(crops_per_image=2)
    assert len(data) == 12
    assert sorted(int(data[0, index].key) for index in range(12)) == sorted([*range(6), *range(6)])


def test_auto_shows_an_image_as_often_as_crops_would_cover_it() -> None:
    assert len(paired(crops_per_image="auto")) == 6 * 7  # 40 x 44 pixels are seven crops of 16 x 16
    assert len(paired(source=Fake(size=(128, 160)), crops_per_image="auto")) == 6 * 64  # eighty, but at most 64


def test_identity_gives_equal_pairs_whatever_the_flips() -> None:
    data = paired(Identity(), flips=True)
    for index in range(12):
        assert torch.equal(data[0, index].degraded, data[0, index].target)


def test_flips_come_in_all_eight_ways() -> None:
    source = Fake(size=(16, 16))
    data = paired(Identity(), source, flips=True, crops_per_image=40)
    seen = {data[0, index].target.numpy().tobytes() for index in range(0, 240, 6)}
    assert len(seen) == 8


def test_the_crop_is_blurred_with_what_lies_around_it() -> None:
    """Crop with margin, blur, trim = blur of the whole image, cropped; including at the image's border."""
    operator = FocalBlur()
    data = paired(operator, fixed=True)
    for index in range(12):
        pair = data[0, index]
        pixels = data._cropper.store.get(item(index % 6))[0].pixels
        where = _find(pixels, pair.target)
        kernel = operator.sample(_fixed_generator(index % 6)).kernel
        assert kernel is not None
        whole = blur(pixels, kernel)
        expected = whole[:, where[0] : where[0] + 16, where[1] : where[1] + 16]
        torch.testing.assert_close(pair.degraded, expected, atol=2e-6, rtol=0)


def test_hounsfield_units_are_blurred_before_the_window() -> None:
    operator = FocalBlur(sizes=(5, 5), kinds=("box",))
    data = paired(operator, Fake(unit="HU"), fixed=True, window=[40, 80])
    pair = data[0, 0]
    pixels = Fake(unit="HU").load(item(0)).pixels
    where = _find(((pixels - 0) / 80).clamp(0, 1), pair.target)
    kernel = operator.sample(_fixed_generator(0)).kernel
    assert kernel is not None
    expected = (blur(pixels, kernel) / 80).clamp(0, 1)[:, where[0] : where[0] + 16, where[1] : where[1] + 16]
    torch.testing.assert_close(pair.degraded, expected, atol=1e-4, rtol=0)


def test_super_resolution_pairs_lie_on_the_grid_of_the_whole_image() -> None:
    operator = Downsample(2, "area")
    pair = paired(operator)[0, 3]
    assert pair.degraded.shape == (3, 8, 8) and pair.target.shape == (3, 16, 16)
    blocks = pair.target.unfold(1, 2, 2).unfold(2, 2, 2).mean((-1, -2))
    torch.testing.assert_close(pair.degraded, blocks, atol=1e-6, rtol=0)


def test_an_image_smaller_than_the_crop_is_mirrored() -> None:
    pair = paired(Identity(), Fake(size=(9, 30)))[0, 0]
    assert pair.target.shape == (3, 16, 16)
    image = Fake(size=(9, 30)).load(item(int(pair.key))).pixels
    columns = [left for left in range(15) if torch.equal(pair.target[:, 3:12], image[:, :, left : left + 16])]
    assert len(columns) == 1  # its nine rows stand in the middle, unchanged
    assert torch.equal(pair.target[:, 2], pair.target[:, 4])  # mirrored about the first row


def test_a_bad_file_is_replaced_by_the_next_and_never_stops_an_epoch(caplog: pytest.LogCaptureFixture) -> None:
    data = paired(source=Fake(broken={2, 3}))
    assert int(data[0, 2].key) == 4
    assert "image 2 is broken" in caplog.text
    with pytest.raises(MedrestoreError, match="none of the 6"):
        paired(source=Fake(broken=set(range(6))))[0, 0]


def test_the_store_keeps_to_its_budget_and_returns_the_same_pixels() -> None:
    source = Fake()
    store = ImageStore(source, 3, 3 * 40 * 44 * 2)  # two images as bytes
    bad = store.fill([item(n) for n in range(6)], lambda items: items)
    assert not bad and store.used <= store.budget
    loads = source.loads
    for number in range(6):
        assert torch.equal(store.get(item(number))[0].pixels, Fake().load(item(number)).pixels)
    assert source.loads == loads + 4


def test_colour_becomes_luma_for_a_network_of_one_channel() -> None:
    grey = ImageStore(Fake(), 1, 0).get(item(2))[0].pixels
    red, green, blue = Fake().load(item(2)).pixels
    torch.testing.assert_close(grey, (0.299 * red + 0.587 * green + 0.114 * blue)[None])


def test_fill_lists_what_cannot_be_read() -> None:
    bad = ImageStore(Fake(broken={1}), 3, 10**9).fill([item(n) for n in range(3)], lambda items: items)
    assert [entry.reason for entry in bad] == ["image 1 is broken"]


def test_unpaired_sources_never_meet_their_own_truth() -> None:
    store = ImageStore(Fake(), 3, 10**9)
    data = UnpairedCrops(store, [item(n) for n in range(6)], FocalBlur(), settings())
    assert data.made and not data.sources and not {i.group for i in data.made} & {i.group for i in data.targets}
    sample = data[0, 1]
    assert sample.source.shape == sample.reference.shape == (3, 16, 16)
    with pytest.raises(MedrestoreError, match="two domains"):
        UnpairedCrops(store, [item(0, "source")], FocalBlur(), settings())


def test_a_share_of_the_sources_is_made_of_sharp_images() -> None:
    """Images degraded by nature are shown as they are; those made of sharp ones are of groups that are no reference."""
    store = ImageStore(Fake(), 3, 10**9)
    items = [item(n, "source" if n < 4 else "target") for n in range(12)]
    shrunk = settings(crop=40, flips=False)  # a crop of an image degraded by nature is a piece of it

    def natural(data: UnpairedCrops, index: int) -> bool:
        sample = data[0, index]
        places = store.get(items[int(sample.key)])[0].pixels.unfold(1, 40, 1).unfold(2, 40, 1)
        return bool((places == sample.source[:, None, None]).flatten(3).all(-1).all(0).any())

    for share, least, most in ((0.0, 1.0, 1.0), (0.5, 0.35, 0.65), (1.0, 0.0, 0.0)):
        data = UnpairedCrops(store, items, FocalBlur(), replace(shrunk, synthetic_sources=share, crops_per_image=25))
        assert bool(data.made) == (share > 0) and len(data.sources) == 4
        assert not {i.group for i in data.made} & {i.group for i in data.targets}
        assert least <= sum(natural(data, index) for index in range(len(data))) / len(data) <= most
    with pytest.raises(MedrestoreError, match=r"share from 0 to 1, found 2; type sampling\.synthetic_sources=0\.5"):
        settings(synthetic_sources=2)


MARKED = {1: (slice(3, 9), slice(30, 36)), 4: (slice(20, 40), slice(0, 25))}  # one fits into a crop, one does not


def contains(data: PairedCrops, epoch: int, index: int) -> bool:
    """Whether a crop holds the marked part of its image, or lies in it."""
    pair = data[epoch, index]
    image = data.items[int(pair.key)]
    top, left = _find(data._cropper.store.get(image)[0].pixels, pair.target)
    inside = []
    for start, part in zip((top, left), MARKED[int(image.key, 16)], strict=True):
        holds = start <= part.start and part.stop <= start + 16
        inside.append(holds or (part.start <= start and start + 16 <= part.stop))
    return all(inside)


def test_focus_shows_marked_images_alone_with_crops_that_hold_what_is_marked() -> None:
    data = paired(Identity(), Fake(marked=MARKED), focus="region", crops_per_image=10)
    assert [int(item.key, 16) for item in data.items] == [1, 4] and len(data) == 20
    assert all(contains(data, epoch, index) for epoch in range(2) for index in range(20))
    plain = paired(Identity(), Fake(marked=MARKED), crops_per_image=4)
    assert torch.equal(plain[0, 5].target, paired(Identity(), crops_per_image=4)[0, 5].target)


def test_a_share_of_the_crops_is_focused() -> None:
    data = paired(Identity(), Fake(marked={1: MARKED[1]}), focus="region", focus_share=0.5, crops_per_image=120)
    share = sum(contains(data, 0, index) for index in range(120)) / 120
    assert 0.5 < share < 0.75  # half of them, and those that hold it by chance: 11 * 10 of 25 * 29 places


def test_a_smaller_image_has_a_smaller_region() -> None:
    data = paired(Identity(), Fake((80, 88), marked=MARKED), focus="region", shrink=2.0, crops_per_image=30)
    assert len(data._cropper.store.region_boxes(item(1))) == 1
    assert all(data[0, index].target.shape == (3, 16, 16) for index in range(60))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"focus": "lesion"}, "sampling.focus=lesion is not known; type sampling.focus=region, or null"),
        ({"focus": "region", "focus_share": 0}, "sampling.focus_share=0 is no share of the crops"),
        ({"focus": "region"}, "in none of the 6 training images of fake a region is marked; type sampling.focus=null"),
    ],
)
def test_a_focus_that_cannot_be_is_one_line(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(MedrestoreError, match=told) as error:
        paired(**changes)
    assert "\n" not in str(error.value)


def test_unpaired_schemes_have_no_focus() -> None:
    with pytest.raises(MedrestoreError, match=r"sampling\.focus needs pairs"):
        UnpairedCrops(ImageStore(Fake(), 3, 0), [item(0)], Identity(), settings(focus="region"))


@pytest.mark.parametrize(("top", "left"), [(-5, -3), (30, 2), (-40, 60)])
def test_cut_mirrors_like_numpy(top: int, left: int) -> None:
    image = torch.rand(2, 12, 17)
    padded = np.pad(image.numpy(), ((0, 0), (100, 100), (100, 100)), mode="reflect")
    expected = padded[:, 100 + top : 100 + top + 14, 100 + left : 100 + left + 14]
    assert np.array_equal(cut(image, top, left, 14).numpy(), expected)


def _fixed_generator(number: int) -> torch.Generator:
    from medrestore.data.seeding import generator_of

    return generator_of(0, "fixed", item(number).key)


def _find(image: Tensor, crop: Tensor) -> tuple[int, int]:
    side = crop.shape[-1]
    for top in range(image.shape[1] - side + 1):
        for left in range(image.shape[2] - side + 1):
            if torch.allclose(image[:, top : top + side, left : left + side], crop, atol=1e-6):
                return top, left
    raise AssertionError("the crop is not part of the image")


def test_parameters_record_is_what_a_test_image_saves() -> None:
    parameters = FocalBlur().sample(torch.Generator().manual_seed(0))
    assert isinstance(parameters, Parameters) and {"kind", "size_x", "size_y"} <= set(parameters.description)
