from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, wilcoxon

from medrestore.errors import MedrestoreError
from medrestore.evaluation.statistics import Score, compare, interval, signed_rank_p, summarise

KINDS = {"identity": "reference", "restored": "learned"}


def _scores(method: str, values: list[float], groups: list[str], metric: str = "psnr") -> list[Score]:
    return [
        Score(method, f"k{i}", group, metric, value)
        for i, (value, group) in enumerate(zip(values, groups, strict=True))
    ]


def test_numbers_by_hand():
    groups = list("abcdef")
    scores = _scores("identity", [30.0, 32.0, 34.0, 30.0, 32.0, 34.0], groups)
    scores += _scores("restored", [31.0, 34.0, 37.0, 34.0, 37.0, 40.0], groups)
    reference, learned = summarise(scores, KINDS, "identity")
    assert (reference.method, reference.kind, reference.metric, reference.n) == ("identity", "reference", "psnr", 6)
    assert reference.mean == 32.0
    assert reference.sd == pytest.approx(math.sqrt(16 / 5))
    assert reference.difference is None and reference.p_value is None
    assert learned.mean == 35.5
    assert learned.difference == 3.5  # 1, 2, 3, 4, 5, 6
    assert learned.p_value == 2 / 2**6  # all six groups on one side


def test_signed_rank_by_hand():
    groups = list("abcdef")
    assert signed_rank_p([2.0, 3.0, 4.0, 5.0, 6.0, -1.0], groups) == 2 * 2 / 2**6  # rank sums 0 and 1 of 64
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0], groups[:5]) == 2 / 2**5
    assert signed_rank_p([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], groups) == pytest.approx(2 / 2**6)  # ties: still exact
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0], groups[:4]) is None
    assert signed_rank_p([0.0] * 6, groups) is None


@pytest.mark.parametrize("groups", [5, 12, 50, 60])
def test_signed_rank_equals_scipy(groups):
    generator = np.random.default_rng(groups)
    differences = generator.normal(0.2, 1.0, groups)
    ours = signed_rank_p(differences, [f"g{i}" for i in range(groups)])
    assert ours == pytest.approx(wilcoxon(differences).pvalue, rel=1e-9)


def test_signed_rank_with_ties_equals_enumeration():
    differences = np.array([1.0, 1.0, -1.0, 2.0, 2.0, -2.0, 3.0, 3.0, 3.0])
    ranks = np.array([2.0, 2.0, 2.0, 5.0, 5.0, 5.0, 8.0, 8.0, 8.0])
    sums = np.array(list(product([0, 1], repeat=9))) @ ranks
    seen = ranks[differences > 0].sum()
    assert signed_rank_p(differences, list("abcdefghi")) == pytest.approx(2 * np.mean(sums >= seen))


def test_test_is_on_group_means():
    """Ten images of each of five patients are five observations, not fifty."""
    groups = [name for name in "abcde" for _ in range(10)]
    assert signed_rank_p([1.0 + 0.01 * i for i in range(50)], groups) == 2 / 2**5


def test_mean_is_over_images_interval_over_groups():
    values, groups = [0.0] * 9 + [10.0, 1.0, 2.0, 3.0, 4.0], ["a"] * 9 + list("bcdef")
    scores = _scores("identity", values, groups)
    (row,) = summarise(scores, KINDS, "identity")
    assert row.mean == pytest.approx(20 / 14)
    draws = np.random.default_rng(1).integers(6, size=(20000, 6))
    images = [[0.0] * 9, [10.0], [1.0], [2.0], [3.0], [4.0]]
    means = [sum(sum(images[group]) for group in draw) / sum(len(images[group]) for group in draw) for draw in draws]
    tail = 0.00243  # below -2.5706 sqrt(6 / 5) under the normal curve; 2.5706 = t for 5 degrees of freedom
    low, high = interval(values, groups, resamples=20000) or (math.nan, math.nan)
    assert low == pytest.approx(np.quantile(means, tail), abs=0.05)
    assert high == pytest.approx(np.quantile(means, 1 - tail), abs=0.3)
    assert row.low == pytest.approx(low, abs=0.1) and row.high == pytest.approx(high, abs=1.0)


def test_no_interval_below_five_groups():
    values, groups = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], ["a", "b", "c", "d", "d", "d"]
    (row,) = summarise(_scores("identity", values, groups), KINDS, "identity")
    assert row.low is None and row.high is None and row.mean == 3.5
    assert interval(values[:5], list("abcde")) is not None


def test_infinite_values_are_left_out_and_counted():
    groups = list("abcdefg")
    scores = _scores("identity", [30.0, 31.0, math.inf, 33.0, 34.0, 35.0, 36.0], groups)
    scores += _scores("restored", [math.nan, 32.0, 40.0, 34.0, 35.0, 36.0, 37.0], groups)
    reference, learned = summarise(scores, KINDS, "identity")
    assert (reference.n, reference.n_left_out) == (6, 1)
    assert reference.mean == pytest.approx(199 / 6)
    assert (learned.n, learned.n_left_out) == (6, 1)
    assert learned.mean == pytest.approx(214 / 6)
    assert learned.difference == 1.0  # on the five images where both are finite
    assert learned.p_value == pytest.approx(2 / 2**5)


def test_a_row_without_a_finite_value_has_no_numbers():
    (row,) = summarise(_scores("identity", [math.inf] * 6, list("abcdef")), KINDS, "identity")
    assert row[3:] == (None, None, None, None, 0, 6, None, None)
    (row,) = summarise(_scores("identity", [3.0], ["a"]), KINDS, "identity")
    assert (row.mean, row.sd, row.n) == (3.0, None, 1)


def test_difference_uses_common_images_only():
    scores = _scores("identity", [1.0, 2.0, 3.0], list("abc")) + _scores("restored", [2.0, 4.0], list("ab"))
    assert summarise(scores, KINDS, "identity")[1].difference == 1.5
    other = [Score("restored", "elsewhere", "z", "psnr", 9.0)]
    assert summarise(_scores("identity", [1.0], ["a"]) + other, KINDS, "identity")[1].difference is None


def test_same_seed_same_result_in_any_order():
    generator = np.random.default_rng(0)
    groups = [f"g{i}" for i in generator.integers(8, size=40)]
    scores = _scores("identity", list(generator.normal(size=40)), groups)
    scores += _scores("restored", list(generator.normal(size=40)), groups)
    first = summarise(scores, KINDS, "identity", seed=3)
    shuffled = [scores[i] for i in generator.permutation(len(scores))]
    again = summarise(shuffled, KINDS, "identity", seed=3)
    assert [row[:3] for row in first] == [row[:3] for row in again]
    for ours, theirs in zip(first, again, strict=True):
        assert (ours.low, ours.high) == (theirs.low, theirs.high)
    assert summarise(scores, KINDS, "identity", seed=4)[0].low != first[0].low


def test_rows_are_ordered_by_kinds_then_metric():
    scores = _scores("restored", [0.9], ["a"], "ssim") + _scores("restored", [30.0], ["a"])
    scores += _scores("identity", [0.8], ["a"], "ssim") + _scores("identity", [29.0], ["a"])
    rows = summarise(scores, KINDS, "identity")
    assert [(row.method, row.metric) for row in rows] == [
        ("identity", "ssim"),
        ("identity", "psnr"),
        ("restored", "ssim"),
        ("restored", "psnr"),
    ]


def _clustered(generator: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients of one to six images whose scores share the patient's level; the true mean is 0."""
    index = np.repeat(np.arange(groups), generator.integers(1, 7, size=groups))
    return generator.normal(size=groups)[index] + 0.5 * generator.normal(size=len(index)), index.astype(str)


def test_interval_covers_the_mean_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    grouped, naive, widths = 0, 0, []
    for trial in range(1500):
        values, groups = _clustered(generator, 40)
        low, high = interval(values, groups, seed=trial, resamples=400) or (math.nan, math.nan)
        images = np.arange(len(values)).astype(str)
        low_naive, high_naive = interval(values, images, seed=trial, resamples=400) or (math.nan, math.nan)
        grouped += low <= 0 <= high
        naive += low_naive <= 0 <= high_naive
        widths.append((high - low) / (high_naive - low_naive))
    assert 0.92 <= grouped / 1500 <= 0.97
    assert naive / 1500 < 0.80  # what taking images for independent would claim as 95 %
    assert np.mean(widths) > 1.5


def test_null_p_values_are_uniform():
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(500):
        values, groups = _clustered(generator, 20)
        p_values.append(signed_rank_p(values, groups))
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07
    assert kstest(p_values, "uniform").pvalue > 0.05


def test_compare_gives_the_interval_of_the_paired_difference():
    groups = [f"g{i}" for i in range(30)]
    generator = np.random.default_rng(0)
    level = generator.normal(30.0, 5.0, 30)  # images differ far more than methods
    scores = _scores("identity", list(level), groups)
    scores += _scores("restored", list(level + generator.normal(1.0, 0.5, 30)), groups)
    found = compare(scores, "restored", "identity", "psnr")
    assert found.low is not None and found.high is not None and found.difference is not None
    assert 0.5 < found.low < found.difference < found.high < 1.5
    assert (found.n, found.groups) == (30, 30)
    back = compare(scores, "identity", "restored", "psnr")
    assert back.difference == -found.difference and back.p_value == found.p_value
    assert compare(scores, "restored", "nothing", "psnr") == (None, None, None, None, 0, 0)


def test_faulty_tables_are_refused():
    scores = _scores("identity", [1.0], ["a"])
    with pytest.raises(MedrestoreError, match=r"Two scores of 'identity' for psnr of image k0"):
        summarise(scores * 2, KINDS, "identity")
    with pytest.raises(MedrestoreError, match=r"'identity'.* have no kind"):
        summarise(scores, {}, "identity")
    with pytest.raises(MedrestoreError, match="No scores of the reference row 'bicubic'"):
        summarise(scores, KINDS, "bicubic")
    assert summarise([], KINDS, "identity") == []
