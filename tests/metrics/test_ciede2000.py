import math

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from medrestore.metrics import CIEDE2000, ciede2000
from medrestore.metrics.ciede2000 import difference, lab

# Table 1 of the paper: two colours and their difference to four decimals, chosen for the formula's discontinuities.
PUBLISHED = [
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
    (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
]


def pictures(number: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.rand(number, channels, 20, 31, generator=generator, dtype=torch.float64)


def each(preds: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    """Scikit-image's differences, (N, H, W)."""
    first, second = (rgb2lab(images.permute(0, 2, 3, 1).numpy()) for images in (preds, target))
    return deltaE_ciede2000(first, second)


def test_published_pairs_both_ways() -> None:
    table = torch.tensor(PUBLISHED, dtype=torch.float64)
    for first, second in ((table[:, :3], table[:, 3:6]), (table[:, 3:6], table[:, :3])):
        assert difference(first, second).tolist() == pytest.approx(table[:, 6].tolist(), abs=5.1e-5)


def test_equals_scikit_image_image_by_image() -> None:
    preds, target = pictures(3), pictures(4)[:3]
    preds[0, :, :5] = preds[0, :1, :5]  # greys
    target[0, :, 2:8] = target[0, :1, 2:8]
    assert np.abs(lab(preds[0].permute(1, 2, 0)).numpy() - rgb2lab(preds[0].permute(1, 2, 0).numpy())).max() < 1e-10
    found = ciede2000(preds, target)
    assert found.shape == (3,) and found.dtype == torch.float64
    assert found.tolist() == pytest.approx(each(preds, target).mean(axis=(1, 2)).tolist(), abs=1e-9)
    assert len(set(found.tolist())) == 3


def test_more_pixels_than_are_taken_at_a_time() -> None:
    preds, target = (torch.rand(1, 3, 400, 401, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert float(ciede2000(preds, target)) == pytest.approx(each(preds.double(), target.double()).mean(), abs=1e-6)


def test_only_pixels_of_the_mask_count() -> None:
    preds, target = pictures(2), pictures(3)[:2]
    mask = torch.rand(2, 1, 20, 31, generator=torch.Generator().manual_seed(0)) < 0.4
    values = each(preds, target)
    expected = [values[i][mask[i, 0].numpy()].mean() for i in range(2)]
    assert ciede2000(preds, target, mask=mask).tolist() == pytest.approx(expected, abs=1e-9)
    for_all = [values[i][mask[0, 0].numpy()].mean() for i in range(2)]
    assert ciede2000(preds, target, mask=mask[:1]).tolist() == pytest.approx(for_all, abs=1e-9)
    mask[1] = False
    found = ciede2000(preds, target, mask=mask)
    assert float(found[0]) == pytest.approx(expected[0], abs=1e-9) and math.isnan(found[1])
    metric = CIEDE2000()
    metric.update(preds, target, mask=mask)
    assert float(metric.compute()) == pytest.approx(expected[0], abs=1e-9)


def test_identical_and_grey_images() -> None:
    image = pictures(2)
    assert ciede2000(image, image).tolist() == [0, 0]
    grey, other = pictures(2, 1), pictures(3, 1)[:2]
    repeated = ciede2000(grey.expand(-1, 3, -1, -1), other.expand(-1, 3, -1, -1))
    assert ciede2000(grey, other).tolist() == repeated.tolist()


def test_wrong_input_is_named() -> None:
    image = pictures(1)
    with pytest.raises(ValueError, match="1 or 3 channels, found 2"):
        ciede2000(image[:, :2], image[:, :2])
    with pytest.raises(ValueError, match="of one size"):
        ciede2000(image, image[..., 1:])
    with pytest.raises(ValueError, match="mask must be bool"):
        ciede2000(image, image, mask=torch.ones(1, 1, 20, 31))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_equal_on_a_gpu() -> None:
    preds, target = pictures(2), pictures(3)[:2]
    found = ciede2000(preds.cuda(), target.cuda())
    assert found.is_cuda and found.tolist() == pytest.approx(ciede2000(preds, target).tolist(), abs=1e-9)
