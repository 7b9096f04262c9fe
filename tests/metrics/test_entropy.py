import math

import numpy as np
import pytest
import torch
from skimage.measure import shannon_entropy

from medrestore.metrics import Entropy, entropy


def picture(seed: int = 0, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, 20, 31, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 2


def grey(image: torch.Tensor) -> np.ndarray:
    """MATLAB's rgb2gray of uint8, (H, W)."""
    red, green, blue = np.floor(255 * image[0].numpy() + 0.5)
    return np.floor(0.298936 * red + 0.587043 * green + 0.114021 * blue + 0.5).astype(np.uint8)


def test_by_hand() -> None:
    image = torch.tensor([0, 0, 0, 0, 10, 10, 20, 30]).view(1, 1, 2, 4) / 255
    assert entropy(image).tolist() == [pytest.approx(0.5 * 1 + 0.25 * 2 + 2 * 0.125 * 3)]
    assert entropy(torch.arange(256).view(1, 1, 16, 16) / 255).tolist() == [pytest.approx(8)]
    assert entropy(torch.full((2, 3, 5, 5), 0.3)).tolist() == [0, 0]


def test_equals_scikit_image_image_by_image() -> None:
    images = torch.cat([picture(seed) for seed in range(3)])
    found = entropy(images)
    assert found.shape == (3,) and found.dtype == torch.float64
    assert found.tolist() == pytest.approx([shannon_entropy(grey(image[None])) for image in images], abs=1e-12)


def test_only_pixels_of_the_mask_count() -> None:
    images = torch.cat([picture(0), picture(1)])
    mask = torch.rand(2, 1, 20, 31, generator=torch.Generator().manual_seed(2)) < 0.4
    mask[0, :, :, :10] = False
    expected = [shannon_entropy(grey(images[i : i + 1])[mask[i, 0].numpy()]) for i in range(2)]
    assert entropy(images, mask=mask).tolist() == pytest.approx(expected, abs=1e-12)
    for_all = [expected[0], shannon_entropy(grey(images[1:])[mask[0, 0].numpy()])]
    assert entropy(images, mask=mask[:1]).tolist() == pytest.approx(for_all, abs=1e-12)
    mask[1] = False
    found = entropy(images, mask=mask)
    assert float(found[0]) == pytest.approx(expected[0], abs=1e-12) and math.isnan(found[1])
    metric = Entropy()
    metric.update(images, mask=mask)
    assert float(metric.compute()) == pytest.approx(expected[0], abs=1e-12)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"entropy needs \(N, C, H, W\) with C 1 or 3, found \(1, 2"):
        entropy(picture(channels=2))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        entropy(picture() * 255)
    with pytest.raises(ValueError, match="mask must be bool"):
        entropy(picture(), mask=torch.ones(1, 1, 20, 31))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_equal_on_a_gpu() -> None:
    image = picture()
    assert float(entropy(image.cuda())) == pytest.approx(float(entropy(image)), abs=1e-12)
