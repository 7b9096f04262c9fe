from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from medrestore.losses import L1, MSE, Charbonnier, FeatureLoss
from medrestore.networks import VGG19Features

RESTORED, TARGET = torch.tensor([2.0, -1.0]).view(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)


class Doubled(nn.Module):
    """Features that can be checked by hand: the image, and its double."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, 2 * images]


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (L1(), 1.5),
        (MSE(), 2.5),
        (Charbonnier(), (math.sqrt(4 + 1e-6) + math.sqrt(1 + 1e-6)) / 2),
        (FeatureLoss(Doubled(), "l1"), (1.5 + 3.0) / 2),
        (FeatureLoss(Doubled(), "l2"), (2.5 + 10.0) / 2),
        (FeatureLoss(Doubled(), "l2", feature_scale=0.5), (2.5 + 10.0) / 8),
    ],
)
def test_values_by_hand(term: nn.Module, value: float) -> None:
    assert term(RESTORED, TARGET).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("term", [L1(), MSE(), Charbonnier(0.1)])
def test_masked_pixels_are_not_compared(term: nn.Module) -> None:
    torch.manual_seed(0)
    restored, target = torch.rand(2, 2, 3, 4, 4)
    mask = torch.ones(2, 1, 4, 4)
    torch.testing.assert_close(term(restored, target, mask), term(restored, target))
    mask[..., 2:] = 0
    torch.testing.assert_close(term(restored, target, mask), term(restored[..., :2], target[..., :2]))
    torch.testing.assert_close(term(restored, target, mask.bool()), term(restored, target, mask))
    assert term(restored, target, torch.zeros(2, 1, 4, 4)) == 0


def test_masked_pixels_have_no_gradient_through_features() -> None:
    torch.manual_seed(0)
    loss = FeatureLoss(VGG19Features(["conv2_1"], "random"), "l1")
    restored, target = torch.rand(1, 3, 16, 16, requires_grad=True), torch.rand(1, 3, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    loss(restored, target, mask).backward()
    assert restored.grad is not None
    assert restored.grad[..., :8].abs().min() > 0 and restored.grad[..., 8:].abs().max() == 0
    torch.testing.assert_close(loss(restored, target, torch.ones_like(mask)), loss(restored, target))


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_feature_loss_is_zero_at_equality_and_spares_the_target(distance: str) -> None:
    torch.manual_seed(0)
    loss = FeatureLoss(VGG19Features(["conv1_2", "conv3_3"], "random"), distance)  # type: ignore[arg-type]
    images = torch.rand(1, 3, 16, 16)
    assert loss(images, images).item() == 0
    restored, target = images.clone().requires_grad_(), torch.rand(1, 3, 16, 16, requires_grad=True)
    loss(restored, target).backward()
    assert restored.grad is not None and restored.grad.abs().max() > 0
    assert target.grad is None
    assert not loss.state_dict()


def test_half_precision_features_do_not_overflow() -> None:
    far = torch.full((1, 1, 64, 64), 1000.0, dtype=torch.float16)
    assert FeatureLoss(Doubled(), "l2")(far, torch.zeros_like(far)).item() == pytest.approx(2.5e6)


def test_unknown_distance_is_refused() -> None:
    with pytest.raises(ValueError, match="type l1 or l2"):
        FeatureLoss(Doubled(), "cosine")  # type: ignore[arg-type]
