"""What an assessment asks of a test image first: what kind of truth it has, and which of its pixels count."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import interpolate

from medrestore.data.regions import marked_region
from medrestore.data.samples import Case

CaseKind = Literal["natural", "registered", "pair", "synthetic"]
_REGISTERED = "registration_correlation"  # in the metadata of a target that was laid over its degraded partner


def kind_of(case: Case) -> CaseKind:
    """Tell kinds of test images apart, whose scores do not compare.

    Returns:
        `natural`: degraded by nature, without truth. `registered`: a real pair, one photograph laid over the other.
        `pair`: a real pair as it is. `synthetic`: degraded by the experiment's degradation, which describes itself.
    """
    if case.target is None:
        return "natural"
    if _REGISTERED in case.image.metadata:
        return "registered"
    return "synthetic" if case.description else "pair"


def mask_of(case: Case, image: Tensor) -> Tensor | None:
    """The case's mask, bool `(1, 1, H, W)` at the size of an image `(C, H, W)`; None where all of it counts."""
    if case.mask is None:
        return None
    return interpolate(case.mask[None].float(), size=image.shape[-2:], mode="nearest").bool().to(image.device)


def region_of(case: Case, height: int, width: int) -> Tensor | None:
    """What is marked in a case, bool `(1, height, width)` at the size of its output; None where nothing is.

    Marks belong to the file: larger than the output where that was cut to a multiple of the scale, smaller by the
    scale where the file itself is what is enlarged.
    """
    size = case.image.pixels.shape[-2:]
    region = marked_region(case.annotations, size[0], size[1])
    if region is None:
        return None
    zoom = max(1, round(width / size[1]))
    region = region.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)[:, :height, :width]
    return region if bool(region.any()) else None
