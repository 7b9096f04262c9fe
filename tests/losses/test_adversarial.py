from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from medrestore.losses import (
    CrossEntropy,
    LeastSquares,
    Wasserstein,
    relativistic_critic_loss,
    relativistic_generator_loss,
)

REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([3.0, -1.0])


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


@pytest.mark.parametrize(
    ("pair", "critic", "generator"),
    [
        (Wasserstein(), 1.0 - 0.5, -1.0),
        # real: (1^2 + 2^2) / 2 = 2.5, fake: (9 + 1) / 2 = 5; generator: (2^2 + 2^2) / 2 = 4
        (LeastSquares(), (2.5 + 5.0) / 2, 4.0),
        (
            CrossEntropy(),
            (softplus(-2) + softplus(1)) / 2 + (softplus(3) + softplus(-1)) / 2,
            (softplus(-3) + softplus(1)) / 2,
        ),
    ],
)
def test_values_by_hand(pair: Wasserstein | LeastSquares | CrossEntropy, critic: float, generator: float) -> None:
    assert pair.critic(REAL, FAKE).item() == pytest.approx(critic, rel=1e-6)
    assert pair.generator(FAKE).item() == pytest.approx(generator, rel=1e-6)


def test_cross_entropy_is_torchs_on_logits_and_safe_far_out() -> None:
    real, fake = 200 * torch.randn(2, 5, 1, 3, 3)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    expected = F.binary_cross_entropy_with_logits(real, ones) + F.binary_cross_entropy_with_logits(fake, zeros)
    torch.testing.assert_close(CrossEntropy().critic(real, fake), expected)
    torch.testing.assert_close(CrossEntropy().generator(fake), F.binary_cross_entropy_with_logits(fake, ones))


def test_relativistic_average_by_hand() -> None:
    # real 2, -1 against the fake ones' mean 1; fake 3, -1 against the real ones' mean 0.5
    real, fake = (1.0, -2.0), (2.5, -1.5)
    critic = sum(softplus(-r) for r in real) / 2 + sum(softplus(f) for f in fake) / 2
    generator = sum(softplus(r) for r in real) / 2 + sum(softplus(-f) for f in fake) / 2
    assert relativistic_critic_loss(REAL, FAKE).item() == pytest.approx(critic, rel=1e-6)
    assert relativistic_generator_loss(REAL, FAKE).item() == pytest.approx(generator, rel=1e-6)
    torch.testing.assert_close(relativistic_critic_loss(REAL + 9, FAKE + 9), relativistic_critic_loss(REAL, FAKE))


@pytest.mark.parametrize("pair", [Wasserstein(), LeastSquares(), CrossEntropy()])
def test_descent_separates_the_critic_and_lifts_the_generator(
    pair: Wasserstein | LeastSquares | CrossEntropy,
) -> None:
    real, fake = torch.zeros(2, 1, 3, 3, requires_grad=True), torch.full((2, 1, 3, 3), 0.5, requires_grad=True)
    real_slope, fake_slope = torch.autograd.grad(pair.critic(real, fake), (real, fake))
    assert (real_slope < 0).all() and (fake_slope > 0).all()
    (slope,) = torch.autograd.grad(pair.generator(fake), fake)
    assert (slope < 0).all()
