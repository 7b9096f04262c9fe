import math

import pytest
import torch
from skimage.metrics import structural_similarity

from medrestore.metrics import SSIM, ssim, ssim_map


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(*shape, generator=generator)
    noise = 0.1 * torch.randn(*shape, generator=generator)
    return (target + noise).clamp(0, 1), target


@pytest.mark.parametrize("shape", [(3, 40, 57), (1, 11, 11), (1, 33, 12), (3, 64, 65)])
def test_score_and_map_equal_scikit_image(shape: tuple[int, int, int]) -> None:
    preds, target = pair(2, *shape)
    scores, maps = ssim(preds, target), ssim_map(preds, target)
    assert scores.shape == (2,) and scores.dtype == torch.float64
    assert maps.shape == preds.shape and maps.dtype == torch.float64
    for i in range(2):
        score, full = structural_similarity(
            target[i].double().numpy(),
            preds[i].double().numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
            full=True,
        )
        assert float(scores[i]) == pytest.approx(score, abs=1e-10)
        assert maps[i].numpy() == pytest.approx(full, abs=1e-10)


def test_identical_images_have_one() -> None:
    _, target = pair(2, 3, 20, 20)
    assert ssim(target, target).tolist() == pytest.approx([1, 1], abs=1e-12)
    black = torch.zeros(1, 1, 16, 16)
    assert float(ssim(black, black)) == 1


def test_constant_images_by_hand() -> None:
    a, b = torch.full((1, 1, 12, 12), 0.25, dtype=torch.float64), torch.full((1, 1, 12, 12), 0.75, dtype=torch.float64)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(expected, abs=1e-12)


def test_mask_averages_the_map_inside_it() -> None:
    preds, target = pair(2, 3, 40, 50)
    mask = torch.zeros(2, 1, 40, 50, dtype=torch.bool)
    mask[0, :, 10:20, 12:30] = True
    mask[1] = True
    found = ssim(preds, target, mask=mask)
    assert float(found[0]) == pytest.approx(float(ssim_map(preds, target)[0, :, 10:20, 12:30].mean()), abs=1e-12)
    assert float(found[1]) == pytest.approx(float(ssim(preds[1:], target[1:])), abs=1e-12)
    mask[0] = False
    mask[0, :, :5] = True  # nothing but border
    assert math.isnan(float(ssim(preds, target, mask=mask)[0]))


def test_too_small_images_are_refused() -> None:
    preds, target = pair(1, 1, 10, 40)
    with pytest.raises(ValueError, match="at least 11 x 11, found 10 x 40"):
        ssim(preds, target)
    with pytest.raises(ValueError, match=r"preds must be in \[0, 1\]"):
        ssim(torch.full((1, 1, 12, 12), 255.0), torch.zeros(1, 1, 12, 12))


def test_class_averages_images() -> None:
    preds, target = pair(3, 1, 16, 16)
    metric = SSIM()
    metric.update(preds[:2], target[:2])
    metric.update(preds[2:], target[2:])
    assert float(metric.compute()) == pytest.approx(float(ssim(preds, target).mean()), abs=1e-12)
    assert int(metric.left_out) == 0
