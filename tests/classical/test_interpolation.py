import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medrestore.classical import Bicubic, Bilinear, Lanczos, Method, Nearest, methods_for

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def smooth(height: int, width: int) -> Tensor:
    """Values away from 0 and 1, so that nothing is clipped."""
    return 0.3 + 0.4 * torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [Nearest, Bilinear, Bicubic, Lanczos])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_inside_equals_pillow(kind: type[Nearest | Bilinear | Bicubic | Lanczos], scale: int) -> None:
    image, method = smooth(17, 22), kind(scale)
    picture = Image.fromarray(image[0, 0].numpy())
    expected = np.asarray(picture.resize((22 * scale, 17 * scale), PILLOW[method.name]))
    found = method.restore(image)
    assert found.shape == (1, 1, 17 * scale, 22 * scale)
    inside = slice(4 * scale, -4 * scale)
    assert found[0, 0, inside, inside].numpy() == pytest.approx(expected[inside, inside], abs=1e-5)


@pytest.mark.parametrize("method", methods_for(3), ids=lambda method: method.name)
def test_constants_range_and_flips(method: Method) -> None:
    constant = torch.full((1, 3, 9, 10), 0.7)
    assert method.restore(constant).numpy() == pytest.approx(np.full((1, 3, 27, 30), 0.7), abs=1e-6)
    edges = (torch.rand(1, 3, 9, 10, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    restored = method.restore(edges)
    assert float(restored.min()) >= 0 and float(restored.max()) <= 1
    assert torch.allclose(method.restore(edges.flip(-1)), restored.flip(-1), atol=1e-6)
    assert torch.allclose(method.restore(edges.transpose(-1, -2)), restored.transpose(-1, -2), atol=1e-6)


@pytest.mark.parametrize("method", [Bilinear(4), Bicubic(4)], ids=lambda method: method.name)
def test_ramps_keep_their_place(method: Method) -> None:
    ramp = (torch.arange(20, dtype=torch.float64) / 25 + 0.1).expand(1, 1, 20, 20)
    places = (np.arange(80) + 0.5) / 4 - 0.5
    assert method.restore(ramp)[0, 0, 40, 12:-12].numpy() == pytest.approx((places / 25 + 0.1)[12:-12], abs=1e-9)


def test_batches_and_channels_stay_apart() -> None:
    images = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(2))
    for method in methods_for(2):
        both = method.restore(images)
        assert torch.allclose(both[1:, 2:], method.restore(images[1:, 2:]), atol=1e-6)


@pytest.mark.parametrize("kind", [Nearest, Bilinear, Bicubic, Lanczos])
def test_scale_one_is_identity(kind: type[Nearest | Bilinear | Bicubic | Lanczos]) -> None:
    image = smooth(6, 7)
    assert kind(1).restore(image).numpy() == pytest.approx(image.numpy(), abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3)])
def test_tiny_images_pass(size: tuple[int, int]) -> None:
    for method in methods_for(2):
        assert method.restore(smooth(*size)).shape == (1, 1, 2 * size[0], 2 * size[1])
