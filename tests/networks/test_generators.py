"""What every generator promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from medrestore.networks import NAFNet, PlainResidual, ResnetGenerator, UNet


def tiny_nafnet(channels: int = 3, scale: int = 1) -> NAFNet:
    return NAFNet(channels, 4, [1, 1], 1, [1, 1], scale=scale)


def tiny_resnet(channels: int = 3) -> ResnetGenerator:
    return ResnetGenerator(channels, width=4, blocks=2)


def tiny_resize(channels: int = 3) -> ResnetGenerator:
    return ResnetGenerator(channels, width=4, blocks=1, global_residual=False, upsampling="resize")


def tiny_plain(channels: int = 3, scale: int = 1) -> PlainResidual:
    return PlainResidual(channels, width=4, depth=1, scale=scale)


def tiny_unet(channels: int = 3) -> UNet:
    return UNet(channels, width=4, depth=3, norm="instance")


FAMILIES: list[Callable[..., nn.Module]] = [tiny_nafnet, tiny_resnet, tiny_resize, tiny_plain, tiny_unet]
ENLARGING: list[Callable[..., nn.Module]] = [tiny_nafnet, tiny_plain]


def wake(generator: nn.Module, deviation: float = 0.2) -> nn.Module:
    """Give every weight, those that start at 0 included, a random value."""
    torch.manual_seed(1)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, deviation)
    return generator


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3), (1, 1), (1, 9)])
def test_any_size_comes_back_in_range(family: Callable[..., nn.Module], size: tuple[int, int]) -> None:
    generator = wake(family()).train()
    restored = generator(torch.rand(1, 3, *size))
    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all() and restored.min() >= 0 and restored.max() <= 1


@pytest.mark.parametrize("family", ENLARGING)
@pytest.mark.parametrize("size", [(33, 47), (5, 3), (1, 1)])
def test_any_size_is_enlarged(family: Callable[..., nn.Module], size: tuple[int, int]) -> None:
    for scale in (2, 3, 4):
        generator = wake(family(scale=scale))
        assert generator.scale == scale
        assert generator(torch.rand(1, 3, *size)).shape == (1, 3, scale * size[0], scale * size[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_one_channel_in_one_channel_out(family: Callable[..., nn.Module]) -> None:
    generator = family(channels=1)
    assert generator.channels == 1
    assert generator(torch.rand(2, 1, 9, 8)).shape == (2, 1, 9, 8)
    with pytest.raises(ValueError, match=r"takes \(N, 1, H, W\), got \(1, 3, 8, 8\)"):
        generator(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_do_not_meet_and_gradients_reach_every_weight(family: Callable[..., nn.Module]) -> None:
    generator = wake(family()).double()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    both = generator(images)
    torch.testing.assert_close(both, torch.cat([generator(image[None]) for image in images]))
    (both - 0.5).square().sum().backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_does_not_depend_on_the_memory_layout(family: Callable[..., nn.Module]) -> None:
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        generator = wake(family()).double().to(memory_format=layout)  # type: ignore[call-overload]
        torch.manual_seed(2)
        images = torch.rand(1, 3, 16, 20, dtype=torch.float64)
        target = torch.rand_like(images)
        (generator(images.contiguous(memory_format=layout)) - target).square().mean().backward()
        found.append({name: p.grad for name, p in generator.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-8, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("family", ENLARGING)
@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 1)])
def test_training_starts_from_the_identity(family: Callable[..., nn.Module], size: tuple[int, int]) -> None:
    images = torch.rand(1, 3, *size)
    assert torch.equal(family()(images), images)


@pytest.mark.parametrize("family", ENLARGING)
def test_training_starts_from_bicubic_upsampling(family: Callable[..., nn.Module]) -> None:
    images = torch.rand(1, 3, 9, 7)
    bicubic = nn.functional.interpolate(images, size=(18, 14), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(family(scale=2)(images), bicubic)


@pytest.mark.parametrize("family", ENLARGING)
def test_leaves_the_identity_after_two_steps(family: Callable[..., nn.Module]) -> None:
    """Weights that start at 0 must not hold the ones behind them at 0."""
    torch.manual_seed(0)
    generator = family()
    before = {name: p.detach().clone() for name, p in generator.named_parameters()}
    optimizer = torch.optim.Adam(generator.parameters(), 1e-2)
    images, target = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    for _ in range(3):
        optimizer.zero_grad()
        (generator(images) - target).square().mean().backward()
        optimizer.step()
    assert not [name for name, p in generator.named_parameters() if torch.equal(p, before[name])]


@pytest.mark.parametrize(
    ("generator", "count"),
    [
        (lambda: ResnetGenerator(3, 64, 9), 11_378_179),
        (lambda: ResnetGenerator(3, 64, 9, upsampling="resize"), 11_378_179),
        (lambda: NAFNet(3, 32, [1, 1, 1, 28], 1, [1, 1, 1, 1]), 17_111_907),  # published: 17.11 M
        (lambda: PlainResidual(), 259_836),
    ],
)
def test_parameter_counts(generator: Callable[[], nn.Module], count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in generator().parameters()) == count


def test_statistics_of_the_whole_image_are_admitted() -> None:
    assert tiny_nafnet().context is None
    assert tiny_resnet().context is None


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("unshuffle", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 2])
def test_context_of_the_plain_network_is_exact(depth: int, unshuffle: int, scale: int) -> None:
    generator = wake(PlainResidual(1, 4, depth, unshuffle, scale), 0.05).double()  # no output at the clamp
    size = 12 * unshuffle * (depth + 1) + 1
    images = torch.full((1, 1, size, size), 0.5, dtype=torch.float64, requires_grad=True)
    reach = 0
    middle = size // 2  # the first row of a folded pixel
    for row in range(scale * middle, scale * (middle + unshuffle)):
        (gradient,) = torch.autograd.grad(generator(images)[0, 0, row, scale * middle], images)
        rows = gradient[0, 0].abs().sum(dim=1).nonzero()
        reach = max(reach, int((rows - row // scale).abs().max()))
    assert reach == generator.context


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    torch.manual_seed(0)
    generator = wake(ResnetGenerator(3, 4, 2, dropout=0.5))
    images = torch.rand(1, 3, 16, 16)
    assert not torch.equal(generator(images), generator(images))
    generator.eval()
    assert torch.equal(generator(images), generator(images))


def test_global_residual_adds_the_input() -> None:
    generator = ResnetGenerator(3, 4, 1)
    for parameter in generator.parameters():
        nn.init.zeros_(parameter)
    images = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(generator(images), images)
    generator.global_residual = False
    assert torch.equal(generator(images), torch.full_like(images, 0.5))


def test_weights_start_as_in_the_public_code() -> None:
    torch.manual_seed(0)
    convolutions = [m for m in ResnetGenerator(3, 16, 2).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    weights = torch.cat([convolution.weight.detach().flatten() for convolution in convolutions])
    assert all(convolution.bias is not None and not convolution.bias.any() for convolution in convolutions)
    assert abs(float(weights.std()) - 0.02) < 2e-4 and abs(float(weights.mean())) < 2e-4


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="type transposed or resize"):
        ResnetGenerator(upsampling="nearest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 encoder levels but 1 decoder levels"):
        NAFNet(encoder_blocks=[1, 1], decoder_blocks=[1])


def test_plain_rooms_import_neither_lightning_nor_hydra() -> None:
    code = (
        "import sys, medrestore.networks, medrestore.losses, medrestore.inference;"
        "print([m for m in ('pytorch_lightning', 'lightning', 'hydra', 'omegaconf') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
