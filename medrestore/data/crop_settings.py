"""How training crops are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medrestore.data.scale_crop import ScaleCrop
from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn.

    Attributes:
        crop: side of the target crop in pixels, a multiple of the degradation's scale.
        crops_per_image: how often an epoch shows each image; `auto` takes as many crops as would cover it, at most 64,
            so that large photographs are not seen less densely than small ones.
        flips: random flips and quarter turns; `horizontal` for scenes that are never upside down.
        window: see `imaging.window_of`.
        fixed: one degradation per image for the whole training.
        seed: the training's seed.
        data_seed: the data's seed.
        scale_crop: boxes of random side, resized to `crop`; None = boxes of `crop` pixels.
        shrink: sharp images are shrunk by a random factor from 1 to this before the blur, so that one scanner's pixel
            size and noise do not stand for all; 1 = as they are. Real pairs and images without truth stay as they are.
        synthetic_sources: without pairs, the share of the degraded images that is made of sharp ones although there are
            images degraded by nature; 0 = none, as in S2.
        focus: `region` shows only images in which something is marked (`data.regions`), with crops that contain one of
            the marked parts (LF-SRGAN, Zhu et al., arXiv:1901.03419); None = crops from anywhere in all images.
        focus_share: of the crops that do; the others come from anywhere in these images.
    """

    crop: int
    crops_per_image: int | Literal["auto"]
    flips: bool | Literal["horizontal"]
    window: str | Sequence[float]
    fixed: bool
    seed: int
    data_seed: int
    scale_crop: ScaleCrop | None = None
    shrink: float = 1.0
    synthetic_sources: float = 0.0
    focus: Literal["region"] | None = None
    focus_share: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.shrink <= 8:
            raise MedrestoreError(
                f"sampling.shrink is a factor from 1 to 8, found {self.shrink}; type sampling.shrink=2, or 1 for none"
            )
        if not 0 <= self.synthetic_sources <= 1:
            raise MedrestoreError(
                f"sampling.synthetic_sources is a share from 0 to 1, found {self.synthetic_sources}; "
                "type sampling.synthetic_sources=0.5, or 0 for none"
            )
        if self.focus not in (None, "region"):
            raise MedrestoreError(f"sampling.focus={self.focus} is not known; type sampling.focus=region, or null")
        if not 0 < self.focus_share <= 1:
            raise MedrestoreError(
                f"sampling.focus_share={self.focus_share} is no share of the crops; type sampling.focus_share=1"
            )
