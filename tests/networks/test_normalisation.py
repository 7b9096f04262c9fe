from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.networks.normalisation import InstanceNorm, PixelLayerNorm


def gradients(layout: torch.memory_format, batch: int) -> list[Tensor]:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), InstanceNorm(8), nn.Conv2d(8, 3, 3, padding=1)).double()
    image = torch.rand(batch, 3, 12, 10, dtype=torch.float64)
    goal = torch.rand_like(image)
    body.to(memory_format=layout)  # type: ignore[call-overload]
    (body(image.contiguous(memory_format=layout)) - goal).square().mean().backward()
    return [p.grad for p in body.parameters() if p.grad is not None]


def test_gradient_does_not_depend_on_the_memory_layout() -> None:
    """`nn.InstanceNorm2d` fails here by more than 100 % at batch 1 on a CPU."""
    for batch in (1, 2):
        for plain, last in zip(
            gradients(torch.contiguous_format, batch), gradients(torch.channels_last, batch), strict=True
        ):
            torch.testing.assert_close(last, plain, rtol=1e-10, atol=1e-14)


def test_equals_torchs_instance_norm_and_its_gradient() -> None:
    features = torch.randn(2, 4, 5, 7, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    ours, theirs = InstanceNorm(4)(features), F.instance_norm(features)
    torch.testing.assert_close(ours, theirs)
    gradient = [torch.autograd.grad((output * weights).sum(), features)[0] for output in (ours, theirs)]
    torch.testing.assert_close(gradient[0], gradient[1])


def test_one_value_becomes_zero() -> None:
    assert InstanceNorm(4)(torch.randn(2, 4, 1, 1)).abs().max() == 0


def test_half_precision_does_not_overflow() -> None:
    features = 1000 * torch.randn(1, 2, 8, 8)  # squares are beyond the range of float16
    half = InstanceNorm(2)(features.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), InstanceNorm(2)(features), atol=5e-3, rtol=5e-3)


def test_pixel_layer_norm_equals_torchs_layer_norm() -> None:
    norm = PixelLayerNorm(6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    features = torch.randn(2, 6, 3, 5)
    expected = F.layer_norm(features.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias, 1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(norm(features), expected)
