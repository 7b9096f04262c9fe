"""Lesion-focused rows: the network inside, the interpolation elsewhere, and who says what is inside."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medrestore.classical import Bicubic, Lanczos
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Boxes
from medrestore.evaluation.case_kinds import region_of
from medrestore.evaluation.lesion_focus import FEATHER, Focus, LesionFocused, feathered
from medrestore.evaluation.scoring import outputs
from medrestore.imaging import Image
from medrestore.networks import PlainResidual


class Detector:
    """Finds one box for certain and another that it doubts."""

    threshold = 0.5

    def __init__(self, score: float = 0.9) -> None:
        self.score = score
        self.seen: list[Tensor] = []

    def predict(self, image: Tensor) -> Boxes:
        self.seen.append(image)
        return Boxes(torch.tensor([[40.0, 20.0, 48.0, 30.0], [0.0, 0.0, 9.0, 9.0]]), torch.tensor([self.score, 0.1]))


def network(scale: int = 2) -> Any:
    torch.manual_seed(0)
    made = PlainResidual(channels=1, width=4, depth=1, unshuffle=1, scale=scale).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return made


def case(size: tuple[int, int] = (64, 80), cut: int = 1, **annotations: Any) -> Case:
    """A case whose file is `cut - 1` pixels larger than its target."""
    pixels = torch.rand(1, size[0] + cut - 1, size[1] + cut - 1, generator=torch.Generator().manual_seed(0))
    target = pixels[:, : size[0], : size[1]]
    image = Image(pixels, None, "intensity", None, Path("x.png"), None, None, {"format": "png", "bits": 8})
    small = torch.nn.functional.avg_pool2d(target, 2)
    return Case("k", "g", image, small, target, None, None, annotations, {})


def marked(height: int = 64, width: int = 80) -> Tensor:
    region = torch.zeros(1, height, width, dtype=torch.bool)
    region[0, 20:30, 40:48] = True
    region[0, 50:52, 4:6] = True
    return region


def test_weights_fall_by_a_raised_cosine() -> None:
    region = torch.zeros(1, 41, 41, dtype=torch.bool)
    region[0, 20, 20] = True
    weights = feathered(region, 8)
    expected = [(1 + math.cos(math.pi * distance / 8)) / 2 for distance in range(8)]
    assert weights[0, 20, 20:28].tolist() == pytest.approx(expected) and weights[0, 20, 28:].abs().max() == 0
    assert float(weights[0, 23, 24]) == pytest.approx(expected[5])  # five pixels away
    assert bool((feathered(region | True, 8) == 1).all())


def test_inside_is_the_network_far_away_the_interpolation_and_between_both() -> None:
    generator, region = network(), marked()
    method = LesionFocused("lesion_focused", generator, 2**28, Focus(Lanczos(2)))
    one = case(region=region)
    (output,) = outputs(one, [method])
    with torch.no_grad():
        whole = generator(one.degraded[None])[0].clamp(0, 1)
    base = Lanczos(2).restore(one.degraded[None])[0]
    assert (whole - base).abs().mean() > 0.05
    inside = region.expand_as(whole)
    torch.testing.assert_close(output.image[inside], whole[inside], atol=1e-5, rtol=0)
    weights = feathered(region, FEATHER)
    assert torch.equal(output.image[weights == 0], base[weights == 0])
    torch.testing.assert_close(output.image, (weights * whole + (1 - weights) * base).float(), atol=1e-5, rtol=0)


def test_without_a_region_the_row_is_the_interpolation() -> None:
    method = LesionFocused("lesion_focused", network(), 2**28, Focus(Bicubic(2)))
    nothing: list[dict[str, Any]] = [{}, {"region": marked() & False}, {"boxes": torch.zeros(0, 4)}]
    for known in nothing:
        one = case(**known)
        (output,) = outputs(one, [method])
        assert torch.equal(output.image, Bicubic(2).restore(one.degraded[None])[0])
    assert torch.equal(method.restore(one.degraded[None])[0], output.image)


def test_a_detector_proposes_what_it_is_sure_of_in_the_interpolated_image() -> None:
    finder = Detector()
    method = LesionFocused("lesion_focused", network(), 2**28, Focus(Bicubic(2), finder))
    one = case(region=marked() | True)  # what the collection marks is not looked at
    (output,) = outputs(one, [method])
    base = Bicubic(2).restore(one.degraded[None])[0]
    assert torch.equal(finder.seen[0], base)
    changed = (output.image != base)[0].nonzero()
    low, high = changed.min(dim=0).values, changed.max(dim=0).values
    assert (low > torch.tensor([20, 40]) - FEATHER).all() and (high < torch.tensor([30, 48]) + FEATHER).all()
    assert torch.equal(method.restore(one.degraded[None])[0], output.image)
    (nothing,) = outputs(one, [LesionFocused("x", network(), 2**28, Focus(Bicubic(2), Detector(score=0.4)))])
    assert torch.equal(nothing.image, base)


def test_marks_belong_to_the_file_and_go_with_the_output() -> None:
    larger = marked(65, 81)
    larger[0, 64, 80] = True  # cut away with the last row
    found = region_of(case(cut=2, region=larger), 64, 80)
    assert found is not None and torch.equal(found, marked())
    natural = case(region=marked())
    natural.target, natural.degraded = None, natural.image.pixels
    found = region_of(natural, 128, 160)
    assert (
        found is not None and torch.equal(found[:, ::2, ::2], marked()) and int(found.sum()) == 4 * int(marked().sum())
    )
