from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medrestore.losses import Smoothness, smoothness


def test_value_by_hand() -> None:
    restored = torch.tensor([[0.0, 0.5], [0.2, 0.1]]).view(1, 1, 2, 2)
    target = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    rows = (0.2 * 1 + 0.4 * math.exp(-2)) / 2  # downwards: target differs by 0 and 1
    columns = (0.5 * math.exp(-2) + 0.1 * 1) / 2
    assert Smoothness(2.0)(restored, target).item() == pytest.approx(rows + columns, rel=1e-6)


@pytest.mark.parametrize("edge_gain", [0.0, 1.0, 10.0])
def test_equals_monodepths_form_in_numpy(edge_gain: float) -> None:
    """mean |d restored * exp(-gain * mean_c |d target|)| in x plus the same in y."""
    random = np.random.default_rng(0)
    restored, target = random.random((2, 2, 3, 9, 12))
    expected = 0.0
    for axis in (2, 3):
        weight = np.exp(-edge_gain * np.abs(np.diff(target, axis=axis)).mean(axis=1, keepdims=True))
        expected += np.abs(weight * np.diff(restored, axis=axis)).mean()
    found = smoothness(torch.from_numpy(restored), torch.from_numpy(target), edge_gain=edge_gain)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_gradient_reaches_the_restored_image_and_not_the_target() -> None:
    """The public code of paper S4 detaches both: its term moves nothing."""
    torch.manual_seed(0)
    restored = torch.rand(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image: smoothness(image, target.detach(), edge_gain=3.0), (restored,))
    smoothness(restored, target).backward()
    assert restored.grad is not None and (restored.grad != 0).any() and target.grad is None


def test_an_edge_of_the_target_excuses_one_of_the_restored_image() -> None:
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1
    elsewhere = step.roll(2, dims=-1)
    elsewhere[..., :2] = 0
    term = Smoothness(10.0)
    assert term(step, step).item() == pytest.approx(math.exp(-10) / 7, rel=1e-5)
    assert term(step, elsewhere).item() == pytest.approx(1 / 7, rel=1e-5)
    assert term(torch.full_like(step, 0.3), step).item() == 0


def test_differences_across_the_masks_border_do_not_count() -> None:
    torch.manual_seed(0)
    restored, target = torch.rand(2, 2, 3, 6, 8)
    mask = torch.ones(2, 1, 6, 8)
    torch.testing.assert_close(smoothness(restored, target, mask), smoothness(restored, target))
    mask[..., 5:] = 0
    torch.testing.assert_close(smoothness(restored, target, mask), smoothness(restored[..., :5], target[..., :5]))
    torch.testing.assert_close(smoothness(restored, target, mask.bool()), smoothness(restored, target, mask))
    assert smoothness(restored, target, torch.zeros_like(mask)) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_lines_and_single_pixels_are_finite(size: tuple[int, int]) -> None:
    restored, target = torch.rand(2, 1, 1, *size)
    expected = restored.diff(dim=-1).abs() if size[1] > 1 else restored.diff(dim=-2).abs()
    found = smoothness(restored, target, edge_gain=0.0)
    assert found.item() == pytest.approx(expected.mean().item() if expected.numel() else 0.0)


def test_half_precision_is_computed_in_single() -> None:
    restored, target = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).half()
    found = smoothness(restored, target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, smoothness(restored.float(), target.float()))


def test_negative_gain_is_refused() -> None:
    with pytest.raises(ValueError, match="type edge_gain"):
        Smoothness(-1.0)
