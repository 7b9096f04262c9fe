"""Lesion detection in words and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from medrestore.evaluation.assessment import Context, Table
from medrestore.evaluation.lesion_rows import COUNTS, Answer, both_classes, paired
from medrestore.evaluation.statistics import MIN_GROUPS, Summary

TRUTH, NATURAL = "lesions", "lesions_natural"  # the two sets of images, in front of the metrics' names
_WHERE = {TRUTH: "images with truth", NATURAL: "naturally blurred images"}
_HEADS = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "false_positives": "FP",
    "false_negatives": "FN",
    "auc": "ROC-AUC",
    "map50": "mAP@0.5",
}


def said(name: str, answers: Sequence[Answer]) -> list[str]:
    """How many images of each class there are, and what that does not allow."""
    abnormal, groups = sum(answer.abnormal for answer in answers), len({answer.group for answer in answers})
    normal, where = len(answers) - abnormal, _WHERE[name]
    lines = [f"{where}: {normal} normal, {abnormal} abnormal, {groups} groups"]
    if not both_classes(answers):
        only = "abnormal" if abnormal else "normal"
        lines.append(
            f"{where}: all {len(answers)} are {only}, so no accuracy, sensitivity, specificity or AUC: a judge that "
            f"always says {only} would be right every time (the 14 images of paper S1 were all normal)"
        )
    if groups < MIN_GROUPS:
        lines.append(f"{where}: intervals and tests are not available below {MIN_GROUPS} groups")
    elif groups < len(answers):
        lines.append(f"{where}: images of one group are not independent; beside McNemar's exact p stands one by groups")
    return lines


def verdict(
    name: str, rows: Mapping[str, Sequence[Answer]], numbers: Sequence[Summary], context: Context, threshold: float
) -> list[str]:
    """Reference against the shown row, in one sentence."""
    if context.shown not in rows or context.shown == context.reference:
        return []
    values = {(one.method, one.metric.removeprefix(f"{name}/")): one.mean for one in numbers}
    parts = []
    for metric in ("accuracy", "auc", *COUNTS):
        before, after = values.get((context.reference, metric)), values.get((context.shown, metric))
        if before is not None and after is not None:
            digits = 0 if metric in COUNTS else 3
            parts.append(f"{_HEADS[metric]} {before:.{digits}f} -> {after:.{digits}f}")
    test = paired(rows[context.shown], rows[context.reference], threshold)
    if test is not None:
        parts.append(f"McNemar exact p {_p(test.p_value)} ({test.gained} gained, {test.lost} lost)")
    return [f"{_WHERE[name]}, {context.reference} -> {context.shown}: {', '.join(parts)}"]


def answers_table(
    name: str,
    rows: Mapping[str, Sequence[Answer]],
    numbers: Sequence[Summary],
    quality: Mapping[str, Sequence[float]],
) -> Table:
    """Every number of every row, with its interval, and the mean PIQE before and after."""
    by_row = {(one.method, one.metric.removeprefix(f"{name}/")): one for one in numbers}
    metrics = [metric for metric in _HEADS if any((row, metric) in by_row for row in rows)]
    cells = []
    for row, answers in rows.items():
        values = [_cell(by_row.get((row, metric)), metric) for metric in metrics]
        scores = quality.get(row, [])
        mean = f"{math.fsum(scores) / len(scores):.1f}" if scores else "-"
        cells.append([row, str(len(answers)), *values, mean])
    header = ["method", "images", *(_HEADS[metric] for metric in metrics), "PIQE"]
    return Table(f"Normal or abnormal, {_WHERE[name]} (95 % interval)", header, cells)


def _cell(number: Summary | None, metric: str) -> str:
    if number is None or number.mean is None:
        return "-"
    if metric in COUNTS:
        return f"{number.mean:.0f} of {number.n}"
    if number.low is None or number.high is None:
        return f"{number.mean:.3f} (not available)"
    return f"{number.mean:.3f} ({number.low:.3f} to {number.high:.3f})"


def paired_table(name: str, rows: Mapping[str, Sequence[Answer]], reference: str, threshold: float) -> Table:
    """Which answers changed against the reference, and whether that is more than chance."""
    cells = []
    for row, answers in rows.items():
        test = None if row == reference else paired(answers, rows[reference], threshold)
        if test is not None:
            cells.append([row, str(test.gained), str(test.lost), _p(test.p_value), _p(test.p_grouped)])
    header = ["method", "right here only", f"right under {reference} only", "McNemar exact p", "p by groups"]
    return Table(f"Answers against {reference}, {_WHERE[name]}", header, cells)


def _p(value: float | None) -> str:
    return "not available" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
