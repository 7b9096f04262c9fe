"""What NIQE and BRISQUE have in common: a GPU, and means that leave out images without a score."""

from collections.abc import Callable

import pytest
import torch
from natural_scores import brisque_model, niqe_model, picture

from medrestore.metrics import BRISQUE, NIQE, brisque, niqe

Metric = Callable[[torch.Tensor], torch.Tensor]


def of_niqe(image: torch.Tensor) -> torch.Tensor:
    return niqe(image, params=niqe_model(block=96 if image.shape[-1] > 500 else 16))


def of_brisque(image: torch.Tensor) -> torch.Tensor:
    return brisque(image, params=brisque_model(support=774))  # as many support vectors as LIVE's model has


BOTH = pytest.mark.parametrize("metric", [of_niqe, of_brisque])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@BOTH
def test_equal_on_a_gpu(metric: Metric) -> None:
    image = picture(90, 75)
    found = metric(image.cuda())
    assert found.is_cuda and float(found) == pytest.approx(float(metric(image)), rel=1e-6)


@pytest.mark.parametrize(
    ("mean", "metric"), [(NIQE(niqe_model()), of_niqe), (BRISQUE(brisque_model(support=774)), of_brisque)]
)
def test_class_averages_images_with_a_score(mean: NIQE | BRISQUE, metric: Metric) -> None:
    images = torch.cat([picture(48, 48, seed=seed) for seed in range(3)])
    mean.update(images[:2])
    mean.update(torch.cat([images[2:], torch.zeros_like(images[2:])]))
    assert float(mean.compute()) == pytest.approx(float(metric(images).mean()), rel=1e-9)
    assert mean.higher_is_better is False
