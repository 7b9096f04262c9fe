"""The pixel-difference score: exact values, an independent implementation, noise, size."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from medrestore.imaging.pixel_difference import pixel_difference


def waves(size: int, period: float = 32.0) -> torch.Tensor:
    """A smooth grey image (1, size, size) with detail in both directions."""
    places = torch.arange(size) * (2 * torch.pi / period)
    return (0.5 + 0.2 * torch.sin(places)[:, None] + 0.2 * torch.cos(places)[None, :])[None]


@pytest.mark.parametrize("sigma", [0.0, 5.0])
def test_a_constant_image_scores_zero(sigma: float) -> None:
    assert pixel_difference(torch.full((3, 40, 50), 0.7), sigma) == pytest.approx(0, abs=1e-7)


def test_a_ramp_scores_its_slopes() -> None:
    down, across = torch.arange(20.0)[:, None] * 0.003, torch.arange(30.0)[None, :] * 0.01
    both = (down + across)[None]
    assert pixel_difference(both, 0.0) == pytest.approx((0.003 * 19 * 30 + 0.01 * 20 * 29) / (19 * 30 + 20 * 29))
    assert pixel_difference(across.expand(1, 20, 30), 0.0) == pytest.approx(0.01 * 20 * 29 / (19 * 30 + 20 * 29))


def test_away_from_borders_a_gaussian_leaves_a_ramp_alone() -> None:
    ramp = (torch.arange(400.0) / 400).expand(1, 400, 400)
    # 20 pixels at either border, where the reflected ramp is flattened, are 10 % of the picture
    assert pixel_difference(ramp, 5.0) == pytest.approx(pixel_difference(ramp, 0.0), rel=0.05)
    inner = scipy.ndimage.gaussian_filter(ramp[0].numpy().astype(float), 5.0)[50:-50, 50:-50]
    assert pixel_difference(torch.from_numpy(inner)[None], 0.0) == pytest.approx(0.5 / 400, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 5.0, 12.0])
def test_equation_1_over_its_terms_after_scipys_gaussian(sigma: float) -> None:
    image = torch.rand((3, 41, 56), generator=torch.Generator().manual_seed(0))
    total = 0.0
    for channel in image.double().numpy():
        smooth = scipy.ndimage.gaussian_filter(channel, sigma)
        for i in range(41):
            for j in range(56):
                total += abs(smooth[i, j] - smooth[i, j + 1]) if j < 55 else 0
                total += abs(smooth[i, j] - smooth[i + 1, j]) if i < 40 else 0
    assert pixel_difference(image, sigma) == pytest.approx(total / (3 * (41 * 55 + 40 * 56)), rel=1e-5)


def test_turning_an_image_changes_nothing() -> None:
    """The paper's program looked along rows alone: stripes scored by their direction."""
    stripes = waves(64)[:, :1].expand(1, 64, 64)
    assert pixel_difference(stripes, 5.0) == pytest.approx(pixel_difference(stripes.transpose(1, 2), 5.0))


def test_channels_do_not_mix() -> None:
    red = torch.cat([waves(64), torch.zeros(2, 64, 64)])
    assert pixel_difference(red, 5.0) == pytest.approx(pixel_difference(waves(64), 5.0) / 3, rel=1e-6)


def test_noise_counts_before_the_gaussian_and_not_after_it() -> None:
    noise = 0.05 * torch.randn((1, 128, 128), generator=torch.Generator().manual_seed(0))
    detail = waves(128)
    assert pixel_difference(noise, 0.0) > pixel_difference(detail, 0.0)
    assert pixel_difference(noise, 5.0) < 0.03 * pixel_difference(detail, 5.0)
    assert pixel_difference(detail + noise, 5.0) == pytest.approx(pixel_difference(detail, 5.0), rel=0.02)


def test_the_number_of_pixels_does_not_count() -> None:
    """The same texture on four times the area has the same score; S5's sum is four times as large."""
    small, large = pixel_difference(waves(256), 5.0), pixel_difference(waves(512), 5.0)
    assert large == pytest.approx(small, rel=0.03)  # of a smaller image more lies at the border


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (3, 3, 2)])
def test_images_smaller_than_the_gaussian(shape: tuple[int, ...]) -> None:
    score = pixel_difference(torch.from_numpy(np.random.default_rng(0).random(shape)), 5.0)
    assert 0 <= score < 1 and (score == 0) == (shape == (1, 1, 1))
