"""Which epoch of a stage is kept: the last, the best by one validation metric, or the best by S5's rule for two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

PSNR_SSIM = "psnr_ssim"


class Selection:
    """Follows the epochs of one stage; more is better in every metric, and of equal epochs the first counts.

    Args:
        rule: `last`, a validation metric such as `val/psnr`, or `psnr_ssim` (see `best_by_both`).

    Attributes:
        metrics: what the rule looks at; empty for `last`.
        rows: epoch and values of the metrics, one row an epoch in which all of them were finite.
    """

    def __init__(self, rule: str) -> None:
        self.metrics = {"last": (), PSNR_SSIM: ("val/psnr", "val/ssim")}.get(rule, (rule,))
        self.rows: list[list[float]] = []

    def add(self, epoch: int, scores: Mapping[str, float]) -> list[str]:
        """Take note of an epoch.

        Returns:
            The metrics in which it is the best so far: one of those epochs is what the rule will choose.
        """
        values = [float(scores.get(metric, math.nan)) for metric in self.metrics]
        if not values or not all(math.isfinite(value) for value in values):
            return []
        best = [max((row[1 + index] for row in self.rows), default=-math.inf) for index in range(len(values))]
        self.rows.append([float(epoch), *values])
        return [metric for metric, value, most in zip(self.metrics, values, best, strict=True) if value > most]

    def chosen(self) -> tuple[str, int] | None:
        """The metric in which the chosen epoch was best, and that epoch; None where there is none."""
        if not self.rows:
            return None
        histories = [[row[1 + index] for row in self.rows] for index in range(len(self.metrics))]
        index = best_by_both(*histories) if len(histories) == 2 else _first_best(histories[0])
        metric = next(m for m, values in zip(self.metrics, histories, strict=True) if _first_best(values) == index)
        return metric, int(self.rows[index][0])


def best_by_both(psnr: Sequence[float], ssim: Sequence[float]) -> int:
    """The epoch that S5's program chooses (ethanshore/SRGAN-Medical-Imaging, SRGAN.py).

    Both histories are scaled to [0, 1] by their least and largest value. Candidates are the epoch of the best PSNR and
    that of the best SSIM; the one with the larger sum of scaled values is chosen, the first named where the sums are
    equal. A history that does not change counts 0, so that one epoch, and equal ones, are defined.

    Args:
        psnr: of each epoch, finite, at least one.
        ssim: of the same epochs.

    Returns:
        Index into both.
    """
    sums = [a + b for a, b in zip(_scaled(psnr), _scaled(ssim), strict=True)]
    return max((_first_best(psnr), _first_best(ssim)), key=sums.__getitem__)


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _scaled(values: Sequence[float]) -> list[float]:
    least, most = min(values), max(values)
    return [(value - least) / (most - least) if most > least else 0.0 for value in values]
