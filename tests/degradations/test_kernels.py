import numpy as np
import pytest
import torch

from medrestore.degradations.kernels import box_taps, centroid, gaussian_taps, outer, rms_radius, sigma_of, trim
from medrestore.errors import MedrestoreError


@pytest.mark.parametrize("size", range(1, 10))
def test_taps_are_odd_in_number_symmetric_and_sum_to_one(size: int) -> None:
    for taps in (gaussian_taps(size, 1.1), box_taps(size)):
        assert len(taps) == size // 2 * 2 + 1
        assert float(taps.sum()) == pytest.approx(1, abs=1e-15)
        assert torch.equal(taps, taps.flip(0))
        assert float(taps.min()) > 0


def test_box_by_hand() -> None:
    assert box_taps(3).tolist() == pytest.approx([1 / 3] * 3)
    assert box_taps(4).tolist() == pytest.approx([1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8])
    assert box_taps(1).tolist() == [1]


def test_box_variance_grows_with_size_as_it_should() -> None:
    # An odd box has variance (k^2 - 1) / 12; the even one with half ends has (k^2 + 2) / 12.
    for size in (3, 5, 7):
        assert rms_radius(box_taps(size)[:, None]) ** 2 == pytest.approx((size**2 - 1) / 12)
    for size in (4, 6):
        assert rms_radius(box_taps(size)[:, None]) ** 2 == pytest.approx((size**2 + 2) / 12)


def test_gaussian_by_hand() -> None:
    expected = np.exp(-(np.array([-2.0, -1, 0, 1, 2]) ** 2) / (2 * 0.95**2))
    assert gaussian_taps(4, 0.95).numpy() == pytest.approx(expected / expected.sum())
    assert gaussian_taps(5, 0).tolist() == [0, 0, 1, 0, 0]


def test_sigma_rules() -> None:
    assert [sigma_of(size, "opencv") for size in (3, 4, 5, 6)] == pytest.approx([0.80, 0.95, 1.10, 1.25])
    assert sigma_of(6, "k/6") == 1
    assert sigma_of(6, 0.5) == 0.5


@pytest.mark.parametrize("rule", ["matlab", -1, float("nan"), float("inf")])
def test_wrong_sigma_is_refused(rule: float) -> None:
    with pytest.raises(MedrestoreError, match="sigma"):
        sigma_of(3, rule)


def test_wrong_size_is_refused() -> None:
    with pytest.raises(MedrestoreError, match="size 0"):
        box_taps(0)
    with pytest.raises(MedrestoreError, match="size 0"):
        gaussian_taps(0, 1)


def test_trim_keeps_the_centre() -> None:
    kernel = torch.zeros(9, 9)
    kernel[4, 4], kernel[2, 5] = 0.5, 0.5
    trimmed = trim(kernel)
    assert trimmed.shape == (5, 3)
    assert centroid(trimmed) == centroid(kernel) == (-1.0, 0.5)
    assert trim(outer(torch.ones(1), torch.ones(1))).shape == (1, 1)


def test_rms_radius_of_two_points() -> None:
    kernel = torch.tensor([[0.5, 0, 0], [0, 0, 0], [0, 0, 0.5]])
    assert rms_radius(kernel) == pytest.approx(2**0.5)
