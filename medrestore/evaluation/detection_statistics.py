"""Statistics of detectors and yes/no decisions: proportions, paired tests, ROC, average precision, group bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata, t
from torch import Tensor
from torchvision.ops import box_iou

from medrestore.evaluation.statistics import MIN_GROUPS

Indices = NDArray[np.int64]


def wilson(successes: int, total: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson, JASA 22, 1927).

    Args:
        successes: 0 to `total`.
        total: at least 1.

    Returns:
        Lower and upper bound in [0, 1].
    """
    z = float(norm.isf(0.025))
    share, spread = successes / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact test of paired yes/no answers (McNemar, Psychometrika 12, 1947; exact: binomial with 1/2).

    Args:
        lost: images right under the first condition only.
        gained: images right under the second condition only.

    Returns:
        The p value; 1 where both are always right or wrong together.
    """
    return 1.0 if lost + gained == 0 else float(binomtest(gained, lost + gained, 0.5).pvalue)


def auc(scores: Sequence[float] | NDArray, truths: Sequence[bool] | NDArray) -> float | None:
    """Area under the ROC curve: the chance that an abnormal image scores higher than a normal one, ties counting half.

    Args:
        scores: one an image.
        truths: whether it is abnormal.

    Returns:
        In [0, 1], or None where a class is missing.
    """
    truth = np.asarray(truths, dtype=bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if positive == 0 or negative == 0:
        return None
    ranks = rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def youden_threshold(scores: Sequence[float], truths: Sequence[bool]) -> float | None:
    """The threshold with the largest sensitivity + specificity (Youden, Cancer 3, 1950), midway between two scores.

    Of several equally good ones, that with the widest gap around it.

    Args:
        scores: one an image; an image is called abnormal from the threshold on.
        truths: whether it is abnormal.

    Returns:
        The threshold, or None where a class is missing.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(truths, dtype=bool)
    if truth.all() or not truth.any():
        return None
    levels = np.unique(values)
    if len(levels) == 1:
        return float(levels[0])
    cuts, gaps = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    gains = [(values[truth] >= cut).mean() - (values[~truth] >= cut).mean() for cut in cuts]
    return float(max(zip(gains, gaps, cuts, strict=True))[2])


def match_boxes(boxes: Tensor, truths: Tensor, overlap: float = 0.5) -> NDArray[np.bool_]:
    """Which boxes are hits: in falling order of score each takes the free true box it covers best (PASCAL VOC).

    Args:
        boxes: `(k, 4)` found, by falling score.
        truths: `(m, 4)` true ones; each is hit once at most.
        overlap: least intersection over union of a hit.

    Returns:
        bool `(k,)`.
    """
    hits = np.zeros(len(boxes), dtype=bool)
    if len(boxes) == 0 or len(truths) == 0:
        return hits
    overlaps = box_iou(boxes.float(), truths.float()).numpy()
    for row in range(len(hits)):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= overlap:
            hits[row] = True
            overlaps[:, best] = -1.0  # taken
    return hits


def average_precision(scores: NDArray, hits: NDArray, truths: int) -> float | None:
    """Area under the precision-recall curve made monotone (PASCAL VOC 2010 on: every recall level, no interpolation).

    Args:
        scores: `(n,)` of all boxes of all images.
        hits: bool `(n,)`, see `match_boxes`.
        truths: number of true boxes.

    Returns:
        In [0, 1], or None without a true box.
    """
    if truths == 0:
        return None
    if len(scores) == 0:
        return 0.0
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    found = np.cumsum(np.asarray(hits, dtype=bool)[order])
    precision = found / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(found, prepend=0) * envelope).sum() / truths)


def group_draws(groups: Sequence[str], seed: int, resamples: int) -> list[Indices]:
    """Bootstrap samples of images that come in groups: whole groups drawn with replacement.

    Args:
        groups: the group of each image.
        seed: of the draws; a pure function of it and the groups' names.
        resamples: number of samples.

    Returns:
        Indices of images, a repeated group's repeated; empty below five groups.
    """
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < MIN_GROUPS:
        return []
    members = [np.flatnonzero(index == number) for number in range(len(names))]
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(names), size=(resamples, len(names)))
    return [np.concatenate([members[number] for number in row]) for row in drawn]


def bootstrap_interval(values: Sequence[float | None], groups: int) -> tuple[float, float] | None:
    """95 % interval of a statistic of a whole set, with the expanded percentiles of `statistics.interval`.

    Args:
        values: the statistic of each of `group_draws`; None where it is not defined (a draw without one class).
        groups: number of groups.

    Returns:
        Lower and upper bound; None below five groups, or where most draws define nothing.
    """
    defined = [value for value in values if value is not None]
    if groups < MIN_GROUPS or not defined or len(defined) < len(values) / 2:
        return None
    tail = norm.sf(t.isf(0.025, groups - 1) * math.sqrt(groups / (groups - 1)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(differences: Sequence[float]) -> float | None:
    """Two-sided p value of a difference from its bootstrap distribution: how often its sign turns (Davison, Hinkley).

    Args:
        differences: the statistic's difference in each draw.

    Returns:
        The p value, never below 2 / (draws + 1); None without draws.
    """
    if not len(differences):
        return None
    values = np.asarray(differences, dtype=np.float64)
    fewer = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(values) + 1))
