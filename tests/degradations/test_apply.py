import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.degradations import blur
from medrestore.degradations.apply import mirror_pad
from medrestore.degradations.kernels import box_taps, gaussian_taps, outer
from medrestore.errors import MedrestoreError


def random_kernel(rows: int, columns: int) -> torch.Tensor:
    kernel = torch.rand(rows, columns, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return kernel / kernel.sum()


def random_image(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(8), dtype=dtype)


def reference(image: torch.Tensor, kernel: torch.Tensor) -> np.ndarray:
    return np.stack([ndimage.convolve(plane, kernel.numpy(), mode="mirror") for plane in image.numpy()])


# 3 x 5 and 7 x 1 are summed directly, 9 x 7 and 21 x 21 go through the FFT.
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 1), (9, 7), (21, 21)])
@pytest.mark.parametrize("shape", [(3, 40, 33), (1, 23, 64)])
def test_equals_scipy_convolution(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    image, kernel = random_image(*shape), random_kernel(*size)
    assert blur(image, kernel).numpy() == pytest.approx(reference(image, kernel), abs=1e-12)


@pytest.mark.parametrize("size", [5, 15])
def test_float32_hounsfield_units_are_exact_to_rounding(size: int) -> None:
    image = random_image(1, 64, 64) * 4000 - 1024
    expected = reference(image, random_kernel(size, size))
    found = blur(image.float(), random_kernel(size, size).float())
    assert found.dtype == torch.float32
    assert found.numpy() == pytest.approx(expected, abs=4000 * 1e-6)


@pytest.mark.parametrize("size", [5, 15])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, -1000.0])
def test_constant_image_stays(size: int, value: float) -> None:
    image = torch.full((3, 20, 31), value)
    assert blur(image, random_kernel(size, size).float()).numpy() == pytest.approx(image.numpy(), rel=1e-6)


@pytest.mark.parametrize("size", [5, 15])
def test_batch_equals_its_images(size: int) -> None:
    images, kernel = random_image(3, 2, 24, 30), random_kernel(size, size)
    for found, image in zip(blur(images, kernel), images, strict=True):
        assert torch.allclose(found, blur(image, kernel), atol=1e-14, rtol=0)


@pytest.mark.parametrize("size", [4, 5, 6, 16])
def test_symmetric_kernels_commute_with_flips(size: int) -> None:
    image = random_image(3, 29, 34)
    kernel = outer(gaussian_taps(size, 1.3), box_taps(size)).double()
    for dim in (-1, -2):
        assert torch.allclose(blur(image.flip(dim), kernel), blur(image, kernel).flip(dim), atol=1e-13, rtol=0)


@pytest.mark.parametrize("size", [5, 15])
def test_crop_with_margin_equals_whole_image(size: int) -> None:
    image, kernel, margin = random_image(3, 60, 70), random_kernel(size, size), size // 2
    whole = blur(image, kernel)[:, 20:40, 25:45]
    crop = blur(image[:, 20 - margin : 40 + margin, 25 - margin : 45 + margin], kernel)
    assert torch.allclose(crop[:, margin:-margin, margin:-margin], whole, atol=1e-13, rtol=0)


def test_input_is_left_alone() -> None:
    image = random_image(1, 12, 12)
    before = image.clone()
    blur(image, random_kernel(3, 3))
    blur(image, random_kernel(11, 11))
    assert torch.equal(image, before)


@pytest.mark.parametrize(("shape", "margin"), [((5, 7), 4), ((5, 7), 9), ((1, 3), 8), ((4, 4), 30)])
def test_mirror_pad_equals_numpy_however_wide(shape: tuple[int, int], margin: int) -> None:
    image = random_image(1, *shape)
    expected = np.pad(image.numpy()[0], margin, mode="reflect")
    assert np.array_equal(mirror_pad(image, margin, margin).numpy()[0], expected)


def test_image_smaller_than_the_kernel() -> None:
    image, kernel = random_image(1, 3, 2), random_kernel(13, 13)
    assert blur(image, kernel).numpy() == pytest.approx(reference(image, kernel), abs=1e-12)


def test_even_kernel_is_refused() -> None:
    with pytest.raises(MedrestoreError, match=r"odd sizes.*4 x 3"):
        blur(random_image(1, 8, 8), random_kernel(4, 3))
