import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medrestore.metrics import PIQE, PIQE_BANDS, piqe, piqe_band, piqe_masks


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Flat, smooth, textured and noisy regions side by side, so that blocks of every kind occur."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    grey = 0.5 + 0.25 * np.sin(x / 5) * np.cos(y / 7)
    grey += np.where(x > width / 2, random.normal(0, 0.08, (height, width)), 0)
    grey += np.where((x // 4 + y // 4) % 2 == 0, 0.1, 0) * (y < height / 2)
    grey[height // 2 :, : width // 3] = 0.2
    image = np.stack([grey * scale for scale in (1.0, 0.8, 0.9)[:channels]])
    return torch.from_numpy(np.clip(image, 0, 1))[None]


def plain(image: NDArray[np.float64], inside: NDArray[np.bool_] | None = None) -> tuple[float, NDArray[np.bool_]]:
    """PIQE of one image (C, H, W) with loops over pixels and blocks: score and the flags (3, rows, columns).

    `inside` (rows, columns) says which blocks are looked at.
    """
    levels = np.floor(255 * image + 0.5)
    grey = levels[0]
    if len(levels) == 3:
        grey = np.floor(0.298936 * levels[0] + 0.587043 * levels[1] + 0.114021 * levels[2] + 0.5)
    height, width = grey.shape
    grey = np.pad(grey, [(0, -height % 16), (0, -width % 16)], mode="edge")
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    around = np.pad(grey, 3, mode="edge")
    normal = np.empty_like(grey)
    for i in range(grey.shape[0]):
        for j in range(grey.shape[1]):
            part = around[i : i + 7, j : j + 7]
            mean = (window * part).sum()
            deviation = math.sqrt(abs((window * part**2).sum() - mean**2))
            normal[i, j] = 0.0 if abs(grey[i, j] - mean) < 1e-6 else (grey[i, j] - mean) / (deviation + 1)
    rows, columns = grey.shape[0] // 16, grey.shape[1] // 16
    flags, total = np.zeros((3, rows, columns), dtype=bool), 0.0
    for i in range(rows):
        for j in range(columns):
            block = normal[16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
            variance = block.var(ddof=1)
            if variance <= 0.1 or (inside is not None and not inside[i, j]):
                continue
            flags[0, i, j] = True
            for edge in (block[0], block[15], block[:, 0], block[:, 15]):
                flags[1, i, j] |= any(edge[start : start + 6].std(ddof=1) < 0.1 for start in range(11))
            surround = np.delete(np.delete(block, 7, axis=1), 8, axis=1)
            ratio = block[:, 7:9].std(ddof=1) / surround.std(ddof=1)
            spread = math.sqrt(variance)
            flags[2, i, j] = spread > 2 * abs(spread - ratio) / max(spread, ratio)
            total += (1 - variance) * flags[1, i, j] + variance * flags[2, i, j]
    return 100 * (1 + total) / (1 + flags[0].sum()), flags


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 90, 75), (1, 64, 80), (3, 70, 33)])
def test_equals_plain_loops(channels: int, height: int, width: int) -> None:
    image = picture(height, width, channels)
    expected, flags = plain(image[0].numpy())
    assert flags[1].any() and flags[2].any() and flags[0].sum() > flags[1].sum()
    found = piqe(image)
    assert found.shape == (1,) and found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, abs=1e-9)
    grown = flags.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    for mask, wanted in zip(piqe_masks(image), grown, strict=True):
        assert mask.shape == (1, 1, height, width) and mask.dtype == torch.bool
        assert np.array_equal(mask[0, 0].numpy(), wanted)


def test_images_of_a_batch_do_not_meet_and_float32_is_enough() -> None:
    images = torch.cat([picture(150, 64, seed=seed) for seed in range(3)])  # higher than a strip
    together = piqe(images)
    assert together.tolist() == [float(piqe(image[None])) for image in images]
    assert len(set(together.tolist())) == 3
    assert piqe(images.float()).tolist() == together.tolist()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_an_image_without_structure_is_the_worst(value: float) -> None:
    flat = torch.full((2, 3, 20, 40), value)
    assert piqe(flat).tolist() == [100.0, 100.0]
    assert not any(bool(mask.any()) for mask in piqe_masks(flat))


def test_a_dark_image_is_not_stretched_to_its_maximum() -> None:
    dark = picture(64, 64) * 0.5
    assert float(piqe(dark)) == pytest.approx(plain(dark[0].numpy())[0], abs=1e-9)
    assert float(piqe(dark)) != pytest.approx(float(piqe(dark / dark.max())), abs=0.01)


def test_only_blocks_wholly_inside_the_mask_count() -> None:
    image = picture(90, 75)
    mask = torch.zeros(1, 1, 90, 75, dtype=torch.bool)
    mask[..., 10:90, 17:75] = True
    inside = np.zeros((6, 5), dtype=bool)
    inside[1:, 2:] = True  # the last row and column reach beyond the image, where its edge is repeated
    expected, flags = plain(image[0].numpy(), inside)
    assert flags[1].any() and flags[2].any()
    assert float(piqe(image, mask=mask)) == pytest.approx(expected, abs=1e-9)
    assert expected != pytest.approx(float(piqe(image)), abs=0.1)
    assert float(piqe(image, mask=torch.ones_like(mask))) == pytest.approx(float(piqe(image)), abs=1e-12)


def test_a_mask_without_a_whole_block_gives_no_score() -> None:
    images = picture(64, 64).expand(2, -1, -1, -1)
    mask = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    mask[0, :, :, 17:47] = mask[1, :, 16:32, 48:64] = True
    found = piqe(images, mask=mask)
    one = np.zeros((4, 4), dtype=bool)
    one[1, 3] = True
    assert math.isnan(found[0]) and float(found[1]) == pytest.approx(plain(images[1].numpy(), one)[0], abs=1e-9)


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (-3.0, "Excellent"),
        (20.0, "Excellent"),
        (20.01, "Good"),
        (35.0, "Good"),
        (35.5, "Fair"),
        (50.0, "Fair"),
        (50.9, "Poor"),
        (80.0, "Poor"),
        (80.1, "Bad"),
        (104.0, "Bad"),
    ],
)
def test_bands_leave_no_gap(score: float, band: str) -> None:
    assert piqe_band(score) == band and band in PIQE_BANDS


def test_wrong_input_is_named() -> None:
    image = picture(32, 32)
    with pytest.raises(ValueError, match=r"C 1 or 3, found \(1, 2, 32, 32\)"):
        piqe(image[:, :2])
    with pytest.raises(ValueError, match=r"found \(3, 32, 32\)"):
        piqe_masks(image[0])
    with pytest.raises(ValueError, match=r"in \[0, 1\], found min=.*, max=255"):
        piqe(image / image.max() * 255)
    with pytest.raises(ValueError, match="nan"):
        piqe(torch.full_like(image, math.nan))
    with pytest.raises(ValueError, match="mask must be bool"):
        piqe(image, mask=torch.ones(1, 1, 32, 32))
    with pytest.raises(ValueError, match="no band"):
        piqe_band(math.nan)


def test_class_averages_images() -> None:
    images = torch.cat([picture(48, 48, seed=seed) for seed in range(3)])
    metric = PIQE()
    metric.update(images[:2])
    metric.update(images[2:])
    assert float(metric.compute()) == pytest.approx(float(piqe(images).mean()), abs=1e-12)
    assert metric.higher_is_better is False


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_equal_on_a_gpu() -> None:
    image = picture(90, 75)
    found = piqe(image.cuda())
    assert found.is_cuda and float(found) == pytest.approx(float(piqe(image)), abs=0.01)
