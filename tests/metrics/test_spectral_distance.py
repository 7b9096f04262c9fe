import math

import numpy as np
import pytest
import torch

from medrestore.metrics import SpectralDistance, radial_power, ring_edges, spectral_distance


def noise(*shape: int, seed: int = 0, sd: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + sd * torch.randn(*shape, generator=generator)).clamp(0, 1)


def by_loops(image: np.ndarray) -> np.ndarray:
    """Power of the rings, a frequency at a time; the floor is that of rounding to eight bits."""
    height, width = image.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    mean = (image * window).sum() / window.sum()
    power = np.abs(np.fft.fft2((image - mean) * window)) ** 2 / (window**2).sum()
    rings: list[list[float]] = [[] for _ in range(32)]
    for row, v in enumerate(np.fft.fftfreq(height)):
        for column, u in enumerate(np.fft.fftfreq(width)):
            ring = math.floor(math.hypot(u, v) * 64 + 1e-9)
            if (row, column) != (0, 0) and ring < 32:
                rings[ring].append(power[row, column])
    return np.array([10 * np.log10(np.mean(found) + 1 / 255**2 / 12) if found else np.nan for found in rings])


@pytest.mark.parametrize("size", [(40, 31), (64, 64)])
def test_equals_a_sum_over_single_frequencies(size: tuple[int, int]) -> None:
    image = noise(1, 1, *size)
    expected = by_loops(image[0, 0].double().numpy())
    assert radial_power(image)[0].numpy() == pytest.approx(expected, rel=1e-9, nan_ok=True)
    other = noise(1, 1, *size, seed=1, sd=0.02)
    difference = np.abs(expected - by_loops(other[0, 0].double().numpy()))
    assert float(spectral_distance(image, other)) == pytest.approx(np.nanmean(difference), rel=1e-9)
    assert float(spectral_distance(image, other, above=0.125)) == pytest.approx(np.nanmean(difference[8:]), rel=1e-9)
    assert float(spectral_distance(image, other, above=1 / 6)) == pytest.approx(np.nanmean(difference[11:]), rel=1e-9)


def test_white_noise_has_its_variance_in_every_ring_but_that_of_the_mean() -> None:
    power = radial_power(noise(8, 3, 128, 128)).mean(dim=0)
    assert power[1:].numpy() == pytest.approx(np.full(31, -20.0), abs=0.5)


def test_half_the_contrast_is_six_decibels_everywhere() -> None:
    image = noise(2, 1, 64, 64)
    half = 0.5 + (image - 0.5) / 2
    assert spectral_distance(half, image).tolist() == pytest.approx([20 * math.log10(2)] * 2, abs=0.01)
    assert spectral_distance(image, image).tolist() == [0, 0]


def test_only_frequencies_above_count() -> None:
    image = noise(1, 1, 64, 64, sd=0.02)
    wave = 0.1 * torch.cos(2 * math.pi * 0.15 * torch.arange(64))
    both = (image + wave).clamp(0, 1)
    assert float(spectral_distance(both, image)) > 1
    assert float(spectral_distance(both, image, above=0.25)) < 0.2


def test_small_images_have_rings_without_frequencies_and_flat_ones_no_power() -> None:
    assert radial_power(noise(1, 1, 12, 12)).isnan().any() and float(spectral_distance(*[noise(1, 1, 12, 12)] * 2)) == 0
    flat = radial_power(torch.full((1, 1, 64, 64), 0.3))
    assert flat[0, 1:].numpy() == pytest.approx(np.full(31, 10 * math.log10(1 / 255**2 / 12)), abs=1e-6)
    assert ring_edges().tolist() == pytest.approx([ring / 64 for ring in range(33)])


def test_wrong_input_is_named_and_the_class_averages_images() -> None:
    image, other = noise(3, 1, 32, 32), noise(3, 1, 32, 32, seed=1)
    with pytest.raises(ValueError, match=r"above is a frequency from 0 to 0.5 cycles a pixel, found 0.5"):
        spectral_distance(image, other, above=0.5)
    with pytest.raises(ValueError, match=r"preds must be in \[0, 1\]"):
        spectral_distance(image + 1, other)
    metric = SpectralDistance(above=0.25)
    metric.update(image[:1], other[:1])
    metric.update(image[1:], other[1:])
    expected = float(spectral_distance(image, other, above=0.25).mean())
    assert float(metric.compute()) == pytest.approx(expected) and metric.higher_is_better is False
