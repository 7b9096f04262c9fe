"""From ratings to opinion scores: MOS and DMOS with intervals, agreement of raters, paired tests (ITU-T P.910)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution
from scipy.stats import t

from medrestore.errors import MedrestoreError
from medrestore.evaluation.seeds import holm
from medrestore.evaluation.statistics import MIN_GROUPS, signed_rank_p

Floats = NDArray[np.float64]


class Opinion(NamedTuple):
    """A mean over ratings: the mean, the sample SD (None with one rating), bounds of its 95 % interval, the number."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


class Agreement(NamedTuple):
    """An intraclass correlation and its 95 % interval; NaN where all ratings are alike."""

    value: float
    low: float
    high: float


class Pair(NamedTuple):
    """Two rows held against each other: mean difference over scenes, p, and p corrected after Holm."""

    method: str
    other: str
    difference: float
    p_value: float | None
    p_holm: float | None


def opinion(scores: Sequence[float] | Floats) -> Opinion:
    """Mean opinion of one picture with the interval of Student's t over raters (ITU-R BT.500).

    Args:
        scores: one a rater, at least one.
    """
    values = np.asarray(scores, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Opinion(mean, None, None, None, len(values))
    sd = float(values.std(ddof=1))
    half = float(t.ppf(0.975, len(values) - 1)) * sd / math.sqrt(len(values))
    return Opinion(mean, sd, mean - half, mean + half, len(values))


def differential(scores: Floats, references: Floats) -> Floats:
    """Differential scores of ACR with hidden reference: score minus that of the reference by the same rater, plus 5.

    Five means as good as the reference, more means better.

    Args:
        scores: `(scenes, raters)` of a row.
        references: those of the hidden reference, same shape.
    """
    return scores - references + 5


def pooled(scores: Floats, groups: Sequence[str], seed: int = 0, resamples: int = 2000) -> Opinion:
    """Mean over all ratings of a row, with a 95 % interval from drawing scenes' groups and raters at once.

    Neither ratings of one rater nor of one scene are independent, so both are drawn with replacement and crossed
    ("pigeonhole bootstrap", Owen, Annals of Applied Statistics 1(2), 2007; it errs to the wide side).

    Args:
        scores: `(scenes, raters)`, complete.
        groups: group of each scene (patient).
        seed: of the draws.
        resamples: number of draws.

    Returns:
        The opinion; no bounds below five groups or five raters. Its SD is over the scenes' means.
    """
    mean, raters = float(scores.mean()), scores.shape[1]
    means = scores.mean(axis=1)
    sd = float(means.std(ddof=1)) if len(means) > 1 else None
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < MIN_GROUPS or raters < MIN_GROUPS:
        return Opinion(mean, sd, None, None, scores.size)
    generator = np.random.default_rng(seed)
    drawn_groups = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)  # (B, groups)
    drawn_raters = generator.multinomial(raters, np.full(raters, 1 / raters), resamples)  # (B, raters)
    weights = drawn_groups[:, index]  # (B, scenes)
    sums = np.einsum("bs,sr,br->b", weights, scores, drawn_raters, optimize=True)
    low, high = np.quantile(sums / (weights.sum(1) * raters), [0.025, 0.975])
    return Opinion(mean, sd, float(low), float(high), scores.size)


def paired_tests(means: dict[str, Floats], groups: Sequence[str]) -> list[Pair]:
    """Every pair of rows: two-sided Wilcoxon signed-rank test on group means of the scenes' mean opinions, with Holm.

    Args:
        means: mean opinion of every scene by row, in one order of scenes.
        groups: group of each scene.
    """
    names = list(means)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    differences = [means[a] - means[b] for a, b in pairs]
    p_values = [signed_rank_p([float(v) for v in found], groups) for found in differences]
    corrected = holm(p_values)
    return [
        Pair(a, b, float(found.mean()), p, p_holm)
        for (a, b), found, p, p_holm in zip(pairs, differences, p_values, corrected, strict=True)
    ]


def agreement(scores: Floats) -> tuple[Agreement, Agreement]:
    """How far raters agree in absolute terms: ICC(2,1) of one rater and ICC(2,k) of the mean of all.

    Two-way random effects (Shrout and Fleiss, Psychological Bulletin 86(2), 1979; intervals after McGraw and Wong,
    Psychological Methods 1(1), 1996).

    Args:
        scores: `(pictures, raters)`, complete, at least two of each.

    Raises:
        MedrestoreError: fewer than two pictures or raters.
    """
    n, k = scores.shape
    if n < 2 or k < 2:
        raise MedrestoreError(f"the agreement needs two pictures and two raters, got {n} and {k}")
    grand = scores.mean()
    rows = k * float(((scores.mean(axis=1) - grand) ** 2).sum()) / (n - 1)
    columns = n * float(((scores.mean(axis=0) - grand) ** 2).sum()) / (k - 1)
    residual = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0, keepdims=True) + grand
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    spread = rows + (k - 1) * error + k * (columns - error) / n
    if spread <= 0:
        return Agreement(math.nan, math.nan, math.nan), Agreement(math.nan, math.nan, math.nan)
    single = (rows - error) / spread
    whole = (rows - error) / (rows + (columns - error) / n) if rows + (columns - error) / n > 0 else math.nan
    if error <= 0:  # raters differ by a constant only
        return Agreement(single, math.nan, math.nan), Agreement(whole, math.nan, math.nan)
    ratio = columns / error
    a = k * single * ratio + n * (1 + (k - 1) * single) - k * single
    freedom = (k - 1) * (n - 1) * a**2
    freedom /= (n - 1) * (k * single * ratio) ** 2 + (n * (1 + (k - 1) * single) - k * single) ** 2
    upper, lower = f_distribution.ppf(0.975, n - 1, freedom), f_distribution.ppf(0.975, freedom, n - 1)
    mixed = k * columns + (k * n - k - n) * error
    low = float(n * (rows - upper * error) / (upper * mixed + n * rows))
    high = float(n * (lower * rows - error) / (mixed + n * lower * rows))
    many = [k * bound / (1 + (k - 1) * bound) if bound > -1 / (k - 1) else math.nan for bound in (low, high)]
    return Agreement(single, low, high), Agreement(whole, *many)
