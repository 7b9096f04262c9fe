from __future__ import annotations

from typing import Literal

import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.networks import FeatureCritic, PatchCritic


def test_paper_size() -> None:
    critic = PatchCritic(3, 64, 3)
    assert sum(p.numel() for p in critic.parameters()) == 2_764_737
    with torch.device("meta"):
        critic.to("meta")
        assert critic(torch.empty(1, 3, 256, 256)).shape == (1, 1, 35, 35)


def test_conditional_critic_of_pix2pix() -> None:
    with torch.device("meta"):
        critic = PatchCritic(3, 64, 3, norm="batch", padding=1, condition_channels=3)
        assert sum(p.numel() for p in critic.parameters()) == 2_768_705  # as the authors' code prints
        images = torch.empty(1, 3, 256, 256)
        assert critic(images, images).shape == (1, 1, 30, 30)


def test_condition_stands_before_the_image() -> None:
    torch.manual_seed(0)
    conditional, plain = PatchCritic(1, 4, 2, condition_channels=3), PatchCritic(4, 4, 2)
    plain.load_state_dict(conditional.state_dict())
    image, condition = torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16)
    assert torch.equal(conditional(image, condition), plain(torch.cat([condition, image], dim=1)))


@pytest.mark.parametrize(
    ("channels", "condition", "told"),
    [(0, 3, "was given a condition"), (3, None, "was given no condition"), (3, 1, r"takes \(N, 3, H, W\)")],
)
def test_wrong_conditions_are_refused(channels: int, condition: int | None, told: str) -> None:
    given = None if condition is None else torch.rand(1, condition, 8, 8)
    with pytest.raises(ValueError, match=told):
        PatchCritic(3, 4, 2, condition_channels=channels)(torch.rand(1, 3, 8, 8), given)


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (24, 23), (70, 70)])
@pytest.mark.parametrize("layers", [1, 3])
def test_padding_one_takes_any_size(size: tuple[int, int], layers: int) -> None:
    critic = PatchCritic(1, 4, layers, padding=1)
    assert critic(torch.rand(2, 1, *size)).isfinite().all()
    smallest = critic(torch.rand(1, 1, critic.least, critic.least))
    assert smallest.shape == (1, 1, 1, 1)


def test_batch_norm_remembers_nothing_between_passes() -> None:
    """A pass over the penalty's mixtures must not move what real and fake images are scored with."""
    torch.manual_seed(0)
    critic = PatchCritic(3, 4, 2, norm="batch").train()
    assert not list(critic.buffers())
    images = torch.rand(2, 3, 16, 16)
    before = critic(images)
    critic(10 * torch.rand(2, 3, 16, 16))
    assert torch.equal(critic(images), before) and torch.equal(critic.eval()(images), before)


def test_scores_are_of_both_signs_and_any_size_works() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 4, 2)
    scores = critic(torch.rand(4, 1, 33, 47))
    assert scores.min() < 0 < scores.max()  # no sigmoid
    assert critic(torch.rand(1, 1, 1, 1)).isfinite().all()
    with pytest.raises(ValueError, match="PatchCritic takes"):
        critic(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(("norm", "mixes"), [("instance", False), ("group", False), ("none", False), ("batch", True)])
def test_only_batch_norm_mixes_samples(norm: str, mixes: bool) -> None:
    torch.manual_seed(0)
    critic = PatchCritic(3, 4, 2, norm=norm).train()  # type: ignore[arg-type]
    first, second, other = torch.rand(3, 1, 3, 32, 32)
    beside_second, beside_other = critic(torch.cat([first, second]))[0], critic(torch.cat([first, other]))[0]
    # equal arithmetic gives equal numbers; mixing moves them by far more than rounding
    assert torch.allclose(beside_second, beside_other, atol=1e-6) != mixes
    critic = FeatureCritic(3, 4, norm=norm).train()  # type: ignore[arg-type]
    beside_second, beside_other = critic(torch.cat([first, second]))[0], critic(torch.cat([first, other]))[0]
    assert torch.allclose(beside_second, beside_other, atol=1e-6) != mixes


def test_unknown_norm_is_refused() -> None:
    with pytest.raises(MedrestoreError, match="type instance, group, batch or none"):
        PatchCritic(norm="layer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="type 1 or 2"):
        PatchCritic(padding=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("padding", [1, 2])
def test_patch_sees_seventy_pixels(padding: Literal[1, 2]) -> None:
    critic = PatchCritic(1, 2, 3, norm="none", padding=padding).double()
    image = torch.rand(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic(image)[0, 0, 17, 17], image)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_feature_critic_of_the_retina_paper() -> None:
    with torch.device("meta"):
        critic = FeatureCritic()
        assert sum(p.numel() for p in critic.parameters()) == 1_555_585
        shapes = [tuple(layer.shape[1:]) for layer in critic.features(torch.empty(1, 3, 256, 256))]
    assert shapes == [(64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 16, 16), (1, 16, 16)]
    assert len(shapes) == critic.layers


def test_feature_critic_sees_sixty_three_pixels() -> None:
    critic = FeatureCritic(1, 2, norm="none").double()
    image = torch.rand(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic(image)[0, 0, 8, 8], image)
    for axis in (0, 1):
        seen = gradient[0, 0].abs().sum(dim=axis).nonzero()
        assert int(seen.max() - seen.min()) + 1 == 63


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_features_are_those_of_the_layers_after_their_activation(norm: Literal["instance", "none"]) -> None:
    """Against the convolutions written out; what a later layer does must not change what an earlier one handed out."""
    torch.manual_seed(0)
    critic, functional = FeatureCritic(3, 4, norm=norm).double(), torch.nn.functional
    image = torch.rand(2, 3, 33, 47, dtype=torch.float64)
    expected, current = [], 2 * image - 1
    convolutions = [module for module in critic.modules() if isinstance(module, torch.nn.Conv2d)]
    for index, convolution in enumerate(convolutions):
        stride = 2 if index < 4 else 1
        current = functional.conv2d(current, convolution.weight, convolution.bias, stride, padding=1)
        if norm == "instance" and 1 <= index <= 3:
            current = functional.instance_norm(current)
        if index < 4:
            current = functional.leaky_relu(current, 0.2)
        expected.append(current)
    found = critic.features(image)
    torch.testing.assert_close(found, expected)
    assert torch.equal(critic(image), found[-1])
    assert found[-1].min() < 0 or found[-1].max() > 1  # no sigmoid


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (70, 70)])
@pytest.mark.parametrize("norm", ["instance", "group", "none"])
def test_feature_critic_takes_any_size_and_learns(size: tuple[int, int], norm: Literal["instance", "none"]) -> None:
    critic = FeatureCritic(1, 3, norm=norm)  # channels that eight groups do not divide
    images = torch.rand(2, 1, *size)
    critic(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.parameters())
    with pytest.raises(ValueError, match="FeatureCritic takes"):
        critic(torch.rand(1, 3, 8, 8))
