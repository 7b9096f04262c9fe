"""The random scale crop: boxes of random side, blurred at native size, then resized to the crop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.crops import PairedCrops, UnpairedCrops
from medrestore.data.scale_crop import ScaleCrop, resized, resized_mask, scale_crop_of
from medrestore.data.seeding import generator_of
from medrestore.data.store import ImageStore
from medrestore.degradations import (
    CameraRotationBlur,
    Degradation,
    Downsample,
    FocalBlur,
    Identity,
    MotionBlur,
    Parameters,
    PatchwiseMotionBlur,
    blur,
)
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image


def item(number: int) -> Item:
    return Item(f"{number:012x}", f"patient{number // 2}", "target", "", "fake", "", None, None, None, None)


class Textures:
    """Four images of random texture of 40 x 44; on request with a mask or a negative as the degraded partner."""

    name = "textures"

    def __init__(self, mask: bool = False, negatives: bool = False) -> None:
        self.mask, self.negatives = mask, negatives

    def catalogue(self) -> Catalogue:
        return Catalogue(tuple(item(number) for number in range(4)), (), ())

    def load(self, wanted: Item) -> Image:
        pixels = torch.rand(3, 40, 44, generator=torch.Generator().manual_seed(int(wanted.key, 16)))
        mask = pixels[:1] > 0.5 if self.mask else None
        return Image(pixels, None, "intensity", None, Path("x.png"), None, mask, {"format": "png", "bits": 16})

    def load_degraded(self, wanted: Item) -> Image | None:
        image = self.load(wanted)
        return replace(image, pixels=1 - image.pixels) if self.negatives else None

    def load_mask(self, wanted: Item) -> Tensor | None:
        return None

    def annotations(self, wanted: Item) -> dict[str, Tensor | str]:
        return {}


def settings(**changes: object) -> CropSettings:
    values = {
        "crop": 16, "crops_per_image": 1, "flips": False, "window": "auto", "fixed": False, "seed": 3, "data_seed": 0,
    }  # fmt: skip
    return CropSettings(**{**values, **changes})  # type: ignore[arg-type]


def crops(operator: Degradation, source: Textures | None = None, **changes: object) -> PairedCrops:
    return PairedCrops(
        ImageStore(source or Textures(), 3, 10**9), [item(n) for n in range(4)], operator, settings(**changes)
    )


def by_pillow(image: Tensor, side: int) -> np.ndarray:
    planes = [PIL.Image.fromarray(plane).resize((side, side), PIL.Image.Resampling.BICUBIC) for plane in image.numpy()]
    return np.stack([np.asarray(plane) for plane in planes]).clip(0, 1)


def find(image: Tensor, crop: Tensor, side: int) -> tuple[int, int]:
    """Which box of a side became the crop."""
    for top in range(image.shape[1] - side + 1):
        for left in range(image.shape[2] - side + 1):
            box = by_pillow(image[:1, top : top + side, left : left + side], crop.shape[-1])
            if np.allclose(box, crop[:1].numpy(), atol=1e-5):
                return top, left
    raise AssertionError("the crop is not a resized part of the image")


@pytest.mark.parametrize("side", [9, 16, 29])
def test_the_box_is_blurred_at_native_size_and_then_resized(side: int) -> None:
    operator = FocalBlur((3, 5))
    data = crops(operator, fixed=True, scale_crop=ScaleCrop(side, 0, 4))
    for index in range(2):
        pair = data[0, index]
        assert pair.degraded.shape == pair.target.shape == (3, 16, 16)
        image = Textures().load(item(index)).pixels
        top, left = find(image, pair.target, side)
        kernel = operator.sample(generator_of(0, "fixed", item(index).key)).kernel
        assert kernel is not None
        box = blur(image, kernel)[:, top : top + side, left : left + side]
        assert pair.degraded.numpy() == pytest.approx(by_pillow(box, 16), abs=1e-5)


def test_sides_are_normal_and_clamped() -> None:
    random, drawn = torch.Generator().manual_seed(0), ScaleCrop(100, 20, 70)
    sides = np.array([drawn.draw_side(500, 400, random) for _ in range(2000)])
    assert sides.min() == 70
    assert np.median(sides) == pytest.approx(100, abs=2)
    assert np.percentile(sides, 84) - np.median(sides) == pytest.approx(20, abs=2)
    assert max(drawn.draw_side(500, 90, random) for _ in range(50)) == 90
    assert drawn.draw_side(30, 40, random) == 30  # an image smaller than the least is taken whole


def test_a_sample_is_a_pure_function_of_seed_epoch_and_index() -> None:
    scale = ScaleCrop(20, 8, 8)
    first, again = (crops(MotionBlur(), scale_crop=scale, flips=True)[4, 3] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.target, crops(MotionBlur(), scale_crop=scale, flips=True)[5, 3].target)


def test_real_pairs_share_the_box() -> None:
    data = crops(Identity(), Textures(negatives=True), scale_crop=ScaleCrop(20, 8, 8))
    for index in range(4):
        pair = data[0, index]
        torch.testing.assert_close(pair.degraded, 1 - pair.target, atol=1e-5, rtol=0)


def test_the_mask_follows_by_the_nearest_pixel() -> None:
    pair = crops(Identity(), Textures(mask=True), scale_crop=ScaleCrop(32, 0, 8))[0, 1]
    image = Textures(mask=True).load(item(1))
    top, left = find(image.pixels, pair.target, 32)
    assert image.mask is not None
    assert torch.equal(pair.mask, image.mask[:, top + 1 : top + 32 : 2, left + 1 : left + 32 : 2].float())


def test_values_stay_in_range_and_equal_sides_stay_as_they_are() -> None:
    edge = torch.zeros(1, 20, 20)
    edge[..., 10:] = 1
    for side in (8, 20, 50):
        found = resized(edge, side)
        assert float(found.min()) >= 0 and float(found.max()) <= 1
    assert torch.equal(resized(edge, 20), edge) and torch.equal(resized_mask(edge, 20), edge)


class Shade:
    """Replaces an image by one drawn value, so that a crop tells what was drawn."""

    margin, scale = 2, 1

    def sample(self, generator: torch.Generator) -> Parameters:
        return Parameters(torch.rand(1, 1, generator=generator), {}, 0)

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        assert parameters.kernel is not None
        return parameters.kernel.expand_as(image[0])[None].repeat(3, 1, 1)


@pytest.mark.parametrize("scale", [None, ScaleCrop(20, 8, 8)])
def test_fixed_keeps_one_degradation_an_image_while_its_crops_are_fresh(scale: ScaleCrop | None) -> None:
    fixed, fresh = (crops(Shade(), fixed=flag, scale_crop=scale) for flag in (True, False))
    for index in range(4):
        one, other = fixed[0, index], fixed[1, index]
        assert float((one.degraded - other.degraded).abs().max()) < 1e-5
        assert not torch.equal(one.target, other.target)
        assert float((fresh[0, index].degraded - fresh[1, index].degraded).abs().max()) > 1e-4
    values = [float(fixed[0, index].degraded.mean()) for index in range(4)]
    assert len({round(value, 4) for value in values}) == 4


@pytest.mark.parametrize("operator", [PatchwiseMotionBlur("small", length=8), CameraRotationBlur("small", length=8)])
def test_blur_that_differs_from_place_to_place_is_that_of_the_whole_image(operator: Degradation) -> None:
    data = crops(operator, fixed=True)
    places = set()
    for index in range(4):
        pair, image = data[0, index], Textures().load(item(index)).pixels
        whole = operator.apply(image, operator.sample(generator_of(0, "fixed", item(index).key)))
        top, left = find(image, pair.target, 16)
        places.add((top, left))
        torch.testing.assert_close(
            pair.degraded, whole[:, top : top + 16, left : left + 16].clamp(0, 1), atol=2e-5, rtol=0
        )
    assert len(places) > 2


def test_unpaired_crops_are_scaled_too() -> None:
    store = ImageStore(Textures(), 3, 10**9)
    data = UnpairedCrops(store, [item(n) for n in range(4)], FocalBlur(), settings(scale_crop=ScaleCrop(24, 6, 8)))
    sample = data[0, 1]
    assert sample.source.shape == sample.reference.shape == (3, 16, 16)
    assert data.positions == [0, 1]


def test_configuration_becomes_settings_or_one_line() -> None:
    assert scale_crop_of(None) is None
    assert scale_crop_of({"mean": 96, "sigma": 37, "least": 48}) == ScaleCrop(96, 37, 48)
    for wrong in ({"mean": 96}, {"mean": 96, "sigma": 37, "leest": 48}, {}, 96):
        with pytest.raises(MedrestoreError, match="needs mean, sigma and least"):
            scale_crop_of(wrong)  # type: ignore[arg-type]
    for wrong in ({"mean": 0, "sigma": 1, "least": 1}, {"mean": 9, "sigma": -1, "least": 1}, {"mean": 9, "sigma": 1}):
        with pytest.raises(MedrestoreError) as error:
            scale_crop_of({"least": 0, **wrong})
        assert "\n" not in str(error.value)
    with pytest.raises(MedrestoreError, match=r"shrinks by 2; type sampling\.scale_crop=null"):
        crops(Downsample(2), scale_crop=ScaleCrop(20, 8, 8))


def test_shrinking_comes_before_the_blur_and_takes_the_noise() -> None:
    operator = FocalBlur((3, 5))
    shrunk, native = (crops(operator, fixed=True, shrink=factor) for factor in (2.0, 1.0))
    for index in range(4):
        pair = shrunk[0, index]
        kernel = operator.sample(generator_of(0, "fixed", item(index).key)).kernel
        assert kernel is not None
        inner = slice(2, -2)  # what the crop alone decides
        expected = blur(pair.target, kernel)[:, inner, inner]
        torch.testing.assert_close(pair.degraded[:, inner, inner], expected, atol=1e-5, rtol=0)
    spread = [torch.stack([data[epoch, 0].target for epoch in range(20)]).std() for data in (shrunk, native)]
    assert spread[0] < 0.9 * spread[1]  # white noise loses its strength by the factor, whose median is 1.4


def test_shrinking_takes_the_mask_along_and_leaves_real_pairs() -> None:
    masked = crops(Identity(), Textures(mask=True), shrink=2.0)[0, 1]
    assert set(masked.mask.unique().tolist()) <= {0.0, 1.0}
    assert bool((masked.target[:1][masked.mask.bool()] > 0.5).all())  # only pixels whose whole area is valid
    for index in range(4):
        pairs = [crops(Identity(), Textures(negatives=True), shrink=factor)[0, index] for factor in (1.0, 2.0)]
        assert torch.equal(pairs[0].target, pairs[1].target)
    for wrong in (0.5, 9.0, float("nan")):
        with pytest.raises(MedrestoreError, match=r"type sampling\.shrink=2"):
            settings(shrink=wrong)
