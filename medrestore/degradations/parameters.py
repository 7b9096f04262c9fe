"""What a degradation drew, and what a degradation is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Frame(NamedTuple):
    """Where a patch lies in its whole image, for blurs that differ from place to place; in pixels.

    Attributes:
        height: of the whole image.
        width: of the whole image.
        top: row of the patch's first pixel; negative where a margin reaches beyond the image.
        left: column of the patch's first pixel.
    """

    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True)
class Parameters:
    """One draw of a degradation: everything that `apply` needs beside the image.

    Attributes:
        kernel: float32 `(k, k')`, odd sizes, non-negative, sum 1, centroid in the middle; None where there is none.
        description: what is saved beside each test image: type, sizes, strength (pixels).
        seed: drives the noise inside `apply`, so that `apply` is pure.
        field: what a blur that differs from place to place drew instead of one kernel; its class says the shape.
        margin: pixels of context that this draw needs, at most the degradation's; None = the degradation's.
        frame: where the patch lies in the whole image; None = the patch is the whole image.
    """

    kernel: Tensor | None
    description: dict[str, float | int | str]
    seed: int
    field: Tensor | None = None
    margin: int | None = None
    frame: Frame | None = None


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


def frame_of(image: Tensor, parameters: Parameters) -> Frame:
    """Where `(..., H, W)` lies in its whole image; without a frame it is the whole image."""
    return parameters.frame or Frame(image.shape[-2], image.shape[-1], 0, 0)


def draw_seed(generator: torch.Generator) -> int:
    """A 63-bit seed for the noise of one image."""
    return int(torch.randint(2**63 - 1, (), generator=generator))
