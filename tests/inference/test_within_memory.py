"""Whole images where the budget allows it, tiles where not, and what is said about them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrestore.inference import WithinMemory, restore_image, tile_deviation
from medrestore.inference.tiling import memory_for
from medrestore.networks import PlainResidual, ResnetGenerator


class Mean(nn.Module):
    """Returns the mean of what it is given: the extreme of a statistic over the whole image."""

    channels, scale, context = 3, 1, None

    def forward(self, images: Tensor) -> Tensor:
        return images.mean().expand(images.shape).clone()


def test_nothing_is_said_of_images_that_fit_whole() -> None:
    torch.manual_seed(0)
    generator, image = PlainResidual(3, 4, 1), torch.rand(3, 90, 150)
    within = WithinMemory(generator, memory_for(generator, image))
    assert torch.equal(within.restore(image, "a.png"), restore_image(generator, image))
    assert within.tiles_said("memory_gb") is None


@pytest.mark.parametrize("depth", [1, 3])
def test_tiles_of_a_generator_with_a_finite_context_are_exact_and_it_is_measured(depth: int) -> None:
    torch.manual_seed(0)
    generator = PlainResidual(3, 4, depth)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    image = torch.rand(3, 300, 460)
    within = WithinMemory(generator, 1)
    within.restore(image, "a.png")
    within.restore(image, "b.png")
    said = within.tiles_said("memory_gb")
    assert said is not None and said.startswith(
        "2 images were too large for memory_gb and restored in tiles of at most "
    )
    assert f"exact, for a pixel hangs on no more than {generator.context} pixels around it (measured on " in said
    assert " of a.png: at most " in said
    found = tile_deviation(generator, image, 1)
    assert 0 <= found.largest < 0.01 and found.tile < max(found.height, found.width)


def test_tiles_of_a_generator_that_takes_means_are_measured_on_all_of_the_image() -> None:
    image = torch.zeros(3, 128, 1024)
    image[..., 512:] = 1  # the whole has mean 1/2, the first tile 0
    within = WithinMemory(Mean(), 1)
    within.restore(image, "half.png")
    found = tile_deviation(Mean(), image, 1)
    assert (found.height, found.width) == (45, 362) and found.tile == 128  # 128 x 128 pixels are what the budget takes
    assert found.largest == pytest.approx(127.5, abs=0.5) and 20 < found.mean < 127
    said = within.tiles_said("evaluation.memory_gb")
    assert said is not None and "tiles differ from the whole image, by up to 127.5 of 255 levels" in said
    assert "half.png shrunk to 45 x 362 pixels" in said and said.endswith(
        "type evaluation.memory_gb=1 to restore it whole"
    )


def test_a_shrunk_photograph_tells_about_the_large_one() -> None:
    """Instance normalisation: what is measured within the budget is near what the large photograph has."""
    torch.manual_seed(0)
    generator = ResnetGenerator(3, 4, 1, global_residual=False)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 384), torch.linspace(-1, 1, 512), indexing="ij")
    disc = (rows**2 + columns**2 < 0.8).float()
    image = (disc * (0.5 + 0.3 * torch.sin(9 * rows) * torch.cos(7 * columns))).expand(3, -1, -1).contiguous()
    budget = memory_for(generator, image[:, :256, :256])
    truth = 255 * (restore_image(generator, image) - restore_image(generator, image, memory_bytes=budget)).abs()
    found = tile_deviation(generator, image, budget)
    assert found.mean == pytest.approx(float(truth.mean()), rel=0.5) and found.mean > 1
