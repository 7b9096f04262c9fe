import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.data.phantoms.brain import BrainPhantom, _level
from medrestore.data.phantoms.brain_cortex import draw_folds, furrows
from medrestore.data.phantoms.brain_head import APEX, LEVELS, shrunk
from medrestore.data.phantoms.brain_scan import Protocol, scan
from medrestore.data.phantoms.section import Canvas
from medrestore.degradations import Downsample
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image, read, to_unit, window_of
from medrestore.metrics import psnr

PACK = Path(__file__).parents[4] / "shared/data/brain/figshare_t1ce"


def phantom(patients: int = 3, slices: int = 2, poor: int = 1, size: int = 96, data_seed: int = 0) -> BrainPhantom:
    return BrainPhantom(patients, slices, poor, size, data_seed)


def image(source: BrainPhantom, index: int) -> Image:
    return source.load(source.catalogue().items[index])


def unit(found: Image) -> torch.Tensor:
    return to_unit(found.pixels, window_of(found, "auto"))


def test_catalogue_keeps_the_contract():
    source = phantom(patients=6, slices=3, poor=2)
    items = source.catalogue().items
    assert len(items) == len({item.key for item in items}) == 6 * 5
    assert all(re.fullmatch("[0-9a-f]{12}", item.key) for item in items)
    assert {(item.role, item.source, item.split, item.path) for item in items} == {
        ("target", "brain_phantom", "", None)
    }
    kinds = {item.group: item.label for item in items}
    assert all(item.label == kinds[item.group] for item in items)
    assert sorted(kinds.values()) == 2 * ["glioma"] + 2 * ["meningioma"] + 2 * ["none"]
    found = [source.annotations(item) for item in items]
    assert [known["label"] for known in found] == [item.label for item in items]
    contents = [str(known["content"]) for known in found]
    assert {content: contents.count(content) for content in contents} == {
        "brain": 18, "apex": 4, "empty": 4, "noise": 4,
    }  # fmt: skip


def test_slice_is_mr_in_whole_numbers_of_twelve_bits():
    source = phantom()
    item = source.catalogue().items[0]
    found = source.load(item)
    assert found.pixels.shape == (1, 96, 96) and torch.equal(found.pixels, found.pixels.round())
    assert 0 <= found.pixels.min() and 255 < found.pixels.max() <= 4095
    assert (found.unit, found.mask, found.group) == ("signal", None, item.group)
    other = source.load(source.catalogue().items[1]).window
    assert found.window == other and other is not None and 0 == other.low < found.pixels.max() <= 1.2 * other.high
    assert found.metadata == {"format": "phantom", "bits": 16, "modality": "MR"}
    assert found.spacing is not None and 215 <= 96 * found.spacing[0] <= 240
    assert source.load_degraded(item) is None


def test_image_depends_on_nothing_but_seed_patient_and_slice():
    few, many = phantom(patients=2, slices=1, poor=0), phantom(patients=3, slices=2)
    image(many, 5)  # what was drawn before does not matter
    assert torch.equal(image(few, 1).pixels, image(many, 3).pixels)
    assert few.catalogue().items[1] == many.catalogue().items[3]
    first = unit(image(many, 0))
    for other in (image(phantom(data_seed=1), 0), image(many, 1), image(many, 3)):
        assert (first - unit(other)).abs().mean() > 0.01


def test_levels_fill_the_brain_evenly_whatever_their_number():
    low, high = LEVELS
    for count in (3, 5, 8, 13):
        levels = np.sort([_level(np.random.default_rng(3), number) for number in range(count)])
        assert low <= levels[0] and levels[-1] <= high
        assert np.diff([levels[-1] - (high - low), *levels]).max() <= 1.7 * (high - low) / count  # golden: 1.62 at most


def test_tumours_lie_within_the_skull_and_where_the_label_says():
    source = phantom(patients=9, slices=4)
    shown = Counter[str]()
    for item in source.catalogue().items:
        mask = source.load_mask(item)
        if mask is None:
            continue
        painted = source._slice(*source._numbers[item.key])
        shown[item.label] += 1
        assert source.annotations(item)["content"] == "brain"
        assert mask.shape == (1, 96, 96) and mask.dtype == torch.bool and mask.any()
        assert not (mask[0].numpy() & ~painted.cavity).any()
        pixels = source.load(item).pixels[0].numpy()
        around = ndimage.binary_dilation(mask[0].numpy(), iterations=4) & ~mask[0].numpy() & painted.cavity
        if mask.sum() > 40:  # what takes up contrast is brighter than the tissue around it
            assert np.percentile(pixels[mask[0].numpy()], 90) > 1.2 * np.median(pixels[around])
    assert shown["glioma"] > 3 and shown["meningioma"] > 3 and shown["none"] == 0


def test_slices_without_brain_are_what_they_are_called():
    source = phantom(slices=1)
    found = {str(source.annotations(item)["content"]): source.load(item) for item in source.catalogue().items}
    noise = found["noise"].pixels[0].numpy()
    assert noise.mean() / noise.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.05)  # Rayleigh's
    bright = {name: float((unit(picture) > 0.2).float().mean()) for name, picture in found.items()}
    assert bright["empty"] < 0.04 < bright["apex"] < 0.6 * bright["brain"]
    assert shrunk(APEX[0]) < 0.6  # of the head's width


def test_furrows_reach_from_the_surface_into_both_hemispheres_alike():
    """Distances to furrows are distances: they change by at most 1 mm a mm; cortex covers a third of the brain."""
    canvas = Canvas(np.random.default_rng(0), 160, 1.2, (0.0, 0.0), 40.0, 0.0)
    brain = canvas.outline(0, 55, 70)
    gap = furrows(draw_folds(np.random.default_rng(1)), canvas, brain, 0.9, 1.0)
    inside = brain.depth > 2
    assert (gap <= brain.depth * np.float32(0.9) + 1e-4).all()
    slope = np.hypot(*np.gradient(gap, 1.2))[inside]
    assert np.median(slope) == pytest.approx(1, abs=0.15)
    left, right = (((gap < 0) & inside & side).sum() / (inside & side).sum() for side in (canvas.x < 0, canvas.x > 0))
    assert 0.05 < left < 0.35 and 0.6 < left / right < 1.6
    deep = brain.depth > 12
    assert ((gap < 0) & deep & (np.abs(canvas.x) > 4)).any()  # furrows, not the cleft alone


def test_scan_blurs_shades_and_adds_rician_noise():
    flat = np.full((128, 128), 0.5, np.float32)
    protocol = Protocol(220.0, 1000.0, 0.02, 1.2, np.zeros(2, np.float32), 0.0)
    still = scan(np.random.default_rng(0), flat, protocol)
    assert still.mean() == pytest.approx(1000 * (0.5 + 0.02**2 / (2 * 0.5)), rel=1e-3)  # Rician, high signal
    assert still.std() == pytest.approx(20, rel=0.03) and np.array_equal(still, np.rint(still))
    shaded = scan(np.random.default_rng(0), flat, replace(protocol, noise=0.0, shading=np.array([0.2, 0], np.float32)))
    assert shaded[0, 64] == 400 and shaded[-1, 64] == 600
    point = np.zeros((33, 33), np.float32)
    point[16, 16] = 1
    spread = scan(np.random.default_rng(0), point, replace(protocol, noise=0.0, gain=4000.0))[16]
    assert spread[18] / spread[16] == pytest.approx(np.exp(-(2**2) / (2 * 1.2**2)), rel=0.02)
    assert scan(np.random.default_rng(0), 99 * flat, protocol).max() == 4095


def spectrum(pixels: torch.Tensor) -> np.ndarray:
    """Mean power in rings of 0.05 cycles a pixel, from 0.05 to 0.4, of a windowed square."""
    side = min(pixels.shape[1:])
    taper = np.hanning(side)
    square = pixels[0, :side, :side].numpy()
    power = np.abs(np.fft.fft2((square - square.mean()) * taper[:, None] * taper)) ** 2 / (taper**2).sum() ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    return np.array([power[(frequency >= low) & (frequency < low + 0.05)].mean() for low in np.arange(0.05, 0.4, 0.05)])


def doubled(pixels: torch.Tensor) -> float:
    """PSNR of shrinking by 4 and enlarging again, both bicubic."""
    height, width = (size // 4 * 4 for size in pixels.shape[1:])
    target = pixels[None, :, :height, :width]
    shrink = Downsample(4)
    small = shrink.apply(target, shrink.sample(torch.Generator()))
    large = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic", align_corners=False)
    return float(psnr(large.clamp(0, 1), target))


def brains(size: int = 240) -> list[torch.Tensor]:
    source = phantom(patients=6, slices=2, poor=0, size=size)
    return [unit(source.load(item)) for item in source.catalogue().items]


def test_slices_lose_as_much_as_real_ones_when_they_are_shrunk():
    assert 30 < np.mean([doubled(pixels) for pixels in brains()]) < 36  # figshare's T1 slices: 34


@pytest.mark.skipif(not PACK.is_dir(), reason="the image pack is not here")
def test_the_spectrum_falls_as_that_of_real_slices():
    real = [read(path).pixels for path in sorted(PACK.rglob("*.jpg"))[::20]]
    ours, theirs = (np.log10(np.mean([spectrum(one) for one in some], 0)) for some in (brains(), real))
    assert np.abs((ours - ours[0]) - (theirs - theirs[0])).max() < 0.4  # decades, of a fall by 3.3


@pytest.mark.parametrize("argument", [{"patients": 0}, {"slices": 0}, {"poor": -1}, {"size": 63}])
def test_numbers_too_small_are_refused(argument):
    with pytest.raises(MedrestoreError, match=r"is too small for the brain phantom: .*; type a value of at least"):
        phantom(**argument)


def test_a_foreign_item_is_refused():
    source = phantom()
    with pytest.raises(MedrestoreError, match="no image with key 000000000000 in brain_phantom"):
        source.load(replace(source.catalogue().items[0], key="0" * 12))
