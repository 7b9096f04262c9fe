"""Blur by nature: kernels against their definitions, a tilted focus, motion, noise."""

import math

import numpy as np
import pytest
import torch

from medrestore.data.phantoms.natural_blur import MOTION, NOISE, RADII, blur_by_nature, disc, line, out_of_focus
from medrestore.degradations.kernels import centroid


@pytest.mark.parametrize("radius", [0.4, 1.0, 1.5, 2.7, 4.0, 5.2])
def test_a_disc_is_the_covered_area_of_each_pixel(radius):
    taps = disc(radius)
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6) and centroid(taps) == pytest.approx((0, 0), abs=1e-6)
    assert torch.equal(taps, taps.T) and torch.equal(taps, taps.flip(0))
    middle = len(taps) // 2
    at = torch.arange(len(taps)).double() - middle
    if radius >= 1:  # the middle pixel lies wholly inside: its tap is one pixel's share of the disc's area
        assert float(taps[middle, middle]) == pytest.approx(1 / (math.pi * radius**2), rel=0.01)
        second = float((taps.sum(0).double() * at**2).sum())  # r^2 / 4 of a disc, 1 / 12 of the pixel
        assert second == pytest.approx(radius**2 / 4 + 1 / 12, abs=0.07)  # whole pixels sample it coarsely


@pytest.mark.parametrize(("length", "angle"), [(0.5, 0.0), (3.0, 0.0), (3.0, math.pi / 2), (2.2, 0.8)])
def test_a_line_has_the_spread_of_an_even_path(length, angle):
    taps = line(length, angle)
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6) and centroid(taps) == pytest.approx((0, 0), abs=1e-6)
    if angle == 0:
        assert taps.shape[0] == 1
    along = length * abs(math.cos(angle))
    at = torch.arange(taps.shape[1]).double() - taps.shape[1] // 2
    spread = float((taps.sum(0).double() * at**2).sum())
    assert along**2 / 12 - 1e-6 <= spread <= along**2 / 12 + 0.26  # bilinear sampling adds at most a quarter


def test_without_tilt_the_blur_is_one_disc():
    spot = torch.zeros(1, 41, 41)
    spot[0, 20, 20] = 1
    taps = disc(3.0)
    reach = len(taps) // 2
    seen = out_of_focus(spot, 3.0, 0.0, 1.0)[0]
    torch.testing.assert_close(seen[20 - reach : 21 + reach, 20 - reach : 21 + reach], taps, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("towards", "larger"), [(0.0, (48, 84)), (math.pi, (48, 12)), (math.pi / 2, (84, 48))])
def test_the_disc_grows_towards_one_side(towards, larger):
    def spread(row: int, column: int) -> float:
        spot = torch.zeros(1, 97, 97)
        spot[0, row, column] = 1
        seen = out_of_focus(spot, 3.0, 0.3, towards)[0].double()
        at = torch.arange(97).double()
        return float((seen.sum(0) * (at - column) ** 2).sum() / seen.sum())

    middle = (48, 48)
    smaller = (96 - larger[0], 96 - larger[1])
    assert spread(*smaller) < spread(*middle) < spread(*larger)
    assert spread(*middle) == pytest.approx(9 / 4 + 1 / 12, rel=0.03)


def test_even_pictures_stay_even_but_for_the_noise():
    for seed in range(5):
        seen = blur_by_nature(np.random.default_rng(seed), torch.full((3, 64, 64), 0.5))
        assert abs(float(seen.mean()) - 0.5) < 0.002
        assert 0.9 * NOISE[0] < float(seen.std()) < 1.1 * NOISE[1]
        torch.testing.assert_close(seen * 255, (seen * 255).round(), atol=1e-4, rtol=0)


def test_the_same_generator_gives_the_same_blur_and_another_gives_another():
    picture = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0))
    one, same, other = (blur_by_nature(np.random.default_rng(seed), picture) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert RADII[0] > 1 and MOTION[1] < 2 * RADII[1]  # the disc, not the motion, is what blurs
