import numpy as np
import pytest
import torch

from medrestore.degradations import Frame, PatchwiseMotionBlur, blur, blur_varying
from medrestore.degradations.kernels import centroid, rms_radius
from medrestore.degradations.varying import window_means, windows
from medrestore.errors import MedrestoreError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_kernels(rows: int, columns: int, tall: int, wide: int) -> torch.Tensor:
    kernels = torch.rand(rows, columns, tall, wide, generator=generator(2), dtype=torch.float64)
    return kernels / kernels.sum((2, 3), keepdim=True)


def pixel_by_pixel(image: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Every pixel's own kernel, mixed from the grid by raised cosines, summed over its neighbourhood."""
    rows, columns, tall, wide = kernels.shape
    height, width = image.shape
    padded = np.pad(image, ((tall // 2,) * 2, (wide // 2,) * 2), mode="reflect")
    out = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            mixed = np.zeros((tall, wide))
            for i in range(rows):
                for j in range(columns):
                    down = abs(y / (height - 1) * (rows - 1) - i)
                    across = abs(x / (width - 1) * (columns - 1) - j)
                    if down < 1 and across < 1:
                        share = (1 + np.cos(np.pi * down)) / 2 * (1 + np.cos(np.pi * across)) / 2
                        mixed += share * kernels[i, j]
            out[y, x] = (padded[y : y + tall, x : x + wide] * mixed[::-1, ::-1]).sum()
    return out


def spread(kernel: torch.Tensor) -> list[float]:
    """Variance in rows, in columns, and covariance, in px^2."""
    y, x = (torch.arange(size) - (size - 1) / 2 for size in kernel.shape)
    y = y[:, None]
    return [float((kernel * moment).sum()) for moment in (y * y, x * x, y * x)]


# 3 x 5 is summed directly, 9 x 7 goes through the FFT.
@pytest.mark.parametrize(("grid", "size"), [((2, 3), (3, 5)), ((4, 2), (9, 7)), ((1, 3), (5, 3))])
def test_equals_a_convolution_pixel_by_pixel(grid: tuple[int, int], size: tuple[int, int]) -> None:
    image = torch.rand(2, 19, 24, generator=generator(), dtype=torch.float64) * 2000 - 1000
    kernels = random_kernels(*grid, *size)
    expected = np.stack([pixel_by_pixel(plane, kernels.numpy()) for plane in image.numpy()])
    assert blur_varying(image, kernels).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [(3, 5), (11, 9)])
def test_equal_kernels_blur_as_one(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, 31, 26, generator=generator(), dtype=torch.float64)
    kernel = random_kernels(1, 1, *size)[0, 0]
    torch.testing.assert_close(blur_varying(image, kernel.expand(3, 4, *size)), blur(image, kernel), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("count", "size"), [(1, 7), (2, 8), (4, 33), (5, 5), (3, 1)])
def test_windows_sum_to_one_also_beyond_the_image(count: int, size: int) -> None:
    found = windows(count, size, -4, size + 9)
    assert float(found.min()) >= 0
    torch.testing.assert_close(found.sum(0), torch.ones(size + 9, dtype=torch.float64), atol=1e-12, rtol=0)
    assert torch.equal(found[:, :4], found[:, 4:5].expand(-1, 4))


def test_window_means_are_the_windows_shares_of_a_fine_image() -> None:
    for count in (1, 2, 5):
        fine = windows(count, 200001, 0, 200001).mean(1)
        torch.testing.assert_close(window_means(count), fine, atol=1e-5, rtol=0)


def test_a_patch_with_its_frame_gets_the_blur_of_its_place() -> None:
    image = torch.rand(1, 60, 70, generator=generator(), dtype=torch.float64)
    kernels = random_kernels(4, 4, 9, 9)
    whole = blur_varying(image, kernels)
    patch = blur_varying(image[:, 16:44, 26:54], kernels, Frame(60, 70, 16, 26))
    torch.testing.assert_close(patch[:, 4:-4, 4:-4], whole[:, 20:40, 30:50], atol=1e-12, rtol=0)
    alone = blur_varying(image[:, 16:44, 26:54], kernels)
    assert not torch.allclose(alone[:, 4:-4, 4:-4], whole[:, 20:40, 30:50], atol=1e-4)


def test_patchwise_kernels_keep_brightness_and_place_and_differ() -> None:
    motion = PatchwiseMotionBlur("big", grid=3)
    for seed in range(5):
        field = motion.sample(generator(seed)).field
        assert field is not None and field.shape[:2] == (3, 3) and max(field.shape) <= motion.canvas
        assert float(field.min()) >= 0
        torch.testing.assert_close(field.sum((2, 3)), torch.ones(3, 3), atol=1e-5, rtol=0)
        for kernel in field.flatten(0, 1):
            assert centroid(kernel) == pytest.approx((0, 0), abs=0.02)


def test_patchwise_kernels_change_smoothly() -> None:
    """Steps to the next place are several times smaller than the way from corner to corner."""
    motion, steps, ways = PatchwiseMotionBlur("big"), [], []
    for seed in range(5):
        field = motion.sample(generator(seed)).field
        assert field is not None
        shape = np.array([[spread(kernel) for kernel in row] for row in field])
        steps.append(np.abs(np.diff(shape, axis=1)).mean())
        ways.append(np.abs(shape[0, 0] - shape[-1, -1]).mean())
    assert np.mean(ways) > 3 * np.mean(steps) > 1


def test_straight_paths_fit_the_canvas_whatever_the_variation() -> None:
    for variation in (0.0, 0.3, 1.0, 5.0):
        motion = PatchwiseMotionBlur(length=30, exposure=1.0, anxiety=0.0, variation=variation, grid=3)
        for seed in range(20):  # mass clamped to the canvas's edge would move the centroid
            field = motion.sample(generator(seed)).field
            assert field is not None
            assert max(max(map(abs, centroid(kernel))) for kernel in field.flatten(0, 1)) < 0.02


def test_without_variation_one_kernel_blurs_all() -> None:
    motion = PatchwiseMotionBlur("small", variation=0.0)
    image = torch.rand(3, 40, 44, generator=generator(), dtype=torch.float64)
    parameters = motion.sample(generator(4))
    assert parameters.kernel is None and parameters.field is not None
    kernel = parameters.field[0, 0]
    torch.testing.assert_close(motion.apply(image, parameters), blur(image, kernel), atol=1e-6, rtol=0)
    assert parameters.description["rms_radius"] == pytest.approx(rms_radius(kernel), rel=1e-6)


def test_patchwise_strength_is_that_of_the_mean_kernel_and_of_one_path() -> None:
    """Straight paths of length L at all places: L^2 / 12 on average over the draws, whatever the variation."""
    for variation in (0.0, 1.0):
        motion = PatchwiseMotionBlur(length=40, exposure=1.0, anxiety=0.0, variation=variation, samples=200)
        squares = [float(motion.sample(generator(seed)).description["rms_radius"]) ** 2 for seed in range(100)]
        assert np.mean(squares) == pytest.approx(40**2 / 12, rel=0.15)


def test_patchwise_is_a_pure_function_of_its_draw() -> None:
    motion = PatchwiseMotionBlur()
    image = torch.rand(3, 30, 30, generator=generator())
    one, again, other = (motion.sample(generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(motion.apply(image, one), motion.apply(image, again))
    assert not torch.equal(motion.apply(image, one), motion.apply(image, other))
    flat = torch.full((1, 30, 30), -700.0)
    assert motion.apply(flat, one).numpy() == pytest.approx(flat.numpy(), rel=1e-5)


@pytest.mark.parametrize(
    "arguments", [{"preset": "huge"}, {"variation": -1}, {"grid": 1}, {"grid": 2.5}, {"length": -1}, {"exposure": 2}]
)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict) -> None:
    with pytest.raises(MedrestoreError) as error:
        PatchwiseMotionBlur(**arguments)
    assert "\n" not in str(error.value)
