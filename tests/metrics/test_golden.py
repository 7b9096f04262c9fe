"""Golden numbers of our own: pictures shipped with scikit-image, scored once by scikit-image 0.26 in float64."""

import pytest
import torch
from skimage import data

from medrestore.metrics import psnr, ssim


@pytest.mark.parametrize(
    ("name", "bytes_sum", "decibel", "similarity"),
    [
        ("camera", 1563377, 28.789235557444336, 0.8044594631768626),
        ("coins", 1854750, 28.70229257560828, 0.838699895400241),
        ("astronaut", 7056845, 27.919564343923916, 0.7421583693542909),
    ],
)
def test_eight_grey_levels_of_a_photograph(name: str, bytes_sum: int, decibel: float, similarity: float) -> None:
    picture = getattr(data, name)()[100:228, 120:280]
    assert int(picture.sum()) == bytes_sum, "another decoder made another picture"
    target = torch.from_numpy(picture / 255).reshape(128, 160, -1).permute(2, 0, 1)[None]
    preds = torch.from_numpy((picture // 32 * 32 + 16) / 255).reshape(128, 160, -1).permute(2, 0, 1)[None]
    assert float(psnr(preds, target)) == pytest.approx(decibel, abs=1e-10)
    assert float(ssim(preds, target)) == pytest.approx(similarity, abs=1e-10)
