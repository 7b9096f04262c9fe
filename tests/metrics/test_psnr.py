import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from medrestore.metrics import PSNR, psnr


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(*shape, generator=generator)
    noise = 0.1 * torch.randn(*shape, generator=generator)
    return (target + noise).clamp(0, 1), target


def test_a_difference_of_a_tenth_is_twenty_decibel() -> None:
    target = torch.linspace(0, 0.9, 120, dtype=torch.float64).view(1, 3, 5, 8)
    assert psnr(target + 0.1, target).tolist() == pytest.approx([20], abs=1e-12)


def test_equals_scikit_image_image_by_image() -> None:
    preds, target = pair(4, 3, 20, 31)
    expected = [
        peak_signal_noise_ratio(t.double().numpy(), p.double().numpy(), data_range=1.0)
        for p, t in zip(preds, target, strict=True)
    ]
    found = psnr(preds, target)
    assert found.shape == (4,) and found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_identical_images_are_infinite() -> None:
    _, target = pair(2, 1, 5, 5)
    assert psnr(target, target).tolist() == [math.inf, math.inf]


def test_only_pixels_inside_the_mask_count() -> None:
    preds, target = pair(2, 3, 16, 16)
    mask = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    mask[0, :, 3:9, 4:12] = True
    mask[1, :, :2] = True
    expected = [
        float(psnr(preds[:1, :, 3:9, 4:12], target[:1, :, 3:9, 4:12])),
        float(psnr(preds[1:, :, :2], target[1:, :, :2])),
    ]
    assert psnr(preds, target, mask=mask).tolist() == pytest.approx(expected, abs=1e-12)
    assert math.isnan(float(psnr(preds[:1], target[:1], mask=torch.zeros_like(mask[:1]))))


def test_wrong_input_is_named() -> None:
    preds, target = pair(1, 1, 6, 6)
    with pytest.raises(ValueError, match=r"preds must be in \[0, 1\], found min=.*, max=1.5"):
        psnr(torch.full_like(target, 1.5), target)
    with pytest.raises(ValueError, match=r"target must be in \[0, 1\], found min=-0.001"):
        psnr(preds, torch.full_like(target, -0.001))
    with pytest.raises(ValueError, match="preds"):
        psnr(torch.full_like(target, math.nan), target)
    with pytest.raises(ValueError, match=r"\(1, 1, 6, 6\) and \(1, 1, 6, 5\)"):
        psnr(preds, target[..., :5])
    with pytest.raises(ValueError, match="N, C, H, W"):
        psnr(preds[0], target[0])
    with pytest.raises(ValueError, match="mask must be bool"):
        psnr(preds, target, mask=torch.ones_like(target))
    assert torch.isfinite(psnr(preds, target + (1 - target.max()) + 5e-5))


def test_class_averages_images_not_pixels_and_counts_infinite_ones() -> None:
    preds, target = pair(3, 1, 8, 8)
    preds[1] = target[1]
    metric = PSNR()
    metric.update(preds[:2], target[:2])
    metric.update(preds[2:], target[2:])
    values = psnr(preds, target)
    assert float(metric.compute()) == pytest.approx(np.mean([float(values[0]), float(values[2])]), abs=1e-12)
    assert int(metric.left_out) == 1 and int(metric.count) == 2
    metric.reset()
    metric.update(target, target)
    assert float(metric.compute()) == math.inf
    assert metric.higher_is_better and not metric.state_dict()
