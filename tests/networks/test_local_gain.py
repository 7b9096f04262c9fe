"""The generator that weighs bands of detail: safe at the start, any size, exact context, unable to invent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from medrestore.networks import LocalGain
from medrestore.networks.local_gain import _wavelet


def awake(deviation: float = 0.2, channels: int = 3, depth: int = 1, bands: int = 2) -> LocalGain:
    """A small one in which every weight, those that start at 0 included, has a random value."""
    generator = LocalGain(channels, width=4, depth=depth, bands=bands)
    torch.manual_seed(1)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, deviation)
    return generator


def test_size() -> None:
    assert sum(p.numel() for p in LocalGain().parameters()) == 50_223


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3), (1, 1), (1, 19)])
def test_starts_as_the_identity_and_takes_any_size(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    torch.testing.assert_close(LocalGain()(images), images, rtol=0, atol=2e-7)
    restored = awake()(images)
    assert restored.shape == images.shape and not torch.equal(restored, images)
    assert restored.isfinite().all() and restored.min() >= 0 and restored.max() <= 1


def test_one_channel_and_wrong_channels() -> None:
    assert awake(channels=1)(torch.rand(2, 1, 9, 8)).shape == (2, 1, 9, 8)
    with pytest.raises(ValueError, match=r"LocalGain takes \(N, 1, H, W\), got \(1, 3, 8, 8\)"):
        awake(channels=1)(torch.rand(1, 3, 8, 8))


def test_bands_are_those_of_the_b_spline_wavelet() -> None:
    """Against scipy's separable filter with holes; nothing is black, so every pixel has full weight."""
    image = 0.2 + 0.6 * torch.rand(1, 1, 40, 50, dtype=torch.float64)
    finer, expected = image[0, 0].numpy(), []
    for step in (1, 2, 4):
        taps = np.zeros(4 * step + 1)
        taps[::step] = np.array([1, 4, 6, 4, 1]) / 16
        rows = ndimage.correlate1d(finer, taps, axis=0, mode="nearest")
        coarser = ndimage.correlate1d(rows, taps, axis=1, mode="nearest")
        expected.append(finer - coarser)
        finer = coarser
    rest, *bands = _wavelet(image, 3)
    for found, right in zip([rest, *bands], [finer, *expected], strict=True):
        np.testing.assert_allclose(found[0, 0].numpy(), right, rtol=0, atol=1e-12)


def test_the_edge_of_a_black_surround_is_no_detail() -> None:
    image = torch.full((1, 3, 48, 48), 0.6)
    image[..., :20] = 0
    for band in _wavelet(image, 3)[1:]:
        assert band.abs().max() < 1e-6


def test_a_flat_image_has_no_detail_to_strengthen() -> None:
    """No adversary can draw a texture with it: constant gains leave a flat image flat."""
    generator = LocalGain()
    with torch.no_grad():
        generator.last.bias[6:] = 5.0  # gains of all bands near their limit
    flat = torch.full((1, 3, 64, 64), 0.5)
    torch.testing.assert_close(generator(flat), flat, rtol=0, atol=1e-6)


def test_constant_gains_undo_a_veil_exactly() -> None:
    """Haze `t * image + (1 - t) * light` is undone by the gain 1/t and the offset -(1 - t) / t * light."""
    generator = LocalGain()
    transmission, light = 0.5, torch.tensor([0.9, 0.8, 0.6])
    with torch.no_grad():
        generator.last.bias[:3] = -(1 - transmission) / transmission * light
        generator.last.bias[3:6] = torch.atanh(torch.tensor(0.5))  # exp(log 4 * 0.5) = 2
    image = torch.rand(1, 3, 40, 24)
    veiled = transmission * image + (1 - transmission) * light[:, None, None]
    torch.testing.assert_close(generator(veiled), image, rtol=0, atol=1e-5)


def test_a_band_gain_moves_its_band_alone() -> None:
    generator = LocalGain(1, bands=2)
    with torch.no_grad():
        generator.last.bias[3] = torch.atanh(torch.tensor(0.5))  # of the coarser of two bands: twice as strong
    image = 0.4 + 0.2 * torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(generator(image), image + _wavelet(image, 2)[2], rtol=0, atol=1e-6)


def test_gains_stay_within_their_limits() -> None:
    with torch.no_grad():
        offset, *gains = awake(20.0).coefficients(torch.rand(1, 3, 64, 64))
    assert len(gains) == 3 and offset.shape == (1, 3, 64, 64)
    assert min(float(gain.min()) for gain in gains) >= 0.25 - 1e-6
    assert max(float(gain.max()) for gain in gains) <= 4 + 1e-5


def test_samples_do_not_meet_and_gradients_reach_every_weight() -> None:
    generator = awake().double()
    images = torch.rand(2, 3, 20, 36, dtype=torch.float64)
    both = generator(images)
    # the gains are found in float32
    torch.testing.assert_close(
        both.double(), torch.cat([generator(image[None]) for image in images]).double(), rtol=1e-5, atol=1e-5
    )
    (both - 0.5).square().sum().backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


def reach(generator: LocalGain, images: torch.Tensor, row: int) -> int:
    (gradient,) = torch.autograd.grad(generator(images)[0, 0, row, row], images)
    return int((gradient[0, 0].abs().sum(dim=1).nonzero() - row).abs().max())


@pytest.mark.parametrize(("depth", "bands"), [(0, 1), (1, 2), (0, 5)])
def test_context_is_exact(depth: int, bands: int) -> None:
    generator = awake(0.3, 1, depth, bands)
    for module in generator.modules():  # nothing is switched off, and every difference is kept
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.forward = lambda features: features  # type: ignore[method-assign]
    with torch.no_grad():
        generator.last.weight.mul_(0.01)
        generator.last.bias.zero_()
    size = 16 * (2 * depth + 11)
    images = (0.5 + 0.01 * torch.rand(1, 1, size, size)).requires_grad_()
    start = size // 32 * 16
    assert max(reach(generator, images, row) for row in range(start, start + 16)) == generator.context


def test_autocast_keeps_images_in_single_precision() -> None:
    images = torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        restored = LocalGain()(images)
        gains = awake().coefficients(images)
    assert restored.dtype == torch.float32 and all(gain.dtype == torch.float32 for gain in gains)
    torch.testing.assert_close(restored, images, rtol=0, atol=2e-7)
