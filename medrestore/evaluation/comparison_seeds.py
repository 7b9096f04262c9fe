"""What the seeds of each model say: an interval for its mean, and which model and which training is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Variant
from medrestore.evaluation.tables import LOWER_IS_BETTER, UNITS, heading

_HIGHER_IS_BETTER = frozenset(
    {
        *("psnr", "ssim", "iou", "mean_iou", "jaccard", "dice", "cldice", "auc", "accuracy", "sensitivity"),
        *("specificity", "map", "ap50"),
    }
)
_NEITHER = frozenset({"entropy", "ciede2000_input", "levels"})


class Interval(NamedTuple):
    """A model under one metric: mean, sample standard deviation and 95 % t-interval of the mean over its seeds.

    `sd`, `low` and `high` are None with one seed.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean ± t(0.975, n - 1) * sd / sqrt(n): for normal noise of training, on these test images."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, None, None, None, n)
    sd = float(np.std(values, ddof=1))
    reach = float(t.isf(0.025, n - 1)) * sd / math.sqrt(n)
    return Interval(mean, sd, mean - reach, mean + reach, n)


def restored(variant: Variant) -> dict[str, dict[int, float]]:
    """By metric and seed, what the trained generator scores."""
    values: dict[str, dict[int, float]] = {}
    for seed, run in variant.runs.items():
        for summary in run.summaries:
            if summary.method == "restored" and summary.mean is not None:
                values.setdefault(summary.metric, {})[seed] = summary.mean
    return values


def best_section(variants: Sequence[Variant], metrics: Sequence[str]) -> Section | None:
    """The best model and the best single training by each metric whose better direction is known; None for one run."""
    if sum(len(variant.runs) for variant in variants) < 2:
        return None
    values = {variant.name: restored(variant) for variant in variants}
    rows = []
    for metric in metrics:
        better = direction(metric)
        named = {name: found[metric] for name, found in values.items() if metric in found}
        if better is None or not named:
            continue
        sign: int = better  # bound for the lambdas
        model = max(named, key=lambda name: sign * float(np.mean(list(named[name].values()))))
        runs = [(value, name, seed) for name, seeds in named.items() for seed, value in seeds.items()]
        value, name, seed = max(runs, key=lambda run: sign * run[0])
        directory = next(variant.runs[seed].directory for variant in variants if variant.name == name)
        found = seed_interval(list(named[model].values()))
        rows.append([heading(metric), model, _said(found, metric), _number(value, metric), str(directory)])
    if not rows:
        return None
    text = (
        "By the scores of the test images, so the best of many is partly luck: choose by validation, or judge the "
        "chosen one on other images."
    )
    header = ["metric", "best model", "mean [95 % over seeds]", "best training", "its directory"]
    return Section("Best by metric", [text], [Table("", header, rows)])


def interval_section(variants: Sequence[Variant], metrics: Sequence[str]) -> Section | None:
    """Mean, standard deviation and interval over seeds of every model; None where each has one seed."""
    several = [variant for variant in variants if len(variant.runs) > 1]
    if not several:
        return None
    rows = []
    for variant in several:
        for metric, values in restored(variant).items():
            if metric not in metrics:
                continue
            found = seed_interval(list(values.values()))
            sd = "" if found.sd is None else _number(found.sd, metric)
            ends = "" if found.low is None else f"{_number(found.low, metric)} to {_number(found.high, metric)}"
            rows.append([variant.name, heading(metric), str(found.n), _number(found.mean, metric), sd, ends])
    text = (
        "t-interval of the mean over seeds: where the mean of many trainings would lie, on these images, if the noise "
        "of training is normal. With two seeds it is wide for good reason (t = 12.7)."
    )
    header = ["row", "metric", "seeds", "mean", "sd over seeds", "95 % interval"]
    return Section("Intervals over seeds", [text], [Table("", header, rows)])


def direction(metric: str) -> int | None:
    """1 where more is better, -1 where less is; None for a score that is neither, such as an entropy."""
    last = metric.rpartition("/")[2]
    if last in _NEITHER:
        return None
    return -1 if last in LOWER_IS_BETTER else 1 if last in _HIGHER_IS_BETTER else None


def _said(found: Interval, metric: str) -> str:
    mean = _number(found.mean, metric)
    return mean if found.low is None else f"{mean} [{_number(found.low, metric)}, {_number(found.high, metric)}]"


def _number(value: float | None, metric: str) -> str:
    return "" if value is None else f"{value:.{2 if metric in UNITS or abs(value) >= 10 else 4}f}"
