"""Lesion-focused super-resolution: a network on the regions of interest alone, interpolation elsewhere.

After LF-SRGAN (Zhu, Yang, Lio, arXiv:1901.03419), which a detector of lesions precedes. Here a region is what the
collection marks, as a reader would mark it, or what a frozen detector finds in the interpolated image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from medrestore.classical import Method, Setting
from medrestore.data.regions import boxes_as_mask, part_boxes
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Boxes
from medrestore.evaluation.case_kinds import region_of
from medrestore.inference import restore_image

NAME = "lesion_focused"
FEATHER = 8  # pixels of the output over which the network gives way to the interpolation
_REACH = 32  # pixels of the input around a region, for networks that look at all they are given


class Finder(Protocol):
    """A frozen detector of lesions, such as `medrestore.tasks.LesionDetector`."""

    @property
    def threshold(self) -> float:
        """From this score on a box is one."""
        ...

    def predict(self, image: Tensor) -> Boxes:
        """Boxes in `(C, H, W)` in [0, 1]."""
        ...


@dataclass(frozen=True)
class Focus:
    """What the rows of lesion-focused networks are made of besides the network.

    Attributes:
        elsewhere: the row that is shown outside the regions: the best interpolation on validation.
        detector: proposes the regions; None = the regions that the collection marks.
    """

    elsewhere: Method
    detector: Finder | None = None


class LesionFocused:
    """The network inside a region, with a feathered seam; where there is no region, the interpolation and nothing else.

    Args:
        name: of the row.
        generator: trained with `sampling.focus`, in evaluation mode.
        memory_bytes: the budget of one image.
        focus: the row elsewhere, and who proposes the regions.
    """

    kind: Literal["learned"] = "learned"
    needs_kernel = False

    def __init__(self, name: str, generator: nn.Module, memory_bytes: int, focus: Focus) -> None:
        self.name = name
        self.generator = generator
        self.memory_bytes = memory_bytes
        self.focus = focus
        self.scale = int(generator.scale)  # type: ignore[arg-type]
        self.parameters: Setting = {}

    def grid(self) -> list[Setting]:
        """Nothing to tune."""
        return [{}]

    def with_parameters(self, parameters: Setting) -> Self:
        """Itself: a trained network has no free setting."""
        return self

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Restore `(1, C, H, W)` in [0, 1] where the detector finds something; without one nothing is known."""
        return self._composed(degraded[0], None)[None]

    def restore_case(self, case: Case) -> Tensor:
        """Restore a case to `(C, scale H, scale W)` in [0, 1]."""
        size = [self.scale * side for side in case.degraded.shape[-2:]]
        return self._composed(case.degraded, None if self.focus.detector else region_of(case, size[0], size[1]))

    @torch.inference_mode()
    def _composed(self, degraded: Tensor, region: Tensor | None) -> Tensor:
        base = self.focus.elsewhere.restore(degraded[None])[0].float().clamp(0, 1)
        if self.focus.detector is not None:
            region = _proposed(self.focus.detector, base)
        if region is None or not region.any():
            return base
        weights = feathered(region, FEATHER)
        restored = base.clone()
        for box in part_boxes(weights > 0):
            rows, columns = (self._around(low, high, size) for low, high, size in _axes(box, degraded))
            part = restore_image(self.generator, degraded[:, rows, columns], memory_bytes=self.memory_bytes)
            top, left = self.scale * rows.start, self.scale * columns.start
            restored[:, top : top + part.shape[1], left : left + part.shape[2]] = part.clamp(0, 1)
        return base + weights.to(base) * (restored - base)

    def _around(self, low: int, high: int, size: int) -> slice:
        """The pixels of the input that decide `low` to `high` of the output, along one axis."""
        context = self.generator.context
        reach = _REACH if context is None else int(context)  # type: ignore[arg-type]
        return slice(max(0, low // self.scale - reach), min(size, math.ceil(high / self.scale) + reach))


def feathered(region: Tensor, width: int) -> Tensor:
    """Weights `(1, H, W)` float64: 1 on a region, falling by a raised cosine to 0 at `width` pixels from it.

    Args:
        region: bool `(1, H, W)` with something marked.
        width: of the seam in pixels.
    """
    distance = torch.from_numpy(np.asarray(distance_transform_edt(~region[0].cpu().numpy())))
    return ((1 + torch.cos(math.pi * (distance / width).clamp(max=1))) / 2)[None]


def _proposed(detector: Finder, image: Tensor) -> Tensor:
    """Bool `(1, H, W)`: the boxes that the detector calls abnormal."""
    found = detector.predict(image)
    return boxes_as_mask(found.boxes[found.scores >= detector.threshold], *image.shape[-2:])


def _axes(box: Tensor, degraded: Tensor) -> list[tuple[int, int, int]]:
    """Start, stop and size of the input along rows, then along columns."""
    x0, y0, x1, y1 = box.tolist()
    return [(y0, y1, degraded.shape[-2]), (x0, x1, degraded.shape[-1])]
