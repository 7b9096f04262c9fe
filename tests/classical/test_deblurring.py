from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data
from torch import Tensor

from medrestore.classical import (
    Identity,
    Method,
    MethodKind,
    RichardsonLucy,
    RichardsonLucyOracle,
    Unsharp,
    Wiener,
    WienerOracle,
    methods_for,
    tune,
)
from medrestore.classical.wiener import deconvolve
from medrestore.degradations import FocalBlur, MotionBlur, Sensor, blur
from medrestore.degradations.kernels import gaussian_taps, outer
from medrestore.errors import MedrestoreError
from medrestore.metrics import psnr

BLIND: list[Method] = [Unsharp(), Wiener(), RichardsonLucy()]
ORACLES: list[Method] = [WienerOracle(), RichardsonLucyOracle()]


def photograph() -> Tensor:
    """`(1, 3, 200, 224)` in [0, 1]."""
    picture = data.astronaut()[40:240, 120:344].astype(np.float32) / 255
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def decibel(restored: Tensor, target: Tensor) -> float:
    return float(psnr(restored, target))


def gaussian(sigma: float) -> Tensor:
    taps = gaussian_taps(2 * int(np.ceil(3 * sigma)) + 1, sigma)
    return outer(taps, taps)


def test_identity_is_exact() -> None:
    image = photograph()
    assert torch.equal(Identity().restore(image), image)


def test_unsharp_by_hand() -> None:
    image = photograph() * 0.4 + 0.3
    assert torch.equal(Unsharp(amount=0).restore(image), image)
    planes = image[0].double().numpy()
    blurred = np.stack([ndimage.gaussian_filter(plane, 2.0, mode="mirror", radius=6) for plane in planes])
    expected = np.clip(planes + 0.75 * (planes - blurred), 0, 1)
    assert Unsharp(sigma=2.0, amount=0.75).restore(image)[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_richardson_lucy_by_hand() -> None:
    image = photograph()[..., :60, :70] * 0.9 + 0.05
    planes = image[0].double().numpy()

    def filtered(stack: np.ndarray) -> np.ndarray:
        return np.stack([ndimage.gaussian_filter(plane, 1.0, mode="mirror", radius=3) for plane in stack])

    expected = planes
    for _ in range(3):
        expected = expected * filtered(planes / filtered(expected))
    found = RichardsonLucy(sigma=1.0, iterations=3).restore(image)[0].numpy()
    assert found == pytest.approx(np.clip(expected, 0, 1), abs=2e-3)  # the small offset against division by 0 is ours


def test_wiener_of_a_periodic_image_by_hand() -> None:
    """Without a border to treat, the filter has a closed form for a pure wave."""
    n, cycles, noise = 64, 5, 0.03
    wave = torch.cos(2 * torch.pi * cycles * torch.arange(2 * n + 1, dtype=torch.float64) / n)  # mirrors onto itself
    image = wave.expand(1, 1, 2 * n + 1, -1) * 0.2 + 0.5
    kernel = gaussian(1.1).double()
    frequency = 2 * np.pi * cycles / n
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    response = float((kernel.sum(0).numpy() * np.cos(frequency * offsets)).sum())
    gain = response / (response**2 + noise * (2 - 2 * np.cos(frequency)))
    found = deconvolve(image, kernel, noise, decay=2)[0, 0, 64, 20:-20]
    assert (found - 0.5).numpy() == pytest.approx((0.2 * gain * wave)[20:-20].numpy(), abs=5e-3)
    assert gain > 1.1


@pytest.mark.parametrize("method", BLIND, ids=lambda method: method.name)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constants_stay(method: Method, value: float) -> None:
    image = torch.full((1, 3, 37, 50), value)
    for setting in method.grid():
        assert method.with_parameters(setting).restore(image).numpy() == pytest.approx(image.numpy(), abs=1e-5)


@pytest.mark.parametrize("method", [*BLIND, *ORACLES], ids=lambda method: method.name)
def test_brightness_and_range_stay(method: Method) -> None:
    image, kernel = photograph(), gaussian(1.0)
    blurred = blur(image, kernel)
    restored = method.restore(blurred, kernel if method.needs_kernel else None)
    assert restored.shape == image.shape and restored.dtype == torch.float32
    assert float(restored.min()) >= 0 and float(restored.max()) <= 1
    assert restored.mean(dim=(-2, -1)).numpy() == pytest.approx(blurred.mean(dim=(-2, -1)).numpy(), abs=3e-3)


@pytest.mark.parametrize("method", BLIND, ids=lambda method: method.name)
def test_no_frame_appears(method: Method) -> None:
    """A ramp whose sides differ would ring from the border, had the FFT a seam there."""
    ramp = torch.linspace(0.2, 0.8, 120).expand(1, 1, 90, 120)
    for setting in method.grid():
        restored = method.with_parameters(setting).restore(ramp)
        assert float((restored - ramp).abs().max()) < 0.02


@pytest.mark.parametrize("method", BLIND, ids=lambda method: method.name)
def test_grid_is_small_and_gains_on_focal_blur(method: Method) -> None:
    image = photograph()
    operator = FocalBlur(sensor=Sensor(bits=8))
    degraded = operator.apply(image[0], operator.sample(torch.Generator().manual_seed(3)))[None]
    assert 2 <= len(method.grid()) <= 12
    best = max(decibel(method.with_parameters(setting).restore(degraded), image) for setting in method.grid())
    assert best > decibel(degraded, image) + 1


def test_richardson_lucy_oracle_by_hand() -> None:
    image = photograph()[..., :60, :70] * 0.9 + 0.05
    kernel = torch.zeros(5, 7)
    kernel[1, 2], kernel[2, 3], kernel[3, 5], kernel[0, 6] = 0.4, 0.3, 0.2, 0.1  # of no symmetry at all
    planes, taps = image[0].double().numpy(), kernel.double().numpy()
    expected = planes
    for _ in range(4):
        blurred = np.stack([ndimage.convolve(plane, taps, mode="mirror") for plane in expected])
        ratio = planes / blurred
        expected = expected * np.stack([ndimage.correlate(plane, taps, mode="mirror") for plane in ratio])
    found = RichardsonLucyOracle(iterations=4).restore(image, kernel)[0].numpy()
    assert found == pytest.approx(np.clip(expected, 0, 1), abs=2e-3)  # the small offset against division by 0 is ours


def test_richardson_lucy_oracle_gains_with_each_iteration_where_there_is_no_noise() -> None:
    image, operator = photograph(), MotionBlur()
    parameters = operator.sample(torch.Generator().manual_seed(11))
    degraded = operator.apply(image[0], parameters)[None]
    oracle = RichardsonLucyOracle()
    scores = [decibel(degraded, image)]
    scores += [
        decibel(oracle.with_parameters(point).restore(degraded, parameters.kernel), image) for point in oracle.grid()
    ]
    assert all(after > before + 1 for before, after in pairwise(scores))
    assert scores[-1] > scores[0] + 5


def test_richardson_lucy_oracle_leaves_constants_and_survives_wide_kernels_on_black() -> None:
    wide = torch.rand(31, 31, generator=torch.Generator().manual_seed(0))
    wide /= wide.sum()  # so many taps go through the FFT, whose rounding is of both signs
    flat = torch.full((1, 3, 37, 50), 0.3)
    assert RichardsonLucyOracle(60).restore(flat, wide).numpy() == pytest.approx(flat.numpy(), abs=1e-4)
    image = torch.zeros(1, 1, 64, 64)
    image[..., 30:34, 30:34] = 1
    blurred = blur(image, wide).clamp(0, 1)
    restored = RichardsonLucyOracle(60).restore(blurred, wide)
    assert restored.isfinite().all() and decibel(restored, image) > decibel(blurred, image) + 1
    assert float(restored[..., :12, :].max()) < 0.05


@pytest.mark.parametrize("size", [(5, 5), (4, 6), (3, 3)])
def test_oracle_undoes_a_blur_without_noise(size: tuple[int, int]) -> None:
    image = photograph()
    kernel = outer(gaussian_taps(size[0], 1.1), gaussian_taps(size[1], 1.1))
    degraded = blur(image, kernel)
    method = tune(WienerOracle(), [(degraded, image, kernel)])
    assert decibel(method.restore(degraded, kernel), image) > decibel(degraded, image) + 10


def test_oracle_undoes_motion_where_blind_rows_cannot() -> None:
    image, operator = photograph(), MotionBlur()
    parameters = operator.sample(torch.Generator().manual_seed(11))
    degraded = operator.apply(image[0], parameters)[None]
    oracle = WienerOracle()
    rows = [oracle.with_parameters(setting).restore(degraded, parameters.kernel) for setting in oracle.grid()]
    assert max(decibel(row, image) for row in rows) > decibel(degraded, image) + 6


@pytest.mark.parametrize(
    "method", [WienerOracle(noise=1e-4), RichardsonLucyOracle(300)], ids=lambda method: method.name
)
def test_oracle_turns_a_lopsided_kernel_the_right_way(method: Method) -> None:
    image = photograph()
    kernel = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.6, 0.4], [0.0, 0.0, 0.0]])
    restored = method.restore(blur(image, kernel), kernel)
    assert decibel(restored[..., 12:-12, 12:-12], image[..., 12:-12, 12:-12]) > 40


@pytest.mark.parametrize("method", ORACLES, ids=lambda method: method.name)
def test_oracle_needs_its_kernel(method: Method) -> None:
    with pytest.raises(MedrestoreError, match=f"{method.name} needs the true kernel"):
        method.restore(photograph())


@pytest.mark.parametrize("method", [*BLIND, *ORACLES], ids=lambda method: method.name)
def test_tiny_images_pass(method: Method) -> None:
    image = torch.rand(1, 1, 3, 2, generator=torch.Generator().manual_seed(0))
    kernel = gaussian(2.0) if method.needs_kernel else None
    for setting in method.grid():
        restored = method.with_parameters(setting).restore(image, kernel)
        assert restored.shape == image.shape and torch.isfinite(restored).all()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rows_of_a_scale(scale: int) -> None:
    rows = methods_for(scale)
    assert [row.kind for row in rows].count("reference") == 1
    assert rows[0].kind == "reference" and rows[0].name == ("identity" if scale == 1 else "bicubic")
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.scale == scale and row.kind in get_args(MethodKind)
        assert row.needs_kernel == (row.kind == "oracle")
        assert row.with_parameters(row.parameters).parameters == row.parameters
        for setting in row.grid():
            assert setting.keys() == row.parameters.keys()
            assert row.with_parameters(setting).parameters == setting
