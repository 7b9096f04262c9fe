"""What a segmenter sees, in colour: degraded, restored and sharp image above, their segmentations over them below."""

from __future__ import annotations

import bisect
import io
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor
from torch.nn.functional import interpolate

from medrestore.data.street_classes import COLOURS
from medrestore.evaluation.figures import picture

_COLUMN = 320  # pixels of the widest image in a row of three
_OPACITY = 0.6  # of the colours over the image
_KEPT = 9


class Overlay(NamedTuple):
    """One image: key, IoU of the shown row, JPEG."""

    key: str
    iou: float
    data: bytes


class Overlays:
    """Keeps pictures of the worst image and of those near the median so far, at most nine."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._kept: list[Overlay] = []

    def add(self, key: str, iou: float, images: Sequence[Tensor], maps: Sequence[Tensor]) -> None:
        """Look at one case: images `(C, H, W)` in [0, 1] and as many maps of classes `(H, W)`; NaN is passed over."""
        if not math.isfinite(iou):
            return
        bisect.insort(self._values, iou)
        wanted = len(self._kept) < _KEPT or iou < self._kept[0].iou
        if wanted or self._from_median(iou) < max(self._from_median(kept.iou) for kept in self._kept[1:]):
            self._kept.append(Overlay(key, iou, overlay(images, maps)))
            self._kept.sort(key=lambda kept: (kept.iou, kept.key))
        if len(self._kept) > _KEPT:
            self._kept.remove(max(self._kept[1:], key=lambda kept: self._from_median(kept.iou)))

    def chosen(self) -> list[tuple[str, Overlay]]:
        """The worst and the median image; one where they are the same."""
        if not self._kept:
            return []
        worst, median = self._kept[0], min(self._kept, key=lambda kept: self._from_median(kept.iou))
        return [("worst", worst), ("median", median)] if worst.key != median.key else [("worst", worst)]

    def _from_median(self, iou: float) -> float:
        return abs(iou - statistics.median(self._values))


def overlay(images: Sequence[Tensor], maps: Sequence[Tensor]) -> bytes:
    """Images side by side, and below each the same with its classes in colour.

    Args:
        images: `(C, H, W)` in [0, 1], of one size.
        maps: as many maps of classes `(H, W)`; a number without a colour of its own has that of the number modulo 19,
            one below zero none.

    Returns:
        JPEG.
    """
    palette = torch.tensor(COLOURS, dtype=torch.float32) / 255
    above, below = [], []
    for image, classes in zip(images, maps, strict=True):
        small = min(1.0, _COLUMN / image.shape[-1])
        size = [max(1, round(side * small)) for side in image.shape[-2:]]
        shown = interpolate(image[None].float().cpu().expand(-1, 3, -1, -1), size=size, mode="area")[0]
        few = interpolate(classes[None, None].float().cpu(), size=size, mode="nearest")[0, 0].long()
        colour = palette[few % len(palette)].permute(2, 0, 1)
        above.append(shown)
        below.append(torch.where(few >= 0, (1 - _OPACITY) * shown + _OPACITY * colour, shown))
    grid = torch.cat([torch.cat(above, dim=2), torch.cat(below, dim=2)], dim=1)
    return picture(grid, _COLUMN * len(above))


def legend(classes: Sequence[tuple[int, str]]) -> bytes:
    """Colour and name of some classes, as PNG."""
    figure = Figure(figsize=(9.6, 0.3 + 0.24 * math.ceil(len(classes) / 6)), dpi=100)
    FigureCanvasAgg(figure)
    patches = [Patch(color=_colour(number), label=name) for number, name in classes]
    figure.legend(handles=patches, ncol=6, loc="center", fontsize=9, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _colour(number: int) -> tuple[float, float, float]:
    red, green, blue = COLOURS[number % len(COLOURS)]
    return red / 255, green / 255, blue / 255
