import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.degradations import Cataract, Frame, Parameters, Sensor
from medrestore.errors import MedrestoreError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photograph(height: int = 64, width: int = 64, seed: int = 0) -> torch.Tensor:
    """A textured disc on black, float64 (3, H, W); the texture is never dark."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.standard_normal((height, width)), 1.0)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) < 0.46 * max(height, width)
    colour = np.array([0.7, 0.4, 0.2]).reshape(3, 1, 1)
    return torch.from_numpy(np.clip(colour * (1 + 0.4 * texture), 0.13, 1) * inside)


def drawn(strength: float, sigma: float, veil: float, centre=(0.1, -0.2), colour=(0.9, 0.8, 0.5)) -> Parameters:
    field = torch.tensor([strength, sigma, veil, *centre, *colour], dtype=torch.float64)
    return Parameters(None, {}, 0, field=field)


def by_numpy(image: np.ndarray, parameters: Parameters, surround=(0.04, 0.12)) -> np.ndarray:
    """The formula of the class, for a whole image, with scipy."""
    strength, sigma, veil, *rest = parameters.field.tolist()  # type: ignore[union-attr]
    centre, colour = rest[:2], np.array(rest[2:]).reshape(3, 1, 1)
    height, width = image.shape[1:]
    unit = min(height, width) / 512
    t = np.clip((image.max(0) - surround[0]) / (surround[1] - surround[0]), 0, 1)
    side = 2 * round(3 * unit) + 1
    gate = ndimage.grey_closing(t * t * (3 - 2 * t), (side, side), mode="nearest")
    radius = math.ceil(3 * sigma * unit)

    def smooth(plane: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(plane, sigma * unit, radius=radius, mode="mirror")

    seen = np.stack([smooth(plane * gate) for plane in image]) / np.maximum(smooth(gate), 1e-6)
    row, column = (0.5 + centre[0]) * height - 0.5, (0.5 + centre[1]) * width - 0.5
    y, x = np.mgrid[:height, :width]
    far = max(height, width) / 2 + math.hypot(centre[0] * height, centre[1] * width)
    distance = np.minimum(np.hypot(y - row, x - column) / far, 1)
    clouded = (1 - 0.2 * strength) * seen + veil * distance * np.maximum(colour - seen, 0)
    return image + gate * (clouded - image)


@pytest.mark.parametrize("shape", [(64, 64), (90, 60), (300, 340)])
def test_equals_the_formula_by_scipy(shape: tuple[int, int]) -> None:
    image = photograph(*shape)
    image[:, shape[0] // 2, shape[1] // 2] = 0.01  # a dark spot is no surround, where the closing is wide enough
    parameters = drawn(0.8, 4.0, 0.6)
    found = Cataract().apply(image, parameters)
    np.testing.assert_allclose(found.numpy(), by_numpy(image.numpy(), parameters), atol=1e-9)


def test_strength_zero_is_the_identity() -> None:
    cataract = Cataract(strength=[0, 0])
    image, parameters = photograph().float(), cataract.sample(generator())
    assert parameters.margin == 0 and parameters.description["sigma"] == parameters.description["veil"] == 0
    assert torch.equal(cataract.apply(image, parameters), image)
    almost = cataract.apply(image, drawn(1e-6, 0.0, 1e-6))  # the same by the long way
    torch.testing.assert_close(almost, image, atol=2e-6, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_with_margin_equals_the_whole_image(seed: int) -> None:
    cataract = Cataract(largest=128)
    image = photograph(128, 150)
    parameters = cataract.sample(generator(seed))
    m = parameters.margin
    assert m is not None and 0 < m <= cataract.margin
    whole = cataract.apply(image, parameters)
    for top, left in [(m, m), (50, 90), (128 - 30 - m, 150 - 30 - m)]:
        placed = Parameters(None, {}, 0, parameters.field, frame=Frame(128, 150, top - m, left - m))
        patch = image[:, top - m : top + 30 + m, left - m : left + 30 + m]
        crop = cataract.apply(patch, placed)[:, m:-m, m:-m]
        torch.testing.assert_close(crop, whole[:, top : top + 30, left : left + 30], atol=1e-9, rtol=0)


def test_crops_of_images_too_large_for_the_margin_are_refused() -> None:
    cataract = Cataract(largest=64)
    placed = Parameters(None, {}, 0, cataract.sample(generator()).field, frame=Frame(100, 120, 3, 4))
    with pytest.raises(MedrestoreError, match=r"100 x 120 .* type degradation.operator.largest=100"):
        cataract.apply(photograph(), placed)
    assert cataract.apply(photograph(100, 120), cataract.sample(generator())).shape == (3, 100, 120)  # whole: no margin


def test_black_stays_black_and_the_edge_of_the_field_stays_sharp() -> None:
    image = photograph(96, 96).float()
    black = image.amax(0) == 0
    found = Cataract().apply(image, drawn(1.0, 8.0, 0.8))
    assert torch.equal(found[:, black], image[:, black])
    rim = ~black & torch.from_numpy(ndimage.binary_dilation(black.numpy()))
    assert float(found.amax(0)[rim].min()) > 0.4  # no black has been mixed in
    assert torch.equal(Cataract().apply(torch.zeros(3, 64, 64), drawn(1.0, 3.0, 0.8)), torch.zeros(3, 64, 64))


def test_detail_falls_with_strength() -> None:
    image = photograph(128, 128)
    inside = torch.from_numpy(ndimage.binary_erosion(image.amax(0).numpy() > 0, iterations=4))
    energies = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        cataract = Cataract(strength=[strength, strength])
        found = cataract.apply(image, cataract.sample(generator(4)))
        down, across = (found.diff(dim=axis)[:, :127, :127] for axis in (1, 2))
        energies.append(float((down**2 + across**2)[:, inside[:127, :127]].mean()))
    assert all(later < 0.9 * earlier for earlier, later in pairwise(energies))


def test_the_veil_grows_from_its_centre_and_has_its_colour() -> None:
    flat = torch.tensor([0.6, 0.3, 0.2], dtype=torch.float64).view(3, 1, 1).expand(3, 512, 512).clone()
    colour = (0.9, 0.8, 0.5)
    found = Cataract().apply(flat, drawn(1.0, 0.0, 0.7, (-0.25, 0.0), colour))
    at_centre, half_way = found[:, 127, 255], found[:, 127 + 192, 255]
    torch.testing.assert_close(at_centre, 0.8 * flat[:, 0, 0], atol=2e-3, rtol=0)
    expected = 0.8 * flat[:, 0, 0] + 0.7 * 0.5 * (torch.tensor(colour).double() - flat[:, 0, 0])
    torch.testing.assert_close(half_way, expected, atol=2e-3, rtol=0)  # 192 of the 256 + 128 px to the far edge


def test_draws_are_pure_in_their_ranges_and_described() -> None:
    cataract = Cataract(strength=[0.4, 0.9], sigma=[1.0, 2.0], veil=[0.5, 0.7], centre=0.2)
    fields = torch.stack([cataract.sample(generator(seed)).field for seed in range(200)])  # type: ignore[misc]
    strength, sigma, veil = fields[:, :3].T
    assert 0.4 <= float(strength.min()) < 0.45 and 0.85 < float(strength.max()) <= 0.9
    assert 1 <= float((sigma / strength).min()) < 1.1 and 1.9 < float((sigma / strength).max()) <= 2
    assert 0.5 <= float((veil / strength).min()) < 0.52 and 0.68 < float((veil / strength).max()) <= 0.7
    assert 0.18 < float(fields[:, 3:5].abs().max()) <= 0.2
    assert bool((fields[:, 5:].min(0).values >= torch.tensor([0.8, 0.7, 0.35]).double()).all())
    one, again = cataract.sample(generator(7)), cataract.sample(generator(7))
    assert one.description == again.description and one.seed == again.seed
    assert one.description["strength"] == float(fields[7, 0]) and one.description["sigma"] == float(fields[7, 1])
    assert one.kernel is None and one.description["type"] == "cataract"


def test_batch_equals_its_images_and_the_sensor_rounds() -> None:
    cataract = Cataract(sensor=Sensor(bits=8))
    images = torch.stack([photograph(seed=seed).float() for seed in range(3)])
    parameters = cataract.sample(generator(1))
    found = cataract.apply(images, parameters)
    for one, image in zip(found, images, strict=True):
        torch.testing.assert_close(one, cataract.apply(image, parameters), atol=1e-6, rtol=0)
    assert torch.equal(found, (found * 255).round() / 255) and found.dtype == torch.float32
    assert float(found.min()) >= 0 and float(found.max()) <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"strength": [0.5, 1.2]},
        {"strength": 0.5},
        {"sigma": [2, 1]},
        {"veil": [0.1, 0.9]},
        {"colour": [[1, 1, 1], [0, 0, 0]]},
        {"colour": [[1, 1], [1, 1]]},
        {"centre": 0.7},
        {"surround": [0.1, 0.1]},
        {"largest": 0},
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict) -> None:
    with pytest.raises(MedrestoreError) as error:
        Cataract(**arguments)
    assert "\n" not in str(error.value) and next(iter(arguments)) in str(error.value) and "type" in str(error.value)


@pytest.mark.parametrize(
    ("image", "found"), [(torch.rand(1, 64, 64), "found 1"), (torch.ones(3, 64, 64) * 2, "2 to 2")]
)
def test_what_is_no_colour_photograph_is_refused(image: torch.Tensor, found: str) -> None:
    with pytest.raises(MedrestoreError, match=found):
        Cataract().apply(image, drawn(0.5, 1.0, 0.5))
