"""How well a map of vessels agrees with its reference, inside the field of view only.

With TP, FP, FN and TN counted over the pixels inside: Dice = 2 TP / (2 TP + FP + FN), sensitivity = TP / (TP + FN),
precision = TP / (TP + FP), specificity = TN / (TN + FP). AUC is the area under the ROC curve of the response before any
threshold. clDice (Shit et al., arXiv:2003.07311) is the harmonic mean of the share of the found skeleton that lies in
the reference and the share of the reference's skeleton that was found: it counts how far vessels are followed, where
Dice counts mostly the wide ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from medrestore.evaluation.detection_statistics import auc

Map = NDArray[np.bool_]
METRICS = ("dice", "sensitivity", "precision", "specificity", "auc", "cldice")


def vessel_scores(response: NDArray, threshold: float, reference: Map, inside: Map) -> dict[str, float]:
    """All scores of one image, float64.

    Args:
        response: `(H, W)`, larger where a vessel is more likely.
        threshold: a pixel is called vessel from this response on.
        reference: bool `(H, W)`.
        inside: the field of view, bool `(H, W)`.

    Returns:
        By the names of `METRICS`; NaN where a score is not defined, as is precision where nothing is called vessel.
    """
    found, true = (response >= threshold) & inside, reference & inside
    return {
        **overlap_scores(found[inside], true[inside]),
        "auc": _or_nan(auc(response[inside], true[inside])),
        "cldice": cl_dice(found, true),
    }


def overlap_scores(found: Map, true: Map) -> dict[str, float]:
    """Dice, sensitivity, precision and specificity of two maps of the same pixels; NaN where the divisor is 0."""
    both, either = int((found & true).sum()), int(found.sum()) + int(true.sum())
    neither = found.size - (either - both)
    return {
        "dice": _ratio(2 * both, either),
        "sensitivity": _ratio(both, int(true.sum())),
        "precision": _ratio(both, int(found.sum())),
        "specificity": _ratio(neither, int((~true).sum())),
    }


def cl_dice(found: Map, true: Map) -> float:
    """Centre-line Dice of two maps `(H, W)`: 0 where one is empty, NaN where both are."""
    if not found.any() or not true.any():
        return 0.0 if found.any() or true.any() else math.nan
    of_found, of_true = skeletonize(found), skeletonize(true)
    precision = float((of_found & true).sum() / of_found.sum())
    sensitivity = float((of_true & found).sum() / of_true.sum())
    return _ratio(2 * precision * sensitivity, precision + sensitivity, empty=0.0)


def best_threshold(responses: Sequence[NDArray], truths: Sequence[Map], thresholds: NDArray[np.float64]) -> float:
    """The threshold with the largest mean Dice over images, the lowest of equally good ones.

    Args:
        responses: `(n,)` each, the pixels inside the field of view of one image.
        truths: bool `(n,)` each, with at least one vessel pixel.
        thresholds: rising ones to choose from.
    """
    curves = []
    for response, truth in zip(responses, truths, strict=True):
        passed = np.searchsorted(thresholds, response, side="right")  # so many thresholds a pixel reaches
        found, both = (
            np.bincount(passed[chosen], minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
            for chosen in (slice(None), truth)
        )
        curves.append(2 * both / (found + truth.sum()))
    return float(thresholds[int(np.mean(curves, axis=0).argmax())])


def _ratio(part: float, whole: float, empty: float = math.nan) -> float:
    return float(part / whole) if whole else empty


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
