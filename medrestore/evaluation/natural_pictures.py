"""Pictures of the images without truth: a histogram of PIQE, and a few examples kept while the images pass by."""

from __future__ import annotations

import bisect
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from medrestore.evaluation.figures import picture
from medrestore.metrics import PIQE_LIMITS

_COLOURS = {"reference": "#777777", "learned": "#D55E00", "control": "#009E73"}  # Okabe and Ito, as in figures
_DPI = 100
_BINS = np.arange(0, 105, 5)
_WIDTH = 420  # pixels of an example
_KEPT = 9


class Example(NamedTuple):
    """One image before and after: key, PIQE of both, JPEGs of both."""

    key: str
    before: float
    after: float
    pictures: tuple[bytes, bytes]

    @property
    def change(self) -> float:
        """After minus before."""
        return self.after - self.before


class Examples:
    """Keeps small pictures of a few images: those that change most and those near the median change.

    The median is known only at the end; until then the images nearest the median so far are kept, at most nine in all.
    """

    def __init__(self) -> None:
        self._changes: list[float] = []
        self._kept: list[Example] = []

    def add(self, key: str, scores: tuple[float, float], images: tuple[Tensor, Tensor]) -> None:
        """Look at one image `(C, H, W)` in [0, 1] before and after, with the PIQE of both; NaN is passed over."""
        if not all(map(math.isfinite, scores)):
            return
        bisect.insort(self._changes, scores[1] - scores[0])
        thumbnails = picture(images[0], _WIDTH), picture(images[1], _WIDTH)
        self._kept.append(Example(key, *scores, thumbnails))
        self._kept.sort(key=lambda example: (example.change, example.key))
        if len(self._kept) > _KEPT:
            self._kept.remove(max(self._kept[1:-1], key=self._from_median))  # both ends stay

    def chosen(self) -> list[tuple[str, Example]]:
        """The median image, the one that falls most, and the one that rises most if any does; each image once."""
        if not self._kept:
            return []
        lowest, highest = self._kept[0], self._kept[-1]
        found = [("median change", min(self._kept, key=self._from_median))]
        if lowest.change < 0:
            found.append(("largest fall", lowest))
        if highest.change > 0:
            found.append(("largest rise", highest))
        seen = [example.key for _, example in found]
        return [pair for index, pair in enumerate(found) if pair[1].key not in seen[:index]]

    def _from_median(self, example: Example) -> float:
        return abs(example.change - statistics.median(self._changes))


def histogram(values: Mapping[str, Sequence[float]], kinds: Mapping[str, str]) -> bytes | None:
    """How PIQE is spread over the images of each row, with the limits of the bands.

    Args:
        values: PIQE of every image by row.
        kinds: kind of every row, for its colour.

    Returns:
        PNG, or None when there is no finite value.
    """
    finite = {name: [value for value in found if math.isfinite(value)] for name, found in values.items()}
    if not any(finite.values()):
        return None
    figure = Figure(figsize=(6.9, 3.2), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, found in finite.items():
        counts, _ = np.histogram(np.clip(found, _BINS[0], _BINS[-1]), _BINS)
        colour = _COLOURS.get(kinds[name], "#0072B2")
        axes.stairs(counts, _BINS, color=colour, fill=True, alpha=0.15)
        axes.stairs(counts, _BINS, color=colour, linewidth=1.5, label=name)
    for limit in PIQE_LIMITS:
        axes.axvline(limit, color="#777777", linewidth=0.8, linestyle=":")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("PIQE ↓ (dotted: band limits, natural-image scale)", fontsize=9)
    axes.set_ylabel("images", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
