import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
import torch
from natural_scores import niqe_model as model
from natural_scores import picture
from numpy.typing import NDArray

from medrestore.errors import MedrestoreError
from medrestore.metrics import NIQE, NiqeModel, niqe
from medrestore.metrics.niqe import niqe_block_for, niqe_blocks, niqe_model_of, niqe_sharp_rows

Array = NDArray[np.float64]
BLOCK = 16


def shape_of(values: Array) -> tuple[float, float, float]:
    """Shape and both root mean squares, by trying every shape."""
    shapes = np.arange(0.2, 10.0005, 0.001)
    gamma = scipy.special.gamma
    rho = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left, right = np.sqrt((values[values < 0] ** 2).mean()), np.sqrt((values[values > 0] ** 2).mean())
    skew = left / right
    ratio = np.abs(values).mean() ** 2 / (values**2).mean()
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return float(shapes[((rho - ratio) ** 2).argmin()]), left, right


def normalised(grey: Array) -> Array:
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = scipy.ndimage.correlate(grey, window, mode="nearest")
    power = scipy.ndimage.correlate(grey**2, window, mode="nearest")
    centred = np.where(np.abs(grey - mean) < 1e-6, 0, grey - mean)
    return centred / (np.sqrt(np.abs(power - mean**2)) + 1)


def halved(grey: Array) -> Array:
    """MATLAB's imresize by a dense matrix for each direction."""

    def matrix(size: int) -> Array:
        found = np.zeros((math.ceil(size / 2), size))
        for row in range(len(found)):
            for place in range(2 * row - 6, 2 * row + 8):
                x = abs(place - (2 * row + 0.5)) / 2
                weight = 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
                mirrored = -1 - place if place < 0 else 2 * size - 1 - place if place >= size else place
                found[row, mirrored] += weight if x < 2 else 0
        return found / found.sum(axis=1, keepdims=True)

    return matrix(grey.shape[0]) @ grey @ matrix(grey.shape[1]).T


def plain(image: torch.Tensor, block: int) -> Array:
    """The features of one image (C, H, W), block by block, with NumPy and SciPy."""
    levels = np.floor(255 * image.numpy() + 0.5)
    grey = levels[0]
    if len(levels) == 3:
        grey = np.floor(0.298936 * levels[0] + 0.587043 * levels[1] + 0.114021 * levels[2] + 0.5)
    rows, columns = grey.shape[0] // block, grey.shape[1] // block
    grey = grey[: rows * block, : columns * block]
    features: list[list[float]] = [[] for _ in range(rows * columns)]
    for plane, side in ((grey, block), (halved(grey), block // 2)):
        coefficients = normalised(plane)
        for number in range(rows * columns):
            top, left = number // columns * side, number % columns * side
            part = coefficients[top : top + side, left : left + side]
            for shift in (None, (0, 1), (1, 0), (1, 1), (1, -1)):
                values = part if shift is None else part * np.roll(part, shift, axis=(0, 1))
                alpha, low, high = shape_of(values)
                one, two, three = (scipy.special.gamma(n / alpha) for n in (1, 2, 3))
                low, high = (root * math.sqrt(one / three) for root in (low, high))
                new = [alpha, (low + high) / 2] if shift is None else [alpha, (high - low) * two / one, low, high]
                features[number] += new
    return np.array(features)


def plain_score(features: Array, against: NiqeModel) -> float:
    apart = against.mean.numpy() - features.mean(axis=0)
    both = (against.covariance.numpy() + np.cov(features.T)) / 2
    return math.sqrt(apart @ np.linalg.pinv(both) @ apart)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 69, 83), (1, 48, 64)])
def test_equals_plain_numpy(channels: int, height: int, width: int) -> None:
    image = picture(height, width, channels)
    expected = plain(image[0], BLOCK)
    found = niqe_blocks(image, BLOCK)
    assert found.features.shape == (1, (height // 16) * (width // 16), 36)
    assert np.abs(found.features[0].numpy() - expected).max() < 1e-9
    score = niqe(image, params=model())
    assert score.shape == (1,) and score.dtype == torch.float64
    assert float(score) == pytest.approx(plain_score(expected, model()), rel=1e-8)


def test_batch_equals_single_and_float32_is_enough() -> None:
    images = torch.cat([picture(80, 64, seed=seed) for seed in range(3)])
    together = niqe(images, params=model())
    assert together.tolist() == pytest.approx([float(niqe(image[None], params=model())) for image in images], rel=1e-9)
    assert len(set(together.tolist())) == 3
    assert niqe(images.float(), params=model()).tolist() == together.tolist()


def test_only_blocks_wholly_inside_the_mask_count() -> None:
    images = torch.cat([picture(80, 64), picture(80, 64, seed=1)])
    mask = torch.zeros(1, 1, 80, 64, dtype=torch.bool)
    mask[..., 15:80, 16:63] = True  # the last column of blocks lacks a pixel
    kept = [4 * row + column for row in (1, 2, 3, 4) for column in (1, 2)]
    expected = [plain_score(plain(image, BLOCK)[kept], model()) for image in images]
    assert niqe(images, params=model(), mask=mask).tolist() == pytest.approx(expected, rel=1e-8)
    assert niqe(images, params=model()).tolist() != pytest.approx(expected, rel=1e-3)
    other = mask.clone()
    other[..., :16] = True
    each = niqe(images, params=model(), mask=torch.cat([mask, other]))
    assert float(each[0]) == pytest.approx(expected[0], rel=1e-8)
    assert float(each[1]) == pytest.approx(float(niqe(images[1:], params=model(), mask=other)), rel=1e-9)
    assert float(each[1]) != pytest.approx(expected[1], rel=1e-3)


def test_fewer_than_two_blocks_give_no_score() -> None:
    image = picture(64, 64)
    for nothing in (image[..., :31, :31], image[..., :15, :], torch.zeros_like(image), torch.full_like(image, 0.5)):
        assert math.isnan(float(niqe(nothing, params=model())))
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    assert math.isnan(float(niqe(image, params=model(), mask=mask)))
    mask[..., :16, :16] = True
    assert math.isnan(float(niqe(image, params=model(), mask=mask)))
    mask[..., :32, :16] = True
    assert float(niqe(image, params=model(), mask=mask)) > 0


def test_flat_blocks_leave_the_covariance_and_by_choice_the_mean() -> None:
    image = picture(64, 64)
    image[..., :32, :] = 0
    features = niqe_blocks(image, BLOCK).features[0].numpy()
    flat = np.isnan(features).any(axis=1)
    assert flat[:4].all() and not flat[8:].any()
    assert (features[0, [0, 2]] == 0.2).all()  # the shape that MATLAB's min answers for NaN
    mean, whole = np.nanmean(features, axis=0), features[~flat]
    apart, both = model().mean.numpy() - mean, (model().covariance.numpy() + np.cov(whole.T)) / 2
    expected = math.sqrt(apart @ np.linalg.pinv(both) @ apart)
    assert float(niqe(image, params=model())) == pytest.approx(expected, rel=1e-9)
    dropped = float(niqe(image, params=model(), drop_flat=True))
    assert dropped == pytest.approx(plain_score(whole, model()), rel=1e-9) and dropped != pytest.approx(
        expected, rel=1e-3
    )


def test_a_fitted_model_orders_blur() -> None:
    sharp = torch.cat([picture(96, 96, seed=seed) for seed in range(6)])
    rows = niqe_sharp_rows(sharp, BLOCK, 0.0)
    assert rows.shape == (6 * 36, 36)
    fitted = niqe_model_of(rows, BLOCK, 0.0)
    assert torch.equal(fitted.mean, rows.mean(dim=0)) and np.allclose(fitted.covariance, np.cov(rows.numpy().T))
    other = picture(96, 96, seed=9).numpy()
    blurred = [scipy.ndimage.gaussian_filter(other, (0, 0, sigma, sigma)) for sigma in (0, 0.7, 1.2, 2)]
    scores = [float(niqe(torch.from_numpy(image), params=fitted)) for image in blurred]
    assert scores == sorted(scores) and scores[-1] > 3 * scores[0]


def test_sharp_rows_are_those_above_the_threshold() -> None:
    image = picture(64, 64)
    image[..., :16, :16] = 0.5 + 0.01 * (image[..., :16, :16] - 0.5)
    features, sharpness, _ = niqe_blocks(image, BLOCK)
    kept = sharpness[0] > 0.6 * sharpness[0].max()
    assert 0 < kept.sum() < 16
    assert torch.equal(niqe_sharp_rows(image, BLOCK, 0.6), features[0][kept])
    mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    mask[..., :20, :] = False
    assert len(niqe_sharp_rows(image, BLOCK, 0.0, mask=mask)) == 8
    assert niqe_sharp_rows(image[..., :10, :], BLOCK, 0.0).shape == (0, 36)
    with pytest.raises(ValueError, match="at least 2 blocks, found 1"):
        niqe_model_of(features[0, :1], BLOCK, 0.0)


def test_the_block_hangs_on_the_size() -> None:
    assert [niqe_block_for(side) for side in (64, 199, 200, 399, 400, 3000, math.inf)] == [32, 32, 48, 48, 96, 96, 96]


def test_wrong_input_is_named() -> None:
    image = picture(32, 32)
    with pytest.raises(MedrestoreError, match=r"type metrics\.niqe_params=FILE .*fit_niqe"):
        niqe(image)
    with pytest.raises(MedrestoreError, match=r"metrics\.niqe_params"):
        NIQE(None)
    with pytest.raises(ValueError, match=r"C 1 or 3, found \(1, 2, 32, 32\)"):
        niqe(image[:, :2], params=model())
    with pytest.raises(ValueError, match=r"in \[0, 1\], found min=.*, max=255"):
        niqe(image / image.max() * 255, params=model())
    with pytest.raises(ValueError, match="mask must be bool"):
        niqe(image, params=model(), mask=torch.ones(1, 1, 32, 32))
    with pytest.raises(ValueError, match="mask must be bool"):
        niqe(image, params=model(), mask=torch.ones(2, 1, 32, 32, dtype=torch.bool))
