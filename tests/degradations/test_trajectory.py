import cmath
import math

import numpy as np
import pytest
import torch

from medrestore.degradations.kernels import centroid
from medrestore.degradations.trajectory import (
    Shake,
    canvas_for,
    centred,
    draw_shake,
    exposure_weights,
    splat,
    trajectory,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_path(length: float, shake: Shake) -> list[complex]:
    """The published program, step by step, with the velocity in pixels a sample."""
    samples = len(shake.turn) + 1
    step = length / (samples - 1)
    start = cmath.exp(1j * shake.angle)
    velocity = start * shake.anxiety if shake.anxiety > 0 else start * step
    path = [0j]
    for t in range(samples - 1):
        kick = complex(shake.turn[t] - 1) * velocity
        push = shake.anxiety * (complex(shake.jitter[t]) - shake.centripetal * path[t]) * step
        velocity = velocity + kick + push
        velocity = velocity / abs(velocity) * step
        path.append(path[t] + velocity)
    return path


def slow_share(t: int, samples: int, end: float, start: float) -> float:
    """How much of sample t falls into the exposure, case by case."""
    closes, opens = end * samples, start * samples
    if closes >= t and opens < t - 1:
        return 1.0
    if closes >= t - 1 and opens < t - 1:
        return closes - (t - 1)
    if closes >= t and opens < t:
        return t - opens
    if closes >= t - 1 and opens < t:
        return closes - opens
    return 0.0


def slow_kernel(path: list[complex], weights: list[float], canvas: int) -> np.ndarray:
    """Every sample weighs every pixel by a triangle in x and y; centred by mass beforehand."""
    middle = sum(w * z for w, z in zip(weights, path, strict=True)) / sum(weights)
    kernel = np.zeros((canvas, canvas))
    for w, z in zip(weights, path, strict=True):
        x, y = (z - middle).real + canvas // 2, (z - middle).imag + canvas // 2
        for row in range(canvas):
            for column in range(canvas):
                kernel[row, column] += w * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
    return kernel / kernel.sum()


@pytest.mark.parametrize(("seed", "anxiety"), [(0, 0.0), (1, 0.005), (2, 0.05), (3, 0.3)])
def test_path_equals_slow_reference(seed: int, anxiety: float) -> None:
    shake = draw_shake(anxiety, 300, generator(seed))
    assert trajectory(20, shake).numpy() == pytest.approx(np.array(slow_path(20, shake)), abs=1e-9)


@pytest.mark.parametrize(("end", "start"), [(1.0, 0.0), (0.5, 0.0), (0.013, 0.0), (0.75, 0.31), (0.3155, 0.3151)])
def test_weights_equal_slow_reference(end: float, start: float) -> None:
    expected = [slow_share(t, 200, end, start) for t in range(200)]
    assert exposure_weights(200, end, start).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("seed", "exposure"), [(0, 1.0), (1, 0.5), (2, 0.1)])
def test_kernel_equals_slow_reference(seed: int, exposure: float) -> None:
    shake = draw_shake(0.01, 150, generator(seed))
    weights, canvas = exposure_weights(150, exposure), canvas_for(12, exposure)
    found = splat(centred(trajectory(12, shake), weights), weights, canvas)
    expected = slow_kernel(slow_path(12, shake), [slow_share(t, 150, exposure, 0.0) for t in range(150)], canvas)
    assert found.numpy() == pytest.approx(expected, abs=1e-12)


def test_every_path_has_its_length() -> None:
    for seed in range(5):
        path = trajectory(33, draw_shake(0.02, 500, generator(seed)))
        assert float(path.diff().abs().sum()) == pytest.approx(33)
        assert path[0] == 0


def test_a_calm_hand_draws_a_straight_line() -> None:
    shake = draw_shake(0.0, 100, generator(4))
    path = trajectory(10, shake)
    assert abs(complex(path[-1])) == pytest.approx(10)
    assert cmath.phase(complex(path[-1])) % (2 * math.pi) == pytest.approx(shake.angle)


def test_kicks_come_as_often_as_in_the_paper() -> None:
    # A kick a step with probability 0.2 U anxiety: 0.1 x 0.05 x 2000 = 10 a path on average.
    counts = [int((draw_shake(0.05, 2001, generator(seed)).turn != 1).sum()) for seed in range(300)]
    assert np.mean(counts) == pytest.approx(10, abs=1.2)  # standard error 0.4
    turned = draw_shake(0.5, 2001, generator(1)).turn
    turned = turned[turned != 1]
    assert torch.all(((turned - 1).abs() - 2).abs() < 1e-12)
    assert float(turned.real.max()) < 1 - 2 * math.cos(0.5) + 1e-12


def test_splat_keeps_the_centre_of_mass() -> None:
    path = torch.tensor([0.3 - 1.2j, -2.0 + 0.75j, 1.9 + 2.0j], dtype=torch.complex128)
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    middle = complex((weights * path).sum() / weights.sum())
    assert centroid(splat(path, weights, 5)) == pytest.approx((middle.imag, middle.real), abs=1e-12)


def test_paths_are_splatted_each_on_its_own_canvas() -> None:
    paths = torch.view_as_complex(6 * torch.rand(2, 3, 50, 2, generator=generator(), dtype=torch.float64) - 3)
    weights = torch.rand(50, generator=generator(1), dtype=torch.float64)
    found = splat(paths, weights, 9)
    assert found.shape == (2, 3, 9, 9)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(found[i, j], splat(paths[i, j], weights, 9), atol=1e-15, rtol=0)


def test_splat_reaches_the_last_row_and_column() -> None:
    path = torch.tensor([2 + 2j, -2 - 2j], dtype=torch.complex128)
    kernel = splat(path, torch.ones(2, dtype=torch.float64), 5)
    assert float(kernel[4, 4]) == float(kernel[0, 0]) == 0.5
