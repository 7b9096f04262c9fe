"""The generator for veiled photographs: safe at the start, any size, exact context, able to undo a veil."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrestore.networks import IlluminationResidual


def awake(deviation: float = 0.2, channels: int = 3, depth: int = 1, map_depth: int = 1) -> IlluminationResidual:
    """A small one in which every weight, those that start at 0 included, has a random value."""
    generator = IlluminationResidual(channels, width=4, depth=depth, map_width=4, map_depth=map_depth)
    torch.manual_seed(1)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, deviation)
    return generator


def test_size() -> None:
    assert sum(p.numel() for p in IlluminationResidual().parameters()) == 86_042


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3), (1, 1), (1, 19)])
def test_starts_as_the_identity_and_takes_any_size(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    assert torch.equal(IlluminationResidual()(images), images)
    restored = awake()(images)
    assert restored.shape == images.shape and not torch.equal(restored, images)
    assert restored.isfinite().all() and restored.min() >= 0 and restored.max() <= 1


def test_one_channel_and_wrong_channels() -> None:
    assert awake(channels=1)(torch.rand(2, 1, 9, 8)).shape == (2, 1, 9, 8)
    with pytest.raises(ValueError, match=r"IlluminationResidual takes \(N, 1, H, W\), got \(1, 3, 8, 8\)"):
        awake(channels=1)(torch.rand(1, 3, 8, 8))


def test_samples_do_not_meet_and_gradients_reach_every_weight() -> None:
    generator = awake().double()
    images = torch.rand(2, 3, 20, 36, dtype=torch.float64)
    both = generator(images)
    # the map is found in float32
    torch.testing.assert_close(both, torch.cat([generator(image[None]) for image in images]), rtol=1e-5, atol=1e-5)
    (both - 0.5).square().sum().backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


def test_leaves_the_identity_after_three_steps() -> None:
    torch.manual_seed(0)
    generator = IlluminationResidual(width=4, depth=1, map_width=4, map_depth=1)
    before = {name: p.detach().clone() for name, p in generator.named_parameters()}
    optimizer = torch.optim.Adam(generator.parameters(), 1e-2)
    images = 0.2 + 0.6 * torch.rand(1, 3, 32, 32)
    for _ in range(3):
        optimizer.zero_grad()
        (generator(images) - images * 0.5).square().mean().backward()
        optimizer.step()
    assert not [name for name, p in generator.named_parameters() if torch.equal(p, before[name])]


def test_a_constant_map_undoes_a_veil_exactly() -> None:
    """Haze `t * image + (1 - t) * light` is undone by the gain 1/t and the offset -(1 - t) / t * light."""
    generator = IlluminationResidual()
    transmission, light = 0.5, torch.tensor([0.9, 0.8, 0.6])
    with torch.no_grad():
        # gain = exp(log 4 * tanh(g)) = 2
        generator.last.bias[:3] = torch.atanh(torch.tensor(0.5))
        generator.last.bias[3:] = -(1 - transmission) / transmission * light
    image = torch.rand(1, 3, 40, 24)
    veiled = transmission * image + (1 - transmission) * light[:, None, None]
    torch.testing.assert_close(generator(veiled), image, rtol=0, atol=1e-5)


def test_gain_stays_within_its_limits() -> None:
    gain, offset = awake(20.0).illumination(torch.rand(1, 3, 64, 64))
    assert gain.min() >= 0.25 - 1e-6 and gain.max() <= 4 + 1e-5
    assert gain.shape == offset.shape == (1, 3, 64, 64)


def reach(generator: IlluminationResidual, images: Tensor, row: int) -> int:
    (gradient,) = torch.autograd.grad(generator(images)[0, 0, row, row], images)
    return int((gradient[0, 0].abs().sum(dim=1).nonzero() - row).abs().max())


@pytest.mark.parametrize(("depth", "map_depth"), [(0, 0), (1, 1)])
def test_context_is_exact(depth: int, map_depth: int) -> None:
    generator = awake(0.3, 1, depth, map_depth)
    for module in generator.modules():  # nothing is switched off, and every difference is kept
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.forward = lambda features: features  # type: ignore[method-assign]
    with torch.no_grad():
        generator.last.weight.mul_(0.01)
        generator.last.bias.zero_()
        generator.residual.last.weight.mul_(0.01)
        generator.residual.last.bias.zero_()  # type: ignore[union-attr]
    size = 16 * (2 * map_depth + 9)
    images = (0.5 + 0.01 * torch.rand(1, 1, size, size)).requires_grad_()
    start = size // 32 * 16
    assert max(reach(generator, images, row) for row in range(start, start + 16)) == generator.context


def test_autocast_keeps_the_map_in_single_precision() -> None:
    generator = awake()
    images = torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        gain, offset = generator.illumination(images)
        restored = generator(images)
    assert gain.dtype == offset.dtype == torch.float32
    torch.testing.assert_close(restored.float(), generator(images), rtol=0, atol=0.1)
