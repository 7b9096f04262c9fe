import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
import torch
from natural_scores import brisque_model as model
from natural_scores import picture
from numpy.typing import NDArray

from medrestore.errors import MedrestoreError
from medrestore.imaging.field_of_view import inscribed_box
from medrestore.metrics import BrisqueModel, brisque
from medrestore.metrics.brisque import brisque_features
from medrestore.metrics.natural_statistics import half_size

Array = NDArray[np.float64]
gamma = scipy.special.gamma


def plain(image: torch.Tensor) -> Array:
    """The features of one image (C, H, W) with NumPy and SciPy, every shape tried."""
    levels = np.floor(255 * image.numpy() + 0.5)
    grey = levels[0]
    if len(levels) == 3:
        grey = np.floor(0.298936 * levels[0] + 0.587043 * levels[1] + 0.114021 * levels[2] + 0.5)
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    shapes = np.arange(0.2, 10.0005, 0.001)
    rho = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    features: list[float] = []
    for plane in (grey, half_size(torch.from_numpy(grey)).numpy()):  # checked by NIQE's test, and for odd sizes below
        mean = scipy.ndimage.correlate(plane, window, mode="constant")
        power = scipy.ndimage.correlate(plane**2, window, mode="constant")
        coefficients = np.where(np.abs(plane - mean) < 1e-6, 0, plane - mean)
        coefficients = coefficients / (np.sqrt(np.abs(power - mean**2)) + 1)
        square = (coefficients**2).mean()
        ratio = square / np.abs(coefficients).mean() ** 2
        features += [float(shapes[np.abs(ratio - 1 / rho).argmin()]), square]
        for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
            values = coefficients * np.roll(coefficients, shift, axis=(0, 1))
            left, right = math.sqrt((values[values < 0] ** 2).mean()), math.sqrt((values[values > 0] ** 2).mean())
            skew = left / right
            ratio = np.abs(values).mean() ** 2 / (values**2).mean()
            ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
            alpha = float(shapes[((rho - ratio) ** 2).argmin()])
            one, two, three = (gamma(n / alpha) for n in (1, 2, 3))
            features += [alpha, (right - left) * two / one * math.sqrt(one / three), left**2, right**2]
    return np.array(features)


def plain_score(features: Array, against: BrisqueModel) -> float:
    least, most = against.least.numpy(), against.most.numpy()
    scaled = -1 + 2 * (features - least) / (most - least)
    total = 40.0
    for vector, weight in zip(against.support.numpy(), against.weights.numpy(), strict=True):
        total += weight * math.exp(-0.05 * ((vector - scaled) ** 2).sum())
    return total


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 61, 83), (1, 48, 64)])
def test_equals_plain_numpy(channels: int, height: int, width: int) -> None:
    image = picture(height, width, channels)
    expected = plain(image[0])
    assert np.abs(brisque_features(image)[0].numpy() - expected).max() < 1e-9
    score = brisque(image, params=model())
    assert score.shape == (1,) and score.dtype == torch.float64
    assert float(score) == pytest.approx(plain_score(expected, model()), abs=1e-8)


def test_half_of_an_odd_size_by_hand() -> None:
    # A ramp stays a ramp inside; at both ends the taps see it mirrored, its edge pixel twice.
    ramp = torch.arange(11.0, dtype=torch.float64).expand(3, -1)
    small = half_size(ramp)
    assert small.shape == (2, 6)
    assert small[:, 2:4].tolist() == [pytest.approx([4.5, 6.5])] * 2
    taps = np.array([-0.01171875, -0.03515625, 0.11328125, 0.43359375])
    taps = np.concatenate([taps, taps[::-1]])
    assert float(small[0, 5]) == pytest.approx(taps @ [7, 8, 9, 10, 10, 9, 8, 7])
    assert float(small[0, 0]) == pytest.approx(taps @ [2, 1, 0, 0, 1, 2, 3, 4])


def test_batch_equals_single_and_float32_is_enough() -> None:
    images = torch.cat([picture(80, 64, seed=seed) for seed in range(3)])
    together = brisque(images, params=model())
    assert together.tolist() == pytest.approx([float(brisque(image[None], params=model())) for image in images])
    assert len(set(together.tolist())) == 3
    assert brisque(images.float(), params=model()).tolist() == together.tolist()


def test_a_mask_means_its_largest_rectangle() -> None:
    images = torch.cat([picture(80, 64), picture(80, 64, seed=1)])
    y, x = np.mgrid[:80, :64]
    disc = torch.from_numpy((y - 40) ** 2 + (x - 30) ** 2 < 28**2)[None, None]
    top, left, height, width = inscribed_box(disc[0])
    assert height * width > 1400 and bool(disc[..., top : top + height, left : left + width].all())
    inside = brisque(images[..., top : top + height, left : left + width], params=model())
    assert brisque(images, params=model(), mask=disc).tolist() == pytest.approx(inside.tolist())
    assert brisque(images, params=model()).tolist() != pytest.approx(inside.tolist(), abs=0.1)
    each = brisque(images, params=model(), mask=torch.cat([torch.zeros_like(disc), disc]))
    assert math.isnan(each[0]) and float(each[1]) == pytest.approx(float(inside[1]))


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_an_image_of_one_colour_has_no_score(value: float) -> None:
    assert math.isnan(float(brisque(torch.full((1, 3, 40, 50), value), params=model())))


def test_wrong_input_is_named() -> None:
    image = picture(32, 32)
    with pytest.raises(MedrestoreError, match=r"type metrics\.brisque_params=DIR"):
        brisque(image)
    with pytest.raises(ValueError, match=r"C 1 or 3, found \(1, 2, 32, 32\)"):
        brisque(image[:, :2], params=model())
    with pytest.raises(ValueError, match="nan"):
        brisque(torch.full_like(image, math.nan), params=model())
    with pytest.raises(ValueError, match="mask must be bool"):
        brisque(image, params=model(), mask=torch.ones(1, 1, 32, 32))
