"""Whether a difference between two models stands out from the noise of training, known from several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t


class SeedTest(NamedTuple):
    """Two models, each trained with some seeds, under one metric.

    `difference` is the difference of the means over seeds, `low` and `high` its 95 % interval, `test` the name of the
    test ("paired t", "Welch t", or empty where a model has a single seed: no noise is known), `df` its degrees of
    freedom and `p_value` its two-sided p.
    """

    difference: float
    low: float | None
    high: float | None
    test: str
    df: float | None
    p_value: float | None


def seed_test(ours: Mapping[int, float], theirs: Mapping[int, float]) -> SeedTest:
    """Difference of two models over the seeds of their training: `ours` minus `theirs`.

    Paired by seed where both have the same seeds: one seed draws the same images, degradations and orders, and the same
    first weights where the networks are the same. Else Welch's t-test (Biometrika 34, 1947), which assumes no equal
    spread. Values without any spread give p = 0, or 1 where they are equal.

    Args:
        ours: the value of the metric by seed, finite.
        theirs: those of the other model.
    """
    a, b = np.array(list(ours.values()), dtype=np.float64), np.array(list(theirs.values()), dtype=np.float64)
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return SeedTest(difference, None, None, "", None, None)
    if set(ours) == set(theirs):
        test, df = "paired t", float(len(a) - 1)
        error = float(np.std([ours[seed] - theirs[seed] for seed in ours], ddof=1)) / math.sqrt(len(a))
    else:
        test = "Welch t"
        first, second = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
        error = math.sqrt(first + second)
        spread = first**2 / (len(a) - 1) + second**2 / (len(b) - 1)
        df = float((first + second) ** 2 / spread) if spread > 0 else float(len(a) + len(b) - 2)
    rounding = 1e-12 * max(1.0, float(np.abs(a).max()), float(np.abs(b).max()))  # is no noise
    if error <= rounding:
        return SeedTest(difference, difference, difference, test, df, 1.0 if abs(difference) <= rounding else 0.0)
    reach = float(t.isf(0.025, df)) * error
    return SeedTest(
        difference, difference - reach, difference + reach, test, df, 2 * float(t.sf(abs(difference) / error, df))
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979); None stays None."""
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[index] = largest
    return corrected
