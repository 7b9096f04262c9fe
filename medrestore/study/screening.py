"""Which raters cannot be counted: who misunderstood the scale, who did not look, who is an outlier (ITU-R BT.500)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kurtosis
from scipy.stats import t as student

Floats = NDArray[np.float64]

LEAST_VARIANCE = 0.15  # of a rater's scores (microsoft/P.910)
_MOST_ALIKE = 0.9  # share of one and the same score that makes a rater constant
_ALPHA = 0.01  # of the test whether a rater agrees with the others
HASTY_MS = 700  # a median below this is no looking


class Verdict(NamedTuple):
    """What is said of one rater.

    Attributes:
        fault: "", `constant`, `reversed`, `random`; these are left out.
        outlier: left out by BT.500's screening of those without a fault.
        correlation: with the mean of the other raters; None for a constant one.
        bias: mean difference to the mean of the others.
        hasty: the median viewing time is too short to have looked; told, not left out.
        retest: mean absolute difference between first and second look at the same picture; None without repeats.
    """

    fault: str
    outlier: bool
    correlation: float | None
    bias: float
    hasty: bool
    retest: float | None

    @property
    def counted(self) -> bool:
        """Whether the ratings enter the result."""
        return not self.fault and not self.outlier


def screen(scores: Floats, viewing_ms: Sequence[float], retests: Sequence[Sequence[tuple[int, int]]]) -> list[Verdict]:
    """Judge every rater.

    A reversed scale is told by a correlation with the others that is below zero beyond chance, a random rater by one
    that is not above zero beyond chance (one-sided, 1 %). Nobody's scores are turned round: S5's raters who ranked
    instead of scoring cannot be told from those who saw it so.

    Args:
        scores: `(pictures, raters)`, complete, hidden references and anchors included.
        viewing_ms: median viewing time of each rater.
        retests: first and second score of the pictures each rater saw twice.
    """
    raters = scores.shape[1]
    constant = [_constant(scores[:, rater]) for rater in range(raters)]
    faults, correlations, biases = [], [], []
    for rater in range(raters):
        others = [other for other in range(raters) if other != rater and not constant[other]]
        mean = np.median(scores[:, others], axis=1) if others else None
        biases.append(0.0 if mean is None else float((scores[:, rater] - scores[:, others].mean(axis=1)).mean()))
        if constant[rater] or mean is None or mean.std() == 0:
            correlations.append(None)
            faults.append("constant" if constant[rater] else "")
            continue
        r = float(np.corrcoef(scores[:, rater], mean)[0, 1])
        correlations.append(r)
        limit = critical_correlation(len(mean))
        faults.append("reversed" if r < -limit else "random" if r < limit else "")
    sound = [rater for rater in range(raters) if not faults[rater]]
    rejected = {sound[index] for index in bt500(scores[:, sound])} if len(sound) > 2 else set()
    return [
        Verdict(
            faults[rater],
            rater in rejected,
            correlations[rater],
            biases[rater],
            viewing_ms[rater] < HASTY_MS,
            _mean_change(retests[rater]),
        )
        for rater in range(raters)
    ]


def bt500(scores: Floats) -> list[int]:
    """Post-screening of ITU-R BT.500-14, annex 1, section 2.3: the raters to reject.

    For each picture the limits are mean +- 2 SD where the kurtosis is between 2 and 4 (normal), else +- sqrt(20) SD. P
    counts a rater's scores at or above the upper limit, Q those at or below the lower one; rejected is who has
    (P + Q) / pictures > 5 % and |P - Q| / (P + Q) < 30 %, so that consistently strict or mild raters stay. Applied
    once; where it would reject all, it rejects none.

    Args:
        scores: `(pictures, raters)`, complete.
    """
    mean = scores.mean(axis=1, keepdims=True)
    sd = scores.std(axis=1, ddof=1, keepdims=True)
    flat = sd[:, 0] == 0
    shape = np.full(len(scores), 3.0)
    shape[~flat] = kurtosis(scores[~flat], axis=1, fisher=False, bias=True)
    width = np.where((shape >= 2) & (shape <= 4), 2.0, math.sqrt(20))[:, None] * sd
    above = ((scores >= mean + width) & ~flat[:, None]).sum(axis=0)
    below = ((scores <= mean - width) & ~flat[:, None]).sum(axis=0)
    out = above + below
    rejected = [
        rater
        for rater in range(scores.shape[1])
        if out[rater] / len(scores) > 0.05 and abs(int(above[rater]) - int(below[rater])) / out[rater] < 0.3
    ]
    return [] if len(rejected) == scores.shape[1] else rejected


def critical_correlation(pictures: int) -> float:
    """The correlation of `pictures` pairs that chance exceeds once in a hundred (one-sided); 1 for too few."""
    if pictures < 4:
        return 1.0
    t = float(student.isf(_ALPHA, pictures - 2))
    return t / math.sqrt(pictures - 2 + t**2)


def faults_told(verdicts: Mapping[str, Verdict]) -> list[str]:
    """A sentence for each kind of fault, with the raters it concerns."""
    meaning = {
        "reversed": "scored against all others (the scale read upside down, or ranks instead of scores); left out, not "
        "turned round: ask them again",
        "random": "agree with the others no better than chance; left out",
        "constant": "gave almost always the same score; left out",
    }
    lines = []
    for fault, told in meaning.items():
        who = [rater for rater, verdict in verdicts.items() if verdict.fault == fault]
        if who:
            lines.append(f"{len(who)} {fault}: {', '.join(who)} {told}.")
    outliers = [rater for rater, verdict in verdicts.items() if verdict.outlier]
    if outliers:
        lines.append(f"{len(outliers)} left out by the screening of ITU-R BT.500: {', '.join(outliers)}.")
    hasty = [rater for rater, verdict in verdicts.items() if verdict.hasty]
    if hasty:
        lines.append(f"{len(hasty)} took less than {HASTY_MS} ms a picture (median): {', '.join(hasty)}; not left out.")
    return lines or ["No rater has a fault and none is an outlier."]


def _constant(scores: Floats) -> bool:
    _, counts = np.unique(scores, return_counts=True)
    return float(scores.var(ddof=1)) < LEAST_VARIANCE or counts.max() / len(scores) >= _MOST_ALIKE


def _mean_change(pairs: Sequence[tuple[int, int]]) -> float | None:
    return sum(abs(second - first) for first, second in pairs) / len(pairs) if pairs else None
