"""What a degradation drew, and what a degradation is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parameters:
    """One draw of a degradation: everything that `apply` needs beside the image.

    Attributes:
        kernel: float32 `(k, k')`, odd sizes, non-negative, sum 1, centroid in the middle; None where there is none.
        description: what is saved beside each test image: type, sizes, strength (pixels).
        seed: drives the noise inside `apply`, so that `apply` is pure.
    """

    kernel: Tensor | None
    description: dict[str, float | int | str]
    seed: int


class Degradation(Protocol):
    """Makes a degraded image of a sharp one: `sample` draws, `apply` is a pure function of image and draw.

    Attributes:
        margin: pixels of context needed on every side, before they are trimmed away.
        scale: target size over degraded size; 1 for blur.
    """

    margin: int
    scale: int

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw one set of parameters; equal generators give equal parameters."""
        ...

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Degrade `(C, H, W)` or `(N, C, H, W)` physical values to `H / scale` by `W / scale`; borders reflect."""
        ...


def draw_seed(generator: torch.Generator) -> int:
    """A 63-bit seed for the noise of one image."""
    return int(torch.randint(2**63 - 1, (), generator=generator))
