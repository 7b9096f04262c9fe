"""From scores of single images to statements about a method: means, intervals over groups, paired tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t, wilcoxon

from medrestore.errors import MedrestoreError

MIN_GROUPS = 5  # below this neither an interval nor a test says anything
_EXACT = 50  # groups up to which the test is exact
_BLOCK = 1 << 22  # resampled group indices drawn at once: bounds the memory for large test sets


class Score(NamedTuple):
    """One number: what a metric gives one image restored by one method; a row of `scores.csv`."""

    method: str
    key: str
    group: str
    metric: str
    value: float


class Summary(NamedTuple):
    """One method under one metric; a row of `summary.csv`, with None where a number is not available.

    `mean` and `sd` (sample SD) are over the `n` images with a finite value, `n_left_out` counts the others;
    `low` and `high` bound the 95 % interval of the mean; `difference` is the mean paired difference to the reference
    row (this row minus the reference, in the metric's unit), `p_value` that of its two-sided test.
    """

    method: str
    kind: str
    metric: str
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    n: int
    n_left_out: int
    difference: float | None
    p_value: float | None


class Comparison(NamedTuple):
    """The paired difference of two methods on the images both have: mean, 95 % interval, test, images and groups."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    groups: int


_Values = dict[str, tuple[str, float]]  # key -> (group, value)


def interval(
    values: Sequence[float], groups: Sequence[str], *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of a mean over images that come in groups.

    Whole groups (patients) are drawn with replacement and the mean is taken over all their images, so that images of
    one patient do not pass for independent ones (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8). The
    percentiles lie further out the fewer groups there are, because plain ones cover the mean too seldom (with ten
    patients about 89 times in 100): "expanded percentiles" of Hesterberg, The American Statistician 69(4), 2015.

    Args:
        values: one finite value an image.
        groups: the group of each image.
        seed: of the draws; the same seed gives the same interval, in whatever order the images come.
        resamples: number of draws.

    Returns:
        Lower and upper bound, or None below five groups.
    """
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < MIN_GROUPS:
        return None
    array = np.asarray(values, dtype=np.float64)
    order = np.lexsort((array, index))  # sums must not depend on the order of the images
    sums = np.bincount(index[order], weights=array[order])
    sizes = np.bincount(index).astype(np.float64)
    draws = _drawn_groups(len(names), resamples, np.random.default_rng(seed))
    means = np.concatenate([sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) for drawn in draws])
    tail = norm.sf(t.isf(0.025, len(names) - 1) * math.sqrt(len(names) / (len(names) - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _drawn_groups(groups: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    rows = max(1, _BLOCK // groups)
    for start in range(0, resamples, rows):
        yield generator.integers(groups, size=(min(rows, resamples - start), groups))


def signed_rank_p(differences: Sequence[float], groups: Sequence[str]) -> float | None:
    """Two-sided Wilcoxon signed-rank test on the group means of paired differences.

    Exact up to 50 groups, normal approximation above.

    Args:
        differences: one finite paired difference an image.
        groups: the group of each image.

    Returns:
        The p value, or None below five groups and when every group's difference is zero.
    """
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < MIN_GROUPS:
        return None
    means = np.bincount(index, weights=np.asarray(differences, dtype=np.float64)) / np.bincount(index)
    means = means[means != 0]  # a zero has no sign: Wilcoxon's own rule drops it
    if len(means) == 0:
        return None
    if len(means) <= _EXACT:
        return _exact_p(means)
    _, p_value = np.asarray(wilcoxon(means, alternative="two-sided", method="asymptotic"))
    return float(p_value)


def _exact_p(differences: NDArray[np.float64]) -> float:
    """From the exact distribution of the positive rank sum over all signs; unlike scipy's, exact with ties as well."""
    ranks = np.rint(2 * rankdata(np.abs(differences))).astype(int)  # doubled: tied ranks are halves
    chances = np.ones(1)
    for rank in ranks:
        chances = np.pad(chances, (0, rank)) / 2 + np.pad(chances, (rank, 0)) / 2
    positive = ranks[differences > 0].sum()
    return float(min(1.0, 2 * min(chances[: positive + 1].sum(), chances[positive:].sum())))


def compare(
    scores: Sequence[Score], method: str, other: str, metric: str, *, seed: int = 0, resamples: int = 2000
) -> Comparison:
    """Paired comparison of two methods: `method` minus `other` on the images where both have a finite value.

    Args:
        scores: the score table.
        method: the row of interest.
        other: the row it is held against.
        metric: which metric.
        seed: of the bootstrap over groups.
        resamples: number of bootstrap draws.

    Returns:
        The comparison; its numbers are None where there are no common images or too few groups.
    """
    table = _by_row(scores)
    return _paired(table.get((method, metric), {}), table.get((other, metric), {}), seed, resamples)


def summarise(
    scores: Sequence[Score], kinds: Mapping[str, str], reference: str, seed: int = 0, resamples: int = 2000
) -> list[Summary]:
    """Summarise a score table: one row for each method and metric.

    Infinite and missing values (PSNR of an untouched image, IoU of two empty masks) are left out of every number and
    counted. Means and SDs are over images; intervals and tests are over groups.

    Args:
        scores: the score table; every (method, metric, key) once.
        kinds: kind of every method; their order is the order of the rows.
        reference: the method that differences are taken to.
        seed: of the bootstrap; the result is a pure function of the arguments.
        resamples: number of bootstrap draws.

    Returns:
        Rows ordered by method (as in `kinds`), then by metric (as they first appear in `scores`).

    Raises:
        MedrestoreError: when a method has no kind, the reference row is missing, or a score is there twice.
    """
    table = _by_row(scores)
    methods = list(dict.fromkeys(score.method for score in scores))
    unknown = [method for method in methods if method not in kinds]
    if unknown:
        raise MedrestoreError(f"The rows {unknown} have no kind: known are {list(kinds)}; evaluate the run again")
    if scores and reference not in methods:
        raise MedrestoreError(f"No scores of the reference row '{reference}': found {methods}; evaluate it as well")
    metrics = dict.fromkeys(score.metric for score in scores)
    return [
        _summary(table, (method, metric), kinds[method], reference, seed, resamples)
        for method in kinds
        for metric in metrics
        if (method, metric) in table
    ]


def _by_row(scores: Sequence[Score]) -> dict[tuple[str, str], _Values]:
    table: dict[tuple[str, str], _Values] = {}
    for method, key, group, metric, value in scores:
        values = table.setdefault((method, metric), {})
        if key in values:
            raise MedrestoreError(f"Two scores of '{method}' for {metric} of image {key}: keep one of them")
        values[key] = (group, value)
    return table


def _summary(
    table: dict[tuple[str, str], _Values], row: tuple[str, str], kind: str, reference: str, seed: int, resamples: int
) -> Summary:
    method, metric = row
    finite = {key: pair for key, pair in table[row].items() if math.isfinite(pair[1])}
    groups, values = [group for group, _ in finite.values()], [value for _, value in finite.values()]
    bounds = interval(values, groups, seed=seed, resamples=resamples)
    compared = Comparison(None, None, None, None, 0, 0)
    if method != reference:
        compared = _paired(finite, table.get((reference, metric), {}), seed, resamples=0)
    return Summary(
        method=method,
        kind=kind,
        metric=metric,
        mean=math.fsum(values) / len(values) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        n=len(values),
        n_left_out=len(table[row]) - len(values),
        difference=compared.difference,
        p_value=compared.p_value,
    )


def _paired(ours: _Values, theirs: _Values, seed: int, resamples: int) -> Comparison:
    """`ours` minus `theirs`; no interval with `resamples` 0."""
    pairs = [(group, value, theirs[key][1]) for key, (group, value) in ours.items() if key in theirs]
    pairs = [pair for pair in pairs if math.isfinite(pair[1]) and math.isfinite(pair[2])]
    differences, groups = [value - other for _, value, other in pairs], [group for group, _, _ in pairs]
    bounds = interval(differences, groups, seed=seed, resamples=resamples) if resamples else None
    return Comparison(
        difference=math.fsum(differences) / len(pairs) if pairs else None,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        p_value=signed_rank_p(differences, groups),
        n=len(pairs),
        groups=len(set(groups)),
    )


def p_text(p_value: float) -> str:
    """A p value in words: "p = 0.031", "p < 0.001"."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
