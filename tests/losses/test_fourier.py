from __future__ import annotations

import numpy as np
import pytest
import torch

from medrestore.losses import MSE, FourierLoss, fourier

CHOICES = [(distance, of) for distance in ("l1", "l2") for of in ("magnitude", "complex")]


def images(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.rand(2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


@pytest.mark.parametrize(("distance", "of"), CHOICES)
@pytest.mark.parametrize("size", [(2, 3, 8, 8), (1, 1, 7, 12)])
def test_equals_numpy(distance: str, of: str, size: tuple[int, ...]) -> None:
    restored, target = images(*size)
    spectra = [np.fft.fft2(image.numpy()) / np.sqrt(size[-2] * size[-1]) for image in (restored, target)]
    if of == "magnitude":
        spectra = [np.abs(spectrum) for spectrum in spectra]
    expected = (np.abs(spectra[0] - spectra[1]) ** (1 if distance == "l1" else 2)).mean()
    found = FourierLoss(distance, of)(restored, target)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_parseval_and_the_triangle_inequality() -> None:
    restored, target = images(2, 3, 9, 10)
    mse = MSE()(restored, target)
    torch.testing.assert_close(fourier(restored, target, of="complex"), mse)
    assert fourier(restored, target) < mse


def test_magnitudes_are_blind_to_a_shift_and_complex_spectra_are_not() -> None:
    target, _ = images(1, 1, 8, 8)
    shifted = target.roll((3, 2), dims=(-2, -1))
    assert fourier(shifted, target).item() == pytest.approx(0, abs=1e-24)
    assert fourier(shifted, target, distance="l1", of="complex").item() > 0.1


@pytest.mark.parametrize(("distance", "of"), CHOICES)
def test_gradient_is_right_and_finite_where_a_magnitude_is_zero(distance: str, of: str) -> None:
    restored, target = images(1, 2, 5, 6)
    term = FourierLoss(distance, of)  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(lambda image: term(image, target), (restored.clone().requires_grad_(),))
    for dark, other in ((torch.zeros(1, 1, 8, 8), torch.rand(1, 1, 8, 8)), (torch.full((1, 1, 8, 8), 0.5),) * 2):
        dark = dark.clone().requires_grad_()  # every frequency but the mean is exactly 0
        term(dark, other).backward()
        assert dark.grad is not None and dark.grad.isfinite().all()


@pytest.mark.parametrize(("distance", "of"), CHOICES)
def test_masked_pixels_have_no_gradient(distance: str, of: str) -> None:
    restored, target = images(1, 3, 8, 8)
    term = FourierLoss(distance, of)  # type: ignore[arg-type]
    mask = torch.zeros(1, 1, 8, 8)
    assert term(restored, target, mask) == 0
    torch.testing.assert_close(term(restored, target, torch.ones_like(mask)), term(restored, target))
    mask[..., :4] = 1
    restored = restored.clone().requires_grad_()
    term(restored, target, mask).backward()
    assert restored.grad is not None
    assert restored.grad[..., :4].abs().max() > 0 and restored.grad[..., 4:].abs().max() == 0


def test_half_precision_is_computed_in_single() -> None:
    restored, target = (image.half() for image in images(1, 1, 12, 20))  # no powers of two
    found = fourier(restored, target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, fourier(restored.float(), target.float()))


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="type l1 or l2"):
        FourierLoss("l3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="type magnitude or complex"):
        FourierLoss(of="phase")  # type: ignore[arg-type]
