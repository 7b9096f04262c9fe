"""Statistics of detectors against closed forms, brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from medrestore.evaluation.detection_statistics import (
    auc,
    average_precision,
    bootstrap_interval,
    bootstrap_p,
    group_draws,
    match_boxes,
    mcnemar,
    wilson,
    youden_threshold,
)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(11, 14, 0.5241, 0.9243), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_known_values(successes: int, total: int, low: float, high: float) -> None:
    """The last is table I of Newcombe, Statistics in Medicine 17, 1998; the first the paper's 11 of 14."""
    assert wilson(successes, total) == pytest.approx((low, high), abs=5e-5)


def test_wilson_bounds_solve_the_score_equation() -> None:
    for successes, total in itertools.product(range(1, 6), (6, 9)):
        for bound in wilson(successes, total):
            z = (successes / total - bound) / np.sqrt(bound * (1 - bound) / total)
            assert abs(z) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize(("lost", "gained"), [(0, 3), (1, 9), (5, 5), (4, 0), (2, 17)])
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    assert mcnemar(lost, gained) == pytest.approx(binomtest(lost, lost + gained, 0.5).pvalue)


def test_mcnemar_of_the_paper() -> None:
    assert mcnemar(0, 3) == 0.25
    assert mcnemar(0, 0) == 1.0


def test_auc_counts_pairs_ties_half() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        scores, truths = random.integers(0, 5, 17) / 4, random.random(17) < 0.4
        if not 0 < truths.sum() < 17:
            continue
        pairs = [float(a > n) + 0.5 * (a == n) for a in scores[truths] for n in scores[~truths]]
        assert auc(scores, truths) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_auc_needs_both_classes() -> None:
    assert auc([0.1, 0.2], [True, True]) is None
    assert auc([], []) is None
    assert youden_threshold([0.1, 0.2], [False, False]) is None


def test_youden_is_the_best_of_all_thresholds() -> None:
    random = np.random.default_rng(1)
    scores, truths = random.random(30), random.random(30) < 0.5

    def gain(threshold: float) -> float:
        return (scores[truths] >= threshold).mean() - (scores[~truths] >= threshold).mean()

    threshold = youden_threshold(scores.tolist(), truths.tolist())
    assert threshold is not None
    assert gain(threshold) == max(gain(cut) for cut in np.linspace(0, 1, 2001))


def test_youden_lies_in_the_middle_of_the_widest_gap() -> None:
    assert youden_threshold([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == pytest.approx(0.5)


def test_boxes_hit_a_true_one_once() -> None:
    truths = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    found = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 30, 29], [40, 40, 50, 50], [20, 20, 30, 24.9]])
    assert match_boxes(found, truths).tolist() == [True, False, True, False, False]
    assert match_boxes(found, truths[:0]).tolist() == [False] * 5
    assert match_boxes(found[:0], truths).tolist() == []


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of three true boxes: precision 1, 1/2, 2/3; recall 1/3, 1/3, 2/3; area (1 + 2/3) / 3."""
    scores = np.array([0.5, 0.9, 0.7])
    assert average_precision(scores, np.array([True, True, False]), 3) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(np.array([0.9, 0.8]), np.array([True, True]), 2) == 1.0
    assert average_precision(np.zeros(0), np.zeros(0, bool), 2) == 0.0
    assert average_precision(scores, np.zeros(3, bool), 0) is None


def test_whole_groups_are_drawn() -> None:
    groups = ["a", "a", "b", "c", "d", "e", "e"]
    draws = group_draws(groups, 0, 50)
    assert len(draws) == 50
    for draw in draws:
        counts = np.bincount(draw, minlength=7)
        assert counts[0] == counts[1] and counts[5] == counts[6]
    assert group_draws(["a", "b", "c", "d"], 0, 50) == []


def test_bootstrap_interval_of_a_mean_is_that_of_statistics() -> None:
    from medrestore.evaluation.statistics import interval

    values = np.random.default_rng(3).normal(size=24)
    groups = [f"g{index // 2:02d}" for index in range(24)]
    means = [float(values[draw].mean()) for draw in group_draws(groups, 0, 4000)]
    ours, theirs = bootstrap_interval(means, 12), interval(values.tolist(), groups, resamples=4000)
    assert ours is not None and theirs is not None
    assert ours == pytest.approx(theirs, abs=0.05)
    assert bootstrap_interval(means, 4) is None
    assert bootstrap_interval([None, None, 1.0], 12) is None


def test_bootstrap_p() -> None:
    assert bootstrap_p([]) is None
    assert bootstrap_p([0.0] * 99) == 1.0
    assert bootstrap_p([0.1] * 99) == pytest.approx(0.02)
    assert bootstrap_p([0.1, -0.1] * 50) == 1.0
