import numpy as np
import pytest
from scipy.spatial import KDTree

from medrestore.data.phantoms.texture import cells, sample_periodic, smoothstep, spectral_noise, splat, walks


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_smoothstep_rises_and_falls():
    x = np.array([-1, 0, 0.5, 1, 2], np.float32)
    assert smoothstep(0, 1, x).tolist() == [0, 0, 0.5, 1, 1]
    assert smoothstep(1, 0, x).tolist() == [1, 1, 0.5, 0, 0]


def test_spectral_noise_has_the_chosen_slope_and_band():
    noise = spectral_noise(rng(), 256, exponent=1.0, shortest=4, longest=64)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=1e-4) and noise.std() == pytest.approx(1, abs=1e-4)
    amplitude = np.abs(np.fft.fft2(noise))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    inside = (frequency <= 1 / 4) & (frequency >= 1 / 64)
    assert amplitude[~inside].max() < 1e-3 * amplitude[inside].max()
    slope, _ = np.polyfit(np.log(frequency[inside]), np.log(amplitude[inside]), 1)
    assert slope == pytest.approx(-1, abs=0.05)


def test_spectral_noise_refuses_an_empty_band():
    with pytest.raises(ValueError, match="no wavelength between 8 and 4 px"):
        spectral_noise(rng(), 64, exponent=1.0, shortest=8, longest=4)


def test_sample_periodic_interpolates_and_repeats():
    field = np.arange(16, dtype=np.float32).reshape(4, 4)
    row, column = np.array([0.25, 1.25, 0.0], np.float32), np.array([0.5, -0.5, 0.125], np.float32)
    assert sample_periodic(field, row, column).tolist() == [6, 6, 0.5]


def test_cells_are_the_distances_to_the_two_nearest_points():
    jitter = 0.5 + 0.3 * (
        rng().random((8, 8, 2), dtype=np.float32) - 0.5
    )  # near the middles: neighbours are the nearest
    square = np.stack(np.meshgrid(np.arange(-1, 9), np.arange(-1, 9), indexing="ij"), -1)
    points = square + jitter[square[..., 0] % 8, square[..., 1] % 8]
    row, column = rng(1).uniform(0, 8, (2, 50)).astype(np.float32)
    expected, _ = KDTree(points.reshape(-1, 2)).query(np.stack([row, column], 1), k=2)
    first, second = cells(row, column, jitter)
    np.testing.assert_allclose(np.stack([first, second], 1), expected, atol=1e-5)


def test_walks_without_wander_are_straight_lines():
    start, heading = np.array([[1, 2], [0, 0]], np.float32), np.array([0, np.pi / 2], np.float32)
    points, headings = walks(rng(), start, heading, steps=10, length=5.0, wander=0.0)
    assert points.shape == (2, 10, 2) and headings.shape == (2, 10)
    np.testing.assert_allclose(points[:, -1], [[6, 2], [0, 5]], atol=1e-5)


def test_splat_draws_gaussian_spots_between_pixels():
    sigma, size = 1.5, 32
    points = np.array([[12.3, 15.8], [40.0, 3.0]])  # the second lies outside
    row, column = np.mgrid[:size, :size]
    expected = 0.7 * np.exp(-((row - 12.3) ** 2 + (column - 15.8) ** 2) / (2 * sigma**2))
    np.testing.assert_allclose(splat(points, np.array([0.7, 1.0]), size, sigma), expected, atol=0.04)


def test_splat_adds_up():
    points = np.array([[10.0, 10.0], [10.0, 10.0]])
    one, two = splat(points[:1], np.array([0.2]), 24, 1.0), splat(points, np.array([0.2, 0.2]), 24, 1.0)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
