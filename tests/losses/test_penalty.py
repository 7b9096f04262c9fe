"""Trap T1 of public codes: the penalty is per sample over all elements, with one mixing number a sample."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medrestore.losses import gradient_penalty
from medrestore.networks import PatchCritic

SHAPE = (3, 5, 4)


def linear(norm: float) -> Tensor:
    """The weights of a linear critic whose gradient has this norm."""
    direction = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    return norm * direction / direction.norm()


def pair(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, *SHAPE, generator=generator), torch.rand(count, *SHAPE, generator=generator)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize(("norm", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.25, 0.5625)])
def test_linear_critic(count: int, norm: float, expected: float) -> None:
    weights = linear(norm)
    penalty = gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3)), *pair(count))
    assert penalty.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_map_of_scores_is_averaged_as_in_the_wasserstein_loss(count: int) -> None:
    # the mean of 20 positions of c * x has the gradient c / 20 everywhere in one channel: norm c / sqrt(20)
    penalty = gradient_penalty(lambda x: 3 * math.sqrt(20) * x[:, :1], *pair(count))
    assert penalty.item() == pytest.approx(4.0, abs=1e-5)


def test_one_mixing_number_a_sample() -> None:
    # D(x) = |x|^2 / 2 has the gradient x; with fake = 0 the norm at x_hat is mixing * |real|
    real, _ = pair(4)
    penalty = gradient_penalty(
        lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real, torch.zeros_like(real), torch.Generator().manual_seed(5)
    )
    mixing = torch.rand(4, 1, 1, 1, generator=torch.Generator().manual_seed(5)).flatten()
    expected = (mixing * real.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(penalty, expected)
    assert len(set(mixing.tolist())) == 4


def test_global_state_is_used_without_a_generator() -> None:
    real, fake = pair(2)
    torch.manual_seed(3)
    first = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)), real, fake)
    second = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)), real, fake)
    torch.manual_seed(3)
    assert gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)), real, fake) == first != second


def test_gradient_of_a_linear_critic_is_analytic() -> None:
    weights = linear(3.0).requires_grad_()
    gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3)), *pair(3)).backward()
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    torch.testing.assert_close(weights.grad, 2 * 2 * weights.detach() / 3)


@pytest.mark.parametrize("norm", ["instance", "none", "batch"])
def test_gradient_of_the_critic_equals_finite_differences(norm: str) -> None:
    torch.manual_seed(0)
    critic = PatchCritic(3, 4, 2, norm=norm).double()  # type: ignore[arg-type]
    real, fake = torch.rand(2, 2, 3, 16, 16, dtype=torch.float64)

    def penalty() -> Tensor:
        return gradient_penalty(critic, real, fake, torch.Generator().manual_seed(1))

    penalty().backward()
    for convolution in (critic.body[0], critic.body[2], critic.body[-1]):
        weight = convolution.weight
        assert isinstance(weight, Tensor) and weight.grad is not None
        for index in ((0, 0, 0, 0), (0, 1, 2, 3)):
            ends = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    weight[index] += step
                ends.append(penalty().item())
                with torch.no_grad():
                    weight[index] -= step
            slope = (ends[0] - ends[1]) / 2e-5
            assert weight.grad[index].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_flat_critic_has_penalty_one_and_a_finite_gradient() -> None:
    weights = torch.zeros(SHAPE, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3)), *pair(2))
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0, abs=1e-5)
    assert weights.grad is not None and weights.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_images_are_computed_in_single_precision(dtype: torch.dtype) -> None:
    weights = linear(3.0)
    real, fake = (images.to(dtype) for images in pair(2))
    penalty = gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3)), real, fake)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(4.0, abs=1e-5)


def test_autocast_changes_nothing() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(3, 4, 1)
    real, fake = torch.rand(2, 2, 3, 16, 16)
    plain = gradient_penalty(critic, real, fake, torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = gradient_penalty(critic, real, fake, torch.Generator().manual_seed(1))
    assert torch.equal(plain, cast)
    precise = gradient_penalty(critic.double(), real.double(), fake.double(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(plain.double(), precise, rtol=1e-5, atol=0)


def test_no_gradient_reaches_the_images() -> None:
    real, fake = (images.requires_grad_() for images in pair(2))
    weights = linear(2.0).requires_grad_()
    gradient_penalty(lambda x: (x.square() * weights).sum(dim=(1, 2, 3)), real, fake).backward()
    assert real.grad is None and fake.grad is None and weights.grad is not None


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        gradient_penalty(lambda x: x, torch.rand(2, 3, 4, 4), torch.rand(1, 3, 4, 4))
