import numpy as np
import pytest
import torch

from medrestore.metrics import FourierError, fourier_error


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(*shape, generator=generator), torch.rand(*shape, generator=generator)


def test_equals_numpy_image_by_image() -> None:
    preds, target = pair(3, 3, 17, 26)
    expected = []
    for x, y in zip(preds.double().numpy(), target.double().numpy(), strict=True):
        spectra = [np.abs(np.fft.fft2(image)) / np.sqrt(17 * 26) for image in (x, y)]
        expected.append(np.mean((spectra[0] - spectra[1]) ** 2))
    found = fourier_error(preds, target)
    assert found.shape == (3,) and found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_flat_images_differ_in_one_frequency() -> None:
    # Only the mean frequency is not zero, its magnitude is sqrt(HW) times the level: the squared difference of levels.
    preds, target = torch.full((1, 1, 6, 10), 0.75), torch.full((1, 1, 6, 10), 0.25)
    assert float(fourier_error(preds, target)) == pytest.approx(0.25, abs=1e-14)


def test_a_bright_pixel_against_black_is_its_energy() -> None:
    preds = torch.zeros(1, 1, 8, 8)
    preds[..., 3, 5] = 0.5
    assert float(fourier_error(preds, torch.zeros_like(preds))) == pytest.approx(0.25 / 64, abs=1e-16)


@pytest.mark.parametrize("grey", [False, True])
def test_is_never_larger_than_the_mean_squared_error(grey: bool) -> None:
    preds, target = pair(4, 3, 15, 20)
    error = ((preds.double() - target.double()) ** 2).mean(dim=(1, 2, 3))
    assert (fourier_error(preds, target, grey=grey) <= error).all()
    assert (fourier_error(preds, target, grey=grey) > 0).all()


def test_is_blind_to_a_circular_shift_and_to_size() -> None:
    preds, target = pair(2, 1, 12, 9)
    shifted = preds.roll((3, 4), dims=(2, 3))
    assert fourier_error(shifted, preds).tolist() == pytest.approx([0, 0], abs=1e-28)
    tiled = fourier_error(preds.tile(1, 1, 2, 3), target.tile(1, 1, 2, 3))
    assert tiled.tolist() == pytest.approx(fourier_error(preds, target).tolist(), rel=1e-12)


def test_grey_averages_the_channels_first() -> None:
    preds, target = pair(2, 3, 10, 11)
    channels = (preds.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True))
    assert fourier_error(preds, target, grey=True).tolist() == pytest.approx(
        fourier_error(*channels).tolist(), rel=1e-5
    )
    assert (fourier_error(preds, target, grey=True) < 0.9 * fourier_error(preds, target)).all()
    grey = preds[:, :1], target[:, :1]
    assert fourier_error(*grey, grey=True).tolist() == fourier_error(*grey).tolist()


def test_wrong_input_is_named() -> None:
    preds, target = pair(1, 1, 6, 6)
    with pytest.raises(ValueError, match=r"preds must be in \[0, 1\]"):
        fourier_error(preds + 1, target)
    with pytest.raises(ValueError, match=r"\(1, 1, 6, 6\) and \(1, 1, 6, 5\)"):
        fourier_error(preds, target[..., :5])


@pytest.mark.parametrize("grey", [False, True])
def test_class_averages_images(grey: bool) -> None:
    preds, target = pair(3, 3, 8, 8)
    metric = FourierError(grey=grey)
    metric.update(preds[:2], target[:2])
    metric.update(preds[2:], target[2:])
    assert float(metric.compute()) == pytest.approx(float(fourier_error(preds, target, grey=grey).mean()), abs=1e-15)
    assert metric.higher_is_better is False
