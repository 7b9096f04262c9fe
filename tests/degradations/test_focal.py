from collections import Counter

import pytest
import torch

from medrestore.degradations import FocalBlur, Sensor
from medrestore.degradations.kernels import box_taps, centroid, gaussian_taps, outer
from medrestore.errors import MedrestoreError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_kernels_keep_brightness_and_place() -> None:
    random, blur = generator(), FocalBlur()
    for _ in range(100):
        kernel = blur.sample(random).kernel
        assert kernel is not None and kernel.dtype == torch.float32
        assert all(size % 2 == 1 and size // 2 <= blur.margin for size in kernel.shape)
        assert float(kernel.min()) >= 0
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
        assert centroid(kernel) == pytest.approx((0, 0), abs=1e-6)


def test_kernel_is_the_described_one() -> None:
    random, blur = generator(1), FocalBlur()
    for _ in range(20):
        parameters = blur.sample(random)
        sizes = [int(parameters.description[name]) for name in ("size_y", "size_x")]
        if parameters.description["kind"] == "box":
            taps = [box_taps(size) for size in sizes]
        else:
            taps = [gaussian_taps(size, 0.3 * ((size - 1) / 2 - 1) + 0.8) for size in sizes]
        assert parameters.kernel is not None and torch.equal(parameters.kernel, outer(taps[0], taps[1]))


def test_all_kinds_and_sizes_are_drawn_about_equally() -> None:
    random, blur = generator(2), FocalBlur()
    drawn = Counter(
        tuple(blur.sample(random).description[k] for k in ("kind", "size_x", "size_y")) for _ in range(3200)
    )
    assert len(drawn) == 2 * 4 * 4
    assert min(drawn.values()) > 60 and max(drawn.values()) < 145  # 100 expected, standard deviation 10


def test_probabilities_choose_the_kind() -> None:
    random, blur = generator(3), FocalBlur(probabilities=[0.0, 1.0])
    assert {blur.sample(random).description["kind"] for _ in range(50)} == {"box"}


def test_same_seed_same_sample_other_seed_other() -> None:
    blur = FocalBlur()
    one, again = blur.sample(generator(5)), blur.sample(generator(5))
    assert one.description == again.description and one.seed == again.seed
    assert one.kernel is not None and again.kernel is not None and torch.equal(one.kernel, again.kernel)
    assert len({blur.sample(generator(seed)).seed for seed in range(20)}) == 20
    assert len({str(blur.sample(generator(seed)).description) for seed in range(20)}) > 5


@pytest.mark.parametrize("blur", [FocalBlur(sizes=(1, 1)), FocalBlur(kinds=("gaussian",), sigma=0)])
def test_zero_strength_is_identity(blur: FocalBlur) -> None:
    image = torch.rand(3, 17, 19, generator=generator())
    assert torch.equal(blur.apply(image, blur.sample(generator())), image)


def test_apply_is_pure_with_noise() -> None:
    blur = FocalBlur(sensor=Sensor(gaussian=0.05))
    image = torch.rand(3, 17, 19, generator=generator())
    parameters = blur.sample(generator())
    torch.manual_seed(1)
    first = blur.apply(image, parameters)
    torch.manual_seed(2)
    assert torch.equal(blur.apply(image, parameters), first)


def test_sampling_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    blur = FocalBlur(sensor=Sensor(gaussian=0.05))
    blur.apply(torch.rand(1, 9, 9, generator=generator()), blur.sample(generator()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sizes": (6, 3)},
        {"sizes": (0, 3)},
        {"sizes": (3,)},
        {"sizes": (2.5, 3)},
        {"sizes": 4},
        {"kinds": ()},
        {"kinds": ("disc",)},
        {"sigma": "matlab"},
        {"sigma": -1.0},
        {"probabilities": (1.0,)},
        {"probabilities": (0.0, 0.0)},
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict) -> None:
    with pytest.raises(MedrestoreError) as error:
        FocalBlur(**arguments)
    assert "\n" not in str(error.value)
