"""Low-resolution consistency: what an enlarged image looks like when it is shrunk again.

An enlargement may add what the input cannot show; it may not contradict what the input does show. Where it does, the
shrunk output is no longer the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from medrestore.data.samples import Case
from medrestore.degradations import Downsample
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import SHARP, Context, Finding, Section, Table
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.imaging import Window, to_unit, window_of
from medrestore.metrics import psnr

_LEVELS = 255
_UNSEEN = 0.5  # levels by which a window may change the input unnoticed
_TITLE = "Low-resolution consistency"


class Consistency:
    """Shrinks every row's output with the run's own operator, without its noise, and compares with the input.

    Scores are `consistency/psnr` (dB) and `consistency/levels`, the mean absolute difference in levels of 255. The row
    `sharp` is the truth itself: its difference is what noise and rounding do to the input. Where a window cuts physical
    values off, no output can say what the input was made of: pixels that such values change count for no row.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._operator: Downsample | None = None
        self._shares: list[float] = []  # of the input's pixels that count, by image

    def begin(self, context: Context) -> None:
        """Take the operator.

        Raises:
            MedrestoreError: the run's degradation does not shrink.
        """
        operator = context.degradation
        if not isinstance(operator, Downsample) or operator.scale == 1:
            raise MedrestoreError("the images of this run are not shrunk; type degradation=downsample for a training")
        self._context, self._operator, self._shares = context, Downsample(operator.scale, operator.kind), []

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Scores of every row and of the truth; none where the window cuts off something everywhere."""
        assert self._operator is not None and self._context is not None
        valid = comparable(case, self._operator, window_of(case.image, self._context.window))
        self._shares.append(float(valid.float().mean()))
        if not valid.any():
            return []
        rows = images if case.target is None else {SHARP: case.target, **images}
        scores: list[Score] = []
        for name, image in rows.items():
            for metric, value in low_resolution_error(image, case.degraded, self._operator, valid).items():
                scores.append(Score(name, case.key, case.group, f"consistency/{metric}", value))
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The table, and what the shown row does; None without images."""
        assert self._context is not None and self._operator is not None
        own = [score for score in scores if score.metric.startswith("consistency/")]
        if not own:
            return None
        kinds = {SHARP: "truth", **self._context.kinds}
        summaries = summarise(own, kinds, self._context.reference)
        found = {(row.method, row.metric.rpartition("/")[2]): row for row in summaries}
        rows = [
            [method, _cell(found.get((method, "psnr")), 2), _cell(found.get((method, "levels")), 3)]
            for method in kinds
            if (method, "levels") in found
        ]
        table = Table(
            "Output shrunk again, against the input: mean [95 % interval over groups]",
            ["row", "PSNR (dB)", "mean absolute difference (levels of 255)"],
            rows,
        )
        told = self._told(found)
        lines = [
            *told,
            f"Shrunk by the run's operator without its noise: {self._operator.convention}. Of [0, 1], in float64; a "
            "row that contradicts its input is found here, what it adds above the input's resolution is not.",
            "The row 'sharp' is the truth: its difference is what noise and rounding do to the input.",
        ]
        share = sum(self._shares) / len(self._shares)
        if share < 1:
            lines.append(
                f"{100 * share:.0f} % of the input's pixels are compared: the others lie outside the mask, or values "
                "that the window cuts off, which no output could give back, changed them."
            )
        return Finding(Section(_TITLE, lines, [table], spoken=len(told)))

    def _told(self, found: Mapping[tuple[str, str], Summary]) -> list[str]:
        assert self._context is not None
        names = dict.fromkeys((self._context.shown, self._context.reference, SHARP))
        known = {name: row.mean for name in names if (row := found.get((name, "levels"))) and row.mean is not None}
        shown = known.pop(self._context.shown, None)
        if shown is None:
            return []
        others = ", ".join(f"'{name}' {mean:.3f}" for name, mean in known.items())
        return [f"'{self._context.shown}', shrunk again, differs from its input by {shown:.3f} levels ({others})."]


def comparable(case: Case, operator: Downsample, window: Window | None) -> Tensor:
    """Which pixels of the input an output can be held to, bool `(1, h, w)`.

    Those whose whole block is valid and that values beyond the window changed by less than half a level. Where there
    is no truth, pixels that are black or white in a window, and those around them, are made of such values.

    Args:
        case: with or without truth.
        operator: what shrank it.
        window: of the case; None for photographs, which have nothing beyond [0, 1].
    """
    scale, size = operator.scale, case.degraded.shape[-2:]
    valid = torch.ones(1, *size, dtype=torch.bool)
    if case.mask is not None and case.target is not None:
        valid = avg_pool2d(case.mask.float()[None], scale)[0] >= 1
    if window is None:
        return valid
    if case.target is None:
        cut = ((case.degraded <= 0) | (case.degraded >= 1)).any(dim=0, keepdim=True)
        reach = -(-operator.margin // scale)
        return valid & ~(max_pool2d(cut.float()[None], 2 * reach + 1, stride=1, padding=reach)[0] > 0)
    height, width = case.target.shape[-2:]
    pixels = case.image.pixels[:, :height, :width].double()
    whole = _shrunk((pixels - window.low) / (window.high - window.low), operator)
    seen = _shrunk(to_unit(pixels, window), operator)
    return valid & ((whole - seen).abs() < _UNSEEN / _LEVELS).all(dim=0, keepdim=True)


def low_resolution_error(restored: Tensor, degraded: Tensor, operator: Downsample, valid: Tensor) -> dict[str, float]:
    """PSNR and mean absolute difference in levels of 255 between a shrunk output and the input.

    Args:
        restored: `(C, H, W)` in [0, 1].
        degraded: `(C, h, w)` in [0, 1], `operator.scale` times smaller.
        operator: without a sensor.
        valid: bool `(1, h, w)`, the pixels that count.

    Returns:
        `psnr` (infinite where nothing differs) and `levels`; NaN where no pixel counts.
    """
    small = _shrunk(restored.double(), operator)
    error = (small - degraded.double()).abs().mean(dim=0, keepdim=True)[valid]
    return {
        "psnr": float(psnr(small[None], degraded.double()[None], mask=valid[None])),
        "levels": float(error.mean()) * _LEVELS,
    }


def _shrunk(image: Tensor, operator: Downsample) -> Tensor:
    return operator.apply(image, operator.sample(torch.Generator())).clamp(0, 1)


def _cell(row: Summary | None, digits: int) -> str:
    if row is None or row.mean is None:
        return "no difference" if row is not None and row.n_left_out else "not available"
    text = f"{row.mean:.{digits}f}"
    if row.low is not None and row.high is not None:
        text += f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    return f"{text}, {row.n_left_out} images without any difference" if row.n_left_out else text
