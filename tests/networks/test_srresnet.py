"""The super-resolution generators: published sizes, what they see, what changes between training and test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from medrestore.errors import MedrestoreError
from medrestore.inference import restore_image
from medrestore.networks import RRDBNet, SRResNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def published_srresnet(channels: int, scale: int, slopes: int) -> int:
    """Layer by layer from arXiv:1609.04802, figure 4; `slopes` of a PReLU, which stands 1 + 16 + enlargements times."""
    convolution, norm = 64 * 64 * 9 + 64, 2 * 64
    blocks = 16 * (2 * (convolution + norm) + slopes)
    steps = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]
    enlarge = sum(64 * 64 * factor**2 * 9 + 64 * factor**2 + slopes for factor in steps)
    return (
        (channels * 64 * 81 + 64 + slopes) + blocks + (convolution + norm) + enlarge + (64 * channels * 81 + channels)
    )


def published_rrdb(channels: int, blocks: int, steps: int) -> int:
    """Layer by layer from arXiv:1809.00219, figures 3 and 4."""
    dense = sum((64 + 32 * index) * out * 9 + out for index, out in enumerate([32, 32, 32, 32, 64]))
    convolution = 64 * 64 * 9 + 64
    return blocks * 3 * dense + (2 + steps) * convolution + (channels * 64 * 9 + 64) + (64 * channels * 9 + channels)


def test_published_sizes() -> None:
    with torch.device("meta"):
        assert count(SRResNet()) == published_srresnet(3, 4, 1) == 1_549_462
        assert count(SRResNet(channel_slopes=True)) == published_srresnet(3, 4, 64)
        assert [count(SRResNet(1, scale=s)) for s in (2, 3, 8)] == [published_srresnet(1, s, 1) for s in (2, 3, 8)]
        assert count(RRDBNet()) == published_rrdb(3, 23, 2) == 16_697_987
        assert [count(RRDBNet(1, blocks=1, scale=s)) for s in (2, 3, 8)] == [published_rrdb(1, 1, n) for n in (1, 1, 3)]


def tiny_srresnet(channels: int = 1, scale: int = 4) -> SRResNet:
    return SRResNet(channels, 4, 2, scale)


def tiny_rrdb(channels: int = 1, scale: int = 4) -> RRDBNet:
    return RRDBNet(channels, 4, 1, 2, scale)


FAMILIES: list[Callable[..., nn.Module]] = [tiny_srresnet, tiny_rrdb]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size_is_enlarged_into_range(family: Callable[..., nn.Module], scale: int) -> None:
    torch.manual_seed(0)
    generator = family(3, scale).eval()
    for height, width in ((7, 5), (1, 1)):
        restored = generator(torch.rand(2, 3, height, width))
        assert restored.shape == (2, 3, scale * height, scale * width)
        assert restored.isfinite().all() and restored.min() >= 0 and restored.max() <= 1
    with pytest.raises(ValueError, match=r"takes \(N, 3, H, W\)"):
        generator(torch.rand(1, 1, 8, 8))


@pytest.mark.parametrize("family", FAMILIES)
def test_other_scales_are_refused(family: Callable[..., nn.Module]) -> None:
    for scale in (1, 5):
        with pytest.raises(MedrestoreError, match="enlarges by 2, 3, 4 or 8"):
            family(1, scale)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_context_is_exact(family: Callable[..., nn.Module], scale: int) -> None:
    """How far the gradient of any output pixel of one input pixel reaches; tiles rely on it."""
    torch.manual_seed(0)
    generator = family(1, scale).double().eval()
    for parameter in generator.parameters():
        nn.init.uniform_(parameter, 0.001, 0.01)  # no two ways cancel out, no output at the clamp
    side = 2 * generator.context + 3
    images = torch.full((1, 1, side, side), 0.5, dtype=torch.float64, requires_grad=True)
    middle, reach = side // 2, 0
    for row in range(scale * middle, scale * (middle + 1)):
        (gradient,) = torch.autograd.grad(generator(images)[0, 0, row, scale * middle], images)
        reach = max(reach, int((gradient[0, 0].abs().sum(dim=1).nonzero() - middle).abs().max()))
    assert reach == generator.context


@pytest.mark.parametrize("family", FAMILIES)
def test_tiles_give_the_whole_image(family: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    generator, image = family(scale=2).eval(), torch.rand(1, 40, 170)
    whole, tiled = restore_image(generator, image), restore_image(generator, image, tile=128)
    assert whole.shape == (1, 80, 340)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_weight(family: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    generator = family().train()
    (generator(torch.rand(2, 1, 8, 8)) - 0.7).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in generator.parameters())


def test_batch_norm_uses_its_running_statistics_at_test() -> None:
    torch.manual_seed(0)
    generator = tiny_srresnet()
    images = torch.rand(4, 1, 8, 8)
    beside_others, alone = generator.train()(images)[0], generator.train()(images[:1])[0]
    assert not torch.allclose(beside_others, alone, atol=1e-4)
    generator.eval()
    torch.testing.assert_close(generator(images)[0], generator(images[:1])[0])


def test_dropout_is_an_option_of_training_alone() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 1, 8, 8)
    dropping, plain = SRResNet(1, 4, 2, 2, dropout=0.5), SRResNet(1, 4, 2, 2)
    assert not torch.equal(dropping(images), dropping(images)) and torch.equal(plain(images), plain(images))
    plain.load_state_dict(dropping.state_dict())  # the same weights: a trained network can be loaded either way
    torch.testing.assert_close(dropping.eval()(images), plain.eval()(images))


def test_dense_blocks_see_all_before_them() -> None:
    """Against the equations written out: x5 of [x, x1, x2, x3, x4], scaled by 0.2, three times, scaled by 0.2 again."""
    torch.manual_seed(0)
    generator = RRDBNet(1, 4, 1, 2, 2).double()
    group = generator.body[0]
    images = torch.rand(1, 4, 6, 6, dtype=torch.float64)
    current = images
    for dense in group.body:
        x1, x2, x3, x4, x5 = dense.convolutions
        a = nn.functional.leaky_relu(x1(current), 0.2)
        b = nn.functional.leaky_relu(x2(torch.cat([current, a], 1)), 0.2)
        c = nn.functional.leaky_relu(x3(torch.cat([current, a, b], 1)), 0.2)
        d = nn.functional.leaky_relu(x4(torch.cat([current, a, b, c], 1)), 0.2)
        current = current + 0.2 * x5(torch.cat([current, a, b, c, d], 1))
    torch.testing.assert_close(group(images), images + 0.2 * current)
