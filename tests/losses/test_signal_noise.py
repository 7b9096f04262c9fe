from __future__ import annotations

import pytest
import torch

from medrestore.losses import PSNRLoss
from medrestore.metrics import psnr


def images() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    target = torch.rand(3, 1, 12, 12, generator=drawn)
    noise = torch.randn(3, 1, 12, 12, generator=drawn) * torch.tensor([0.3, 0.1, 0.03]).view(3, 1, 1, 1)
    return (target + noise).clamp(0, 1), target


def test_the_term_is_a_constant_minus_the_mean_psnr() -> None:
    restored, target = images()
    expected = 120 - psnr(restored, target).mean()
    assert PSNRLoss(epsilon=1e-12)(restored, target).item() == pytest.approx(expected.item(), abs=1e-4)
    mask = torch.ones(3, 1, 12, 12)
    mask[:, :, :, 7:] = 0
    cut = 120 - psnr(restored[..., :7], target[..., :7]).mean()
    assert PSNRLoss(epsilon=1e-12)(restored, target, mask).item() == pytest.approx(cut.item(), abs=1e-4)


def test_every_crop_pulls_by_the_share_of_its_error() -> None:
    restored, target = images()
    restored.requires_grad_()
    PSNRLoss(epsilon=1e-12)(restored, target).backward()
    assert restored.grad is not None
    # d/ds of 10 log10(MSE) along the error itself is 20 / ln 10 for every crop, whatever its noise
    along = (restored.grad * (restored - target)).sum(dim=(1, 2, 3)).detach()
    torch.testing.assert_close(along, torch.full((3,), 20 / 2.302585 / 3), atol=1e-4, rtol=0)


def test_equal_and_empty_crops_have_a_finite_slope() -> None:
    target = torch.full((2, 3, 8, 8), 0.5)
    restored = target.clone().requires_grad_()
    loss = PSNRLoss()(restored, target, torch.zeros(2, 1, 8, 8))
    loss.backward()
    assert loss.item() == 0 and restored.grad is not None and not restored.grad.any()
