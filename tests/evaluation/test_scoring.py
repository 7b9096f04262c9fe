"""What a row's image is before it is scored."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from medrestore.classical import Identity
from medrestore.data.samples import Case
from medrestore.evaluation.scoring import outputs
from medrestore.imaging import Image


class Painter(Identity):
    """Paints everything white."""

    name = "painter"

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        return torch.ones_like(degraded)


def test_outside_the_mask_every_row_is_the_input() -> None:
    degraded = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, 2:5] = True
    image = Image(degraded, None, "intensity", None, Path("x.png"), None, mask, {"format": "png", "bits": 8})
    case = Case("k", "g", image, degraded, degraded, mask, None, {}, {})
    (output,) = outputs(case, [Painter()])
    inside = mask.expand_as(degraded)
    assert bool((output.image[inside] == 1).all()) and torch.equal(output.image[~inside], degraded[~inside])
    case.mask = None
    (output,) = outputs(case, [Painter()])
    assert bool((output.image == 1).all())
