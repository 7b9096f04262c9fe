import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medrestore.degradations import CameraRotationBlur, Frame, Parameters
from medrestore.degradations.kernels import centroid
from medrestore.errors import MedrestoreError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(field: list[list[float]] | torch.Tensor, frame: Frame | None = None) -> Parameters:
    return Parameters(None, {}, 0, field=torch.as_tensor(field, dtype=torch.float64), frame=frame)


def by_scipy(image: np.ndarray, field: np.ndarray, focal: float) -> np.ndarray:
    """The mean over the turns of K R K^-1, applied to every pixel, with scipy's rotation and interpolation."""
    height, width = image.shape
    f = focal * max(height, width)
    camera = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
    y, x = np.mgrid[:height, :width]
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    total = np.zeros(x.size)
    for columns, rows, roll in field:
        turn = Rotation.from_rotvec([-rows / f, columns / f, roll / (math.hypot(height, width) / 2)]).as_matrix()
        seen = camera @ turn @ np.linalg.inv(camera) @ points
        total += ndimage.map_coordinates(image, [seen[1] / seen[2], seen[0] / seen[2]], order=1, mode="mirror")
    return (total / len(field)).reshape(height, width)


@pytest.mark.parametrize("focal", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(33, 40), (41, 24)])
def test_equals_homographies_by_scipy(shape: tuple[int, int], focal: float) -> None:
    image = torch.rand(2, *shape, generator=generator(), dtype=torch.float64) * 2000 - 1000
    field = (torch.rand(7, 3, generator=generator(1), dtype=torch.float64) - 0.5) * 10
    expected = np.stack([by_scipy(plane, field.numpy(), focal) for plane in image.numpy()])
    found = CameraRotationBlur(focal=focal).apply(image, drawn(field)).numpy()
    assert found == pytest.approx(expected, abs=1e-7)
    single = CameraRotationBlur(focal=focal).apply(image.float(), drawn(field)).numpy()
    assert single == pytest.approx(expected, abs=0.1)  # of 2000 HU: coordinates rounded to float32


def test_no_rotation_is_identity() -> None:
    motion = CameraRotationBlur(length=0)
    image = torch.rand(3, 17, 19, generator=generator())
    parameters = motion.sample(generator())
    assert motion.margin == 0 and parameters.description["rms_radius"] == 0
    assert torch.equal(motion.apply(image, parameters), image)


def test_a_quarter_turn_is_exact() -> None:
    """Roll so long that the corners go round a quarter: the picture stands on its side."""
    side = 9
    quarter = math.pi / 2 * math.hypot(side, side) / 2
    image = torch.rand(1, side, side, generator=generator(), dtype=torch.float64)
    found = CameraRotationBlur().apply(image, drawn([[0, 0, quarter]]))
    torch.testing.assert_close(found, torch.rot90(image, 1, (1, 2)), atol=1e-12, rtol=0)
    both = CameraRotationBlur().apply(image, drawn([[0, 0, quarter], [0, 0, -quarter]]))
    expected = (torch.rot90(image, 1, (1, 2)) + torch.rot90(image, -1, (1, 2))) / 2
    torch.testing.assert_close(both, expected, atol=1e-12, rtol=0)


def test_paths_too_long_for_the_image_are_refused() -> None:
    with pytest.raises(MedrestoreError, match="34 degrees on an image of 40 x 50"):
        CameraRotationBlur().apply(torch.rand(1, 40, 50), drawn([[30, 0, 0], [-30, 0, 0]]))


def test_pure_roll_leaves_the_middle_sharp_and_blurs_the_edges() -> None:
    motion = CameraRotationBlur("big", length=0, roll=12)
    image = torch.rand(1, 65, 65, generator=generator(), dtype=torch.float64)
    change = (motion.apply(image, motion.sample(generator(2))) - image).abs()[0]
    assert float(change[32, 32]) < 1e-9
    y, x = torch.meshgrid(*[torch.arange(65) - 32] * 2, indexing="ij")
    radius = torch.hypot(y.double(), x.double())
    assert float(change[radius < 3].mean()) < 0.6 * float(change[radius > 24].mean())


def test_far_focus_and_no_roll_is_a_shift() -> None:
    """With a focal length of a thousand pictures a turn moves every point alike."""
    image = torch.rand(1, 30, 34, generator=generator(), dtype=torch.float64)
    found = CameraRotationBlur(focal=1000).apply(image, drawn([[3, -2, 0]]))
    # The view after the turn: what was at x + 3, y - 2 stands at x, y.
    assert torch.allclose(found[:, 4:-4, 4:-4], image[:, 2:-6, 7:-1], atol=1e-3)


def test_pairs_stay_registered_in_the_middle() -> None:
    motion = CameraRotationBlur("small")
    spot = torch.zeros(1, 201, 201, dtype=torch.float64)
    spot[0, 100, 100] = 1
    for seed in range(5):
        parameters = motion.sample(generator(seed))
        assert parameters.field is not None
        assert parameters.field.mean(0).numpy() == pytest.approx(0, abs=1e-12)
        blurred = motion.apply(spot, parameters)[0]
        assert centroid(blurred) == pytest.approx((0, 0), abs=0.05)
        assert float(blurred.sum()) == pytest.approx(1, abs=0.05)


def test_a_crop_with_margin_equals_the_whole_image() -> None:
    motion = CameraRotationBlur("small")
    image = torch.rand(1, 150, 170, generator=generator(), dtype=torch.float64)
    parameters = motion.sample(generator(3))
    m = parameters.margin
    assert m is not None and 2 < m < motion.margin
    whole = motion.apply(image, parameters)
    for top, left in [(m, m), (60, 100), (150 - 30 - m, 170 - 30 - m)]:
        placed = drawn(parameters.field, Frame(150, 170, top - m, left - m))  # type: ignore[arg-type]
        patch = image[:, top - m : top + 30 + m, left - m : left + 30 + m]
        crop = motion.apply(patch, placed)[:, m:-m, m:-m]
        assert torch.allclose(crop, whole[:, top : top + 30, left : left + 30], atol=1e-9, rtol=0)


def test_strength_is_the_mean_way_of_the_pixels() -> None:
    """Spots spread over the picture widen by the strength that the description says."""
    motion, side = CameraRotationBlur("big", length=10, roll=14, anxiety=0.0), 241
    y, x = (axis.double().contiguous() for axis in torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij"))
    for seed in range(3):
        parameters = motion.sample(generator(seed))
        # Blurring the coordinates and their squares gives the variance of where each pixel's light comes from;
        # away from the border, where the coordinates would be mirrored.
        squares = motion.apply(torch.stack([x, y, x**2, y**2]), parameters)[:, 16:-16, 16:-16]
        variance = squares[2] - squares[0] ** 2 + squares[3] - squares[1] ** 2
        assert parameters.field is not None
        # Interpolation adds up to 1/4 px^2 an axis, 1/6 on average; the border left out rolls the most.
        border = float((parameters.field[:, 2] ** 2).mean()) / 3 * (1 - ((side - 32) / side) ** 2)
        strength = float(parameters.description["rms_radius"])
        assert float(variance.mean()) == pytest.approx(strength**2 - border + 1 / 3, rel=0.06)


def test_batch_equals_its_images_and_draws_are_pure() -> None:
    motion = CameraRotationBlur()
    images = torch.rand(3, 2, 40, 44, generator=generator())
    one, again, other = (motion.sample(generator(seed)) for seed in (5, 5, 6))
    found = motion.apply(images, one)
    for blurred, image in zip(found, images, strict=True):
        assert torch.equal(blurred, motion.apply(image, again))
    assert not torch.equal(found, motion.apply(images, other))
    flat = torch.full((1, 40, 44), -700.0)
    assert motion.apply(flat, one).numpy() == pytest.approx(flat.numpy(), rel=1e-5)


@pytest.mark.parametrize("arguments", [{"preset": "huge"}, {"roll": -1}, {"focal": 0.1}, {"length": -1}])
def test_wrong_arguments_are_refused_in_one_line(arguments: dict) -> None:
    with pytest.raises(MedrestoreError) as error:
        CameraRotationBlur(**arguments)
    assert "\n" not in str(error.value)
