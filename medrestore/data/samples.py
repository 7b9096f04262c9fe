"""What flows from the data to the schemes and judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from medrestore.imaging import Image


class Pair(NamedTuple):
    """A batch of paired samples.

    Attributes:
        degraded: `(N, C, h, w)` in [0, 1].
        target: `(N, C, H, W)` in [0, 1], `scale` times as large.
        mask: `(N, 1, H, W)`, 1 where the target is valid.
        key: `(N,)` position of each sample's image in its part of the split.
    """

    degraded: Tensor
    target: Tensor
    mask: Tensor
    key: Tensor


class Unpaired(NamedTuple):
    """A batch from two domains, matched by nothing.

    Attributes:
        source: `(N, C, h, w)` in [0, 1], degraded images.
        reference: `(N, C, H, W)` in [0, 1], sharp images of other patients.
        source_mask: `(N, 1, h, w)`, 1 where the source is valid.
        reference_mask: `(N, 1, H, W)`, 1 where the reference is valid.
        key: `(N,)` position of each source image in its part of the split.
    """

    source: Tensor
    reference: Tensor
    source_mask: Tensor
    reference_mask: Tensor
    key: Tensor


@dataclass
class Case:
    """One whole image on its way through an evaluation.

    Attributes:
        key: names the image, says nothing about the patient.
        group: hashed patient or scene.
        image: the record the picture came from, in physical units.
        degraded: `(C, h, w)` in [0, 1].
        target: `(C, H, W)` in [0, 1], or None where there is no truth.
        mask: bool `(1, H, W)`, or None where all of it is valid.
        kernel: the blur kernel `(k, k')`, or None where there is none to know.
        annotations: boxes, labels and masks for judges.
        description: what the degradation was, as saved beside the scores.
    """

    key: str
    group: str
    image: Image
    degraded: Tensor
    target: Tensor | None
    mask: Tensor | None
    kernel: Tensor | None
    annotations: dict[str, Any]
    description: dict[str, float | int | str]
