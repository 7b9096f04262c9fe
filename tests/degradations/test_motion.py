from typing import Literal

import numpy as np
import pytest
import torch

from medrestore.degradations import MotionBlur
from medrestore.degradations.kernels import centroid
from medrestore.errors import MedrestoreError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("preset", ["small", "big"])
def test_kernels_keep_brightness_and_place(preset: Literal["small", "big"]) -> None:
    random, motion = generator(), MotionBlur(preset)
    for _ in range(30):
        kernel = motion.sample(random).kernel
        assert kernel is not None and kernel.dtype == torch.float32
        assert all(size % 2 == 1 and size <= motion.canvas for size in kernel.shape)
        assert float(kernel.min()) >= 0
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
        assert centroid(kernel) == pytest.approx((0, 0), abs=0.02)


def test_straight_paths_fit_the_smallest_canvas() -> None:
    random, motion = generator(), MotionBlur(length=60, exposure=1.0, anxiety=0.0)
    assert motion.canvas == 63 and motion.margin == 31
    for _ in range(20):
        kernel = motion.sample(random).kernel
        assert kernel is not None and max(kernel.shape) <= 63
        # A line of length L has a variance of L^2 / 12, splatting adds at most 1/4 px^2 an axis.
        assert float(motion.sample(random).description["rms_radius"]) == pytest.approx(60 / 12**0.5, abs=0.05)


def test_big_blurs_more_than_small() -> None:
    radii = {}
    for preset in ("small", "big"):
        random, motion = generator(), MotionBlur(preset)
        radii[preset] = np.median([float(motion.sample(random).description["rms_radius"]) for _ in range(60)])
    # About 6 to 8 px for 60 px paths at these anxieties, a good pixel for half of 20 px.
    assert 1 < radii["small"] < 3
    assert 5 < radii["big"] < 10


def test_same_seed_same_sample_other_seed_other() -> None:
    motion = MotionBlur()
    one, again, other = (motion.sample(generator(seed)) for seed in (5, 5, 6))
    assert one.kernel is not None and again.kernel is not None and other.kernel is not None
    assert torch.equal(one.kernel, again.kernel) and one.description == again.description and one.seed == again.seed
    assert other.kernel.shape != one.kernel.shape or not torch.equal(other.kernel, one.kernel)
    assert other.seed != one.seed


def test_anxiety_is_drawn_from_its_range() -> None:
    random, motion = generator(), MotionBlur(anxiety=[0.01, 0.02], samples=50)
    drawn = [float(motion.sample(random).description["anxiety"]) for _ in range(200)]
    assert 0.01 <= min(drawn) < 0.011 and 0.019 < max(drawn) <= 0.02


def test_zero_length_is_identity() -> None:
    motion = MotionBlur(length=0)
    image = torch.rand(3, 17, 19, generator=generator())
    parameters = motion.sample(generator())
    assert parameters.description["rms_radius"] == 0
    assert torch.equal(motion.apply(image, parameters), image)


def test_pairs_stay_registered() -> None:
    """The centre of a spot far from the border stays where it is."""
    random, motion = generator(), MotionBlur("big")
    spot = torch.zeros(1, 101, 101)
    spot[0, 50, 50] = 1
    for _ in range(5):
        blurred = motion.apply(spot, motion.sample(random))
        assert centroid(blurred[0]) == pytest.approx((0, 0), abs=0.02)


def test_a_crop_with_margin_equals_the_whole_image() -> None:
    motion = MotionBlur("big")
    image = torch.rand(1, 120, 130, generator=generator(), dtype=torch.float64) * 3000 - 1000
    parameters = motion.sample(generator(3))
    m = motion.margin
    crop = motion.apply(image[:, 40 - m : 60 + m, 50 - m : 80 + m], parameters)[:, m:-m, m:-m]
    assert torch.allclose(crop, motion.apply(image, parameters)[:, 40:60, 50:80], atol=1e-8, rtol=0)


def test_a_larger_canvas_changes_nothing_but_the_margin() -> None:
    small, large = MotionBlur(), MotionBlur(canvas=101)
    one, two = small.sample(generator(1)).kernel, large.sample(generator(1)).kernel
    assert one is not None and two is not None
    assert large.margin == 50 and torch.allclose(one, two, atol=1e-7)


def test_several_canvas_sizes_are_drawn_as_the_program_of_s4_does() -> None:
    """Straight paths of 60/64 of the size: L^2 / 12 tells which."""
    sizes = [16, 32, 64]
    random, motion = generator(), MotionBlur(canvas_sizes=sizes, exposure=1.0, anxiety=0.0, samples=400)
    assert motion.margin == 31
    drawn = [motion.sample(random) for _ in range(150)]
    for parameters in drawn:
        size, kernel = int(parameters.description["canvas_size"]), parameters.kernel
        assert kernel is not None and max(kernel.shape) <= 2 * motion.margin + 1
        assert parameters.margin == max(kernel.shape) // 2
        length = size * 60 / 64
        assert parameters.description["length"] == length
        assert float(parameters.description["rms_radius"]) == pytest.approx(length / 12**0.5, abs=0.1)
    counts = [sum(parameters.description["canvas_size"] == size for parameters in drawn) for size in sizes]
    assert min(counts) > 35  # of 50 expected


def test_anxiety_falls_as_the_canvas_grows() -> None:
    motion = MotionBlur(canvas_sizes=[320], exposure=1.0, anxiety=0.01)
    assert motion.sample(generator()).description["anxiety"] == pytest.approx(0.002)


def test_one_canvas_of_64_is_the_path_of_60_pixels() -> None:
    """One size draws from the generator what no size would, after the choice of the size."""
    one, other = generator(3), generator(3)
    torch.randint(1, (), generator=other)
    sized = MotionBlur(canvas_sizes=[64], exposure=0.5, anxiety=0.005).sample(one)
    plain = MotionBlur(length=60, exposure=0.5, anxiety=0.005).sample(other)
    assert sized.kernel is not None and plain.kernel is not None
    assert torch.equal(sized.kernel, plain.kernel)


@pytest.mark.parametrize(
    "arguments",
    [
        {"canvas_sizes": []},
        {"canvas_sizes": [0, 64]},
        {"canvas_sizes": 64},
        {"canvas_sizes": [64], "length": 20},
        {"canvas_sizes": [64], "canvas": 65},
        {"preset": "huge"},
        {"length": -1},
        {"exposure": 0.0},
        {"exposure": 1.5},
        {"anxiety": -0.1},
        {"anxiety": (0.2, 0.1)},
        {"canvas": 64},
        {"canvas": 5},
        {"samples": 1},
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict) -> None:
    with pytest.raises(MedrestoreError) as error:
        MotionBlur(**arguments)
    assert "\n" not in str(error.value)
