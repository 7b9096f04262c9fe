"""From confusion matrices of single images to the mean IoU of a set, with its interval and its difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medrestore.evaluation.detection_statistics import bootstrap_interval, bootstrap_p, group_draws
from medrestore.evaluation.statistics import Summary
from medrestore.metrics.jaccard import jaccard_from

_RESAMPLES = 2000


@dataclass(frozen=True)
class Counts:
    """What one row's images gave.

    Attributes:
        matrices: `(N, classes, classes)` confusion matrices of the images, true class in the row.
        groups: the group of each image.
    """

    matrices: NDArray[np.int64]
    groups: Sequence[str]

    def by_class(self) -> NDArray[np.float64]:
        """IoU of every class over all images, `(classes,)`, NaN where a class is in no map."""
        return jaccard_from(torch.from_numpy(self.matrices.sum(axis=0))).numpy()


def mean_iou(matrices: NDArray, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean IoU over the counted classes that occur, one for each matrix; NaN where none does."""
    return jaccard_from(torch.from_numpy(matrices))[..., torch.from_numpy(counted)].nanmean(dim=-1).numpy()


def set_summary(
    method: str, kind: str, metric: str, counts: Counts, reference: Counts | None, counted: NDArray[np.bool_]
) -> Summary:
    """Mean IoU of a whole set: interval and test by resampling groups; no difference for the reference itself.

    Args:
        method: name of the row.
        kind: its kind.
        metric: name of the score.
        counts: of the row.
        reference: of the reference row, on the same images in the same order; None where there is none.
        counted: bool `(classes,)`, which classes are averaged.
    """
    value = float(mean_iou(counts.matrices.sum(axis=0), counted))
    other = None if reference is None or reference is counts else reference
    paired = other is not None and list(other.groups) == list(counts.groups)
    draws = group_draws(counts.groups, 0, _RESAMPLES)
    times = np.zeros((len(draws), len(counts.groups)))  # how often each image is in a draw
    for number, drawn in enumerate(draws):
        times[number] = np.bincount(drawn, minlength=len(counts.groups))
    resampled = _resampled(counts, times, counted) if draws else np.zeros(0)
    low_high = bootstrap_interval(_defined(resampled), len(set(counts.groups)))
    difference = p_value = None
    if other is not None and paired:
        difference = value - float(mean_iou(other.matrices.sum(axis=0), counted))
        if draws:
            changes = resampled - _resampled(other, times, counted)
            p_value = bootstrap_p(changes[np.isfinite(changes)].tolist())
    nothing = bool(np.isnan(value))
    return Summary(
        method=method,
        kind=kind,
        metric=metric,
        mean=None if nothing else value,
        sd=None,
        low=low_high[0] if low_high else None,
        high=low_high[1] if low_high else None,
        n=len(counts.groups),
        n_left_out=0,
        difference=None if nothing or difference is None or np.isnan(difference) else difference,
        p_value=None if nothing else p_value,
    )


def interval_text(row: Summary) -> str:
    """The interval in brackets, or that there is none; with a space before."""
    if row.low is None or row.high is None:
        return " (interval not available)"
    return f" [{row.low:.3f}, {row.high:.3f}]"


def _resampled(counts: Counts, times: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean IoU of every bootstrap sample; `times` (draws, N) says how often each image is in it."""
    classes = counts.matrices.shape[-1]
    flat = counts.matrices.reshape(len(counts.groups), -1).astype(np.float64)
    return mean_iou((times @ flat).reshape(-1, classes, classes), counted)


def _defined(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
