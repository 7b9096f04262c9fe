"""From a detector's answers to the numbers of a table: one row a method, held against the reference row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medrestore.evaluation.detection_statistics import (
    Indices,
    auc,
    average_precision,
    bootstrap_interval,
    bootstrap_p,
    group_draws,
    mcnemar,
    wilson,
)
from medrestore.evaluation.statistics import MIN_GROUPS, Summary, interval, signed_rank_p

_RESAMPLES = 1000
PROPORTIONS = ("accuracy", "sensitivity", "specificity")
COUNTS = ("false_positives", "false_negatives")
AREAS = ("auc", "map50")


class Answer(NamedTuple):
    """What the judge says about one image, and what is true.

    Attributes:
        key: of the image, or of a patch of it.
        group: of the image.
        abnormal: the truth.
        score: of the highest abnormal box.
        scores: float `(k,)` of all boxes.
        hits: bool `(k,)`, boxes that cover a true one.
        truths: true boxes; None where none are known.
    """

    key: str
    group: str
    abnormal: bool
    score: float
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int | None


class Paired(NamedTuple):
    """One row beside the reference, on the same images.

    Attributes:
        lost: images the judge has right under the reference only.
        gained: images it has right under this row only.
        p_value: exact McNemar; None below five groups.
        p_grouped: signed-rank test on group means; None where every group has one image, or below five groups.
    """

    lost: int
    gained: int
    p_value: float | None
    p_grouped: float | None


def both_classes(answers: Sequence[Answer]) -> bool:
    """Whether there are normal and abnormal images."""
    return 0 < sum(answer.abnormal for answer in answers) < len(answers)


def paired(answers: Sequence[Answer], reference: Sequence[Answer], threshold: float) -> Paired | None:
    """Compare a row's right and wrong answers with the reference's; None where they judged other images."""
    ours, theirs = (sorted(row, key=lambda answer: answer.key) for row in (answers, reference))
    if [answer.key for answer in ours] != [answer.key for answer in theirs]:
        return None
    now, before = _correct(ours, threshold), _correct(theirs, threshold)
    groups = [answer.group for answer in ours]
    lost, gained = int((before & ~now).sum()), int((now & ~before).sum())
    repeated = len(set(groups)) < len(groups)
    return Paired(
        lost,
        gained,
        mcnemar(lost, gained) if len(set(groups)) >= MIN_GROUPS else None,
        _p_by_groups(now.astype(float) - before, groups) if repeated else None,
    )


def summaries_of(
    rows: Mapping[str, Sequence[Answer]], kinds: Mapping[str, str], reference: str, threshold: float, name: str
) -> list[Summary]:
    """Numbers of the whole set for every row: rows of `summary.csv`.

    Proportions have Wilson's interval where every group has one image, else that of a bootstrap over groups; areas the
    latter. Their tests against the reference: exact McNemar, or signed-rank over groups; areas by bootstrap. Where a
    class is missing there are only the counts of errors.

    Args:
        rows: answers by row.
        kinds: of the rows.
        reference: the row differences are taken to.
        threshold: an image is called abnormal from this score on.
        name: in front of the metrics' names.
    """
    ordered = {row: sorted(answers, key=lambda answer: answer.key) for row, answers in rows.items()}
    measured = {row: _measure(answers, threshold) for row, answers in ordered.items()}
    found: list[Summary] = []
    for row, numbers in measured.items():
        alike = [a.key for a in ordered[row]] == [a.key for a in ordered.get(reference, ())]
        other = measured[reference] if alike and row != reference else {}
        for metric, number in numbers.items():
            base = other.get(metric)
            found.append(
                Summary(
                    method=row,
                    kind=kinds[row],
                    metric=f"{name}/{metric}",
                    mean=number.value,
                    sd=None,
                    low=number.bounds[0] if number.bounds else None,
                    high=number.bounds[1] if number.bounds else None,
                    n=number.n,
                    n_left_out=0,
                    difference=None if base is None else number.value - base.value,
                    p_value=None if base is None else _p_value(number, base),
                )
            )
    return found


class _Number(NamedTuple):
    """A number of a row; `values` are 0 or 1 an image for proportions, one a bootstrap draw for areas."""

    value: float
    bounds: tuple[float, float] | None
    n: int
    kind: str
    values: NDArray[np.float64]
    groups: Sequence[str]


def _measure(answers: Sequence[Answer], threshold: float) -> dict[str, _Number]:
    truth = np.array([answer.abnormal for answer in answers], dtype=bool)
    correct = _correct(answers, threshold)
    none = np.zeros(0)
    counts = zip(COUNTS, (~truth, truth), strict=True)
    numbers = {
        metric: _Number(float((of & ~correct).sum()), None, int(of.sum()), "count", none, ()) for metric, of in counts
    }
    if not both_classes(answers):
        return numbers
    parts = zip(PROPORTIONS, (np.ones_like(truth), truth, ~truth), strict=True)
    shares = {metric: _proportion([a for a, of in zip(answers, part, strict=True) if of], correct[part])
              for metric, part in parts}  # fmt: skip
    areas = {"auc": _area(answers, _auc_of(answers))}
    if any(answer.truths for answer in answers):
        areas["map50"] = _area(answers, _precision_of(answers))
    return {**shares, **numbers, **{metric: area for metric, area in areas.items() if area is not None}}


def _proportion(answers: Sequence[Answer], correct: NDArray[np.bool_]) -> _Number:
    groups = [answer.group for answer in answers]
    if len(set(groups)) < len(groups):
        bounds = interval(correct.astype(float).tolist(), groups)
    else:
        bounds = wilson(int(correct.sum()), len(correct)) if len(groups) >= MIN_GROUPS else None
    return _Number(float(correct.mean()), bounds, len(correct), "proportion", correct.astype(float), groups)


def _area(answers: Sequence[Answer], statistic: Callable[[Indices], float | None]) -> _Number | None:
    value = statistic(np.arange(len(answers)))
    if value is None:
        return None
    groups = [answer.group for answer in answers]
    drawn = [statistic(draw) for draw in group_draws(groups, 0, _RESAMPLES)]
    values = np.array([math.nan if one is None else one for one in drawn])
    return _Number(value, bootstrap_interval(drawn, len(set(groups))), len(answers), "area", values, groups)


def _auc_of(answers: Sequence[Answer]) -> Callable[[Indices], float | None]:
    scores = np.array([answer.score for answer in answers])
    truth = np.array([answer.abnormal for answer in answers], dtype=bool)
    return lambda drawn: auc(scores[drawn], truth[drawn])


def _precision_of(answers: Sequence[Answer]) -> Callable[[Indices], float | None]:
    """Average precision of the images whose true boxes are known; normal ones have none."""

    def precision(drawn: Indices) -> float | None:
        some = [answers[index] for index in drawn if answers[index].truths is not None]
        if not some:
            return None
        scores, hits = (np.concatenate(part) for part in zip(*((a.scores, a.hits) for a in some), strict=True))
        return average_precision(scores, hits, sum(answer.truths or 0 for answer in some))

    return precision


def _p_value(number: _Number, base: _Number) -> float | None:
    differences = number.values - base.values
    if number.kind == "area":
        return bootstrap_p(differences[np.isfinite(differences)].tolist())
    if number.kind == "count":
        return None
    if len(set(number.groups)) < len(number.groups):
        return _p_by_groups(differences, number.groups)
    if len(number.groups) < MIN_GROUPS:
        return None
    return mcnemar(int((differences < 0).sum()), int((differences > 0).sum()))


def _p_by_groups(differences: NDArray[np.float64], groups: Sequence[str]) -> float | None:
    """Signed-rank test on group means; 1 where no answer changed."""
    if not differences.any():
        return 1.0 if len(set(groups)) >= MIN_GROUPS else None
    return signed_rank_p(differences.tolist(), groups)


def _correct(answers: Sequence[Answer], threshold: float) -> NDArray[np.bool_]:
    return np.array([(answer.score >= threshold) == answer.abnormal for answer in answers], dtype=bool)
