"""What the U-Net promises beyond what every generator does (test_generators.py)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.inference import restore_image
from medrestore.networks import UNet


def recursive(network: UNet, signed: Tensor) -> Tensor:
    """The same network written inside out, one level within the other, from the paper's appendix 6.1."""

    def normalised(features: Tensor, block: nn.Module) -> Tensor:
        assert isinstance(block, nn.Sequential) and isinstance(block[1], nn.BatchNorm2d)
        mean = features.mean(dim=(0, 2, 3), keepdim=True)
        variance = features.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
        return (features - mean) / (variance + 1e-5).sqrt() * block[1].weight[:, None, None]

    def around(level: int, above: Tensor) -> Tensor:
        """What stands beside `above`, the features one level further out."""
        deepest = level == len(network.down) - 1
        down = network.down[level] if deepest else network.down[level][0]  # type: ignore[index]
        below = F.conv2d(F.leaky_relu(above, 0.2), down.weight, None, stride=2, padding=1)
        if not deepest:
            below = normalised(below, network.down[level])
            below = torch.cat([below, around(level + 1, below)], dim=1)
        up = network.up[level][0]  # type: ignore[index]
        doubled = F.conv_transpose2d(F.relu(below), up.weight, None, stride=2, padding=1)
        return normalised(doubled, network.up[level])

    outer = F.conv2d(signed, network.down[0].weight, None, stride=2, padding=1)  # type: ignore[arg-type]
    both = torch.cat([outer, around(1, outer)], dim=1)
    last = network.up[0]
    return torch.tanh(F.conv_transpose2d(F.relu(both), last.weight, last.bias, stride=2, padding=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("residual", [False, True])
def test_equals_the_network_written_inside_out(depth: int, residual: bool) -> None:
    torch.manual_seed(0)
    network = UNet(3, width=4, depth=depth, global_residual=residual).double()
    for parameter in network.parameters():
        if parameter.ndim == 4:
            nn.init.normal_(parameter, 0, 0.3)
    images = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    expected = recursive(network, 2 * images - 1) + (2 * images - 1 if residual else 0)
    torch.testing.assert_close(network(images), ((expected + 1) / 2).clamp(0, 1))


@pytest.mark.parametrize(
    ("channels", "norm", "count"),
    [
        (3, "batch", 54_413_955),  # as the authors' PyTorch code counts it
        (1, "batch", 54_407_809),
        (3, "instance", 54_409_603),
    ],
)
def test_paper_size(channels: int, norm: str, count: int) -> None:
    with torch.device("meta"):
        network = UNet(channels, norm=norm)  # type: ignore[arg-type]
        assert sum(p.numel() for p in network.parameters()) == count
        sizes = [tuple(module.weight.shape[:2]) for module in network.modules() if isinstance(module, nn.Conv2d)]
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    assert sizes == [(out, before) for out, before in zip(widths, [channels, *widths[:-1]], strict=True)]


@pytest.mark.parametrize(("depth", "count"), [(8, 3), (6, 1), (5, 0), (3, 0)])
def test_dropout_is_where_the_authors_have_it(depth: int, count: int) -> None:
    with torch.device("meta"):
        network = UNet(3, width=2, depth=depth)
    dropped = [
        index for index, block in enumerate(network.up) if any(isinstance(m, nn.Dropout) for m in block.modules())
    ]
    assert dropped == list(range(4, 4 + count))


def test_evaluation_is_repeatable_and_does_not_mix_samples() -> None:
    torch.manual_seed(0)
    network = UNet(1, width=4, depth=6)
    images = torch.rand(3, 1, 64, 64)
    assert not torch.equal(network(images), network(images))  # dropout
    network.eval()
    both = network(images)
    assert torch.equal(both, network(images))
    torch.testing.assert_close(both[1:2], network(images[1:2]))


def test_batch_of_one_trains_at_the_smallest_size() -> None:
    network = UNet(3, width=2, depth=5)
    restored = network(torch.rand(1, 3, 20, 32))  # continued to 32 x 32: one pixel innermost
    assert restored.shape == (1, 3, 20, 32)
    restored.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_fine_detail_passes_the_bottleneck_by() -> None:
    torch.manual_seed(0)
    network = UNet(1, width=4, depth=4, norm="instance").double()
    for parameter in network.down[-1].parameters():  # type: ignore[union-attr]
        nn.init.zeros_(parameter)
    images = torch.rand(1, 1, 32, 32, dtype=torch.float64)
    other = images.clone()
    other[..., 10, 10] += 0.3
    assert (network(images) - network(other)).abs().max() > 1e-4


def test_weights_start_as_in_the_public_code() -> None:
    torch.manual_seed(0)
    network = UNet(3, width=16, depth=4)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    weights = torch.cat([convolution.weight.detach().flatten() for convolution in convolutions])
    assert abs(float(weights.std()) - 0.02) < 2e-4 and abs(float(weights.mean())) < 2e-4
    gains = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert abs(float(gains.std()) - 0.02) < 4e-3 and abs(float(gains.mean()) - 1) < 4e-3


def test_tiles_of_a_shallow_network_equal_the_whole_image() -> None:
    torch.manual_seed(0)
    network = UNet(1, width=4, depth=3, dropout=0.0)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            nn.init.normal_(parameter, 0, 0.2)
    for _ in range(20):  # running statistics: with those of a tile the result would differ
        network(torch.rand(2, 1, 64, 64))
    image = torch.rand(1, 160, 144)
    whole = restore_image(network, image)
    assert float(whole.std()) > 0.1 and network.training
    torch.testing.assert_close(restore_image(network, image, tile=128), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"), [({"depth": 1}, "type depth=2"), ({"norm": "layer"}, "type batch or instance")]
)
def test_wrong_choices_are_refused(arguments: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        UNet(**arguments)
