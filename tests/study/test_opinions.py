"""Opinion scores against scipy, printed examples of the literature and loops written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t, wilcoxon

from medrestore.study.opinions import agreement, differential, opinion, paired_tests, pooled

# Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)


def test_a_pictures_opinion_is_student_t() -> None:
    scores = [4, 5, 3, 4, 4, 2, 5]
    found = opinion(scores)
    low, high = t.interval(0.95, 6, np.mean(scores), np.std(scores, ddof=1) / math.sqrt(7))
    assert found == pytest.approx((27 / 7, np.std(scores, ddof=1), low, high, 7))
    assert opinion([3]) == (3.0, None, None, None, 1)
    assert opinion([4, 4, 4])[:4] == (4.0, 0.0, 4.0, 4.0)


def test_differential_scores_are_the_raters_own() -> None:
    references, scores = np.array([[5.0, 4.0], [4.0, 3.0]]), np.array([[3.0, 4.0], [4.0, 5.0]])
    assert differential(scores, references).tolist() == [[3.0, 5.0], [5.0, 7.0]]  # above 5: better than the truth


def test_agreement_is_that_of_shrout_and_fleiss() -> None:
    single, mean = agreement(SHROUT_FLEISS)
    assert single.value == pytest.approx(0.2898, abs=5e-5)  # ICC(2,1), printed as .29
    assert mean.value == pytest.approx(0.6201, abs=5e-5)  # ICC(2,4), printed as .62
    # interval as R's psych::ICC prints it for these data
    assert (single.low, single.high) == pytest.approx((0.019, 0.761), abs=1e-3)
    assert (mean.low, mean.high) == pytest.approx((0.071, 0.927), abs=1e-3)


def test_agreement_at_its_ends() -> None:
    same = np.repeat(np.array([[1.0], [3.0], [5.0]]), 4, axis=1)
    assert agreement(same)[0].value == pytest.approx(1.0)
    assert math.isnan(agreement(np.full((4, 3), 3.0))[0].value)
    random = np.random.default_rng(0).integers(1, 6, (400, 6)).astype(float)
    assert abs(agreement(random)[0].value) < 0.05


def test_pooled_interval_is_the_crossed_bootstrap_written_out() -> None:
    random = np.random.default_rng(3)
    scores = random.integers(1, 6, (7, 6)).astype(float)
    groups = ["a", "a", "b", "c", "d", "e", "f"]
    found = pooled(scores, groups, seed=5, resamples=400)
    names = sorted(set(groups))
    generator = np.random.default_rng(5)
    drawn_groups = generator.multinomial(6, [1 / 6] * 6, 400)
    drawn_raters = generator.multinomial(6, [1 / 6] * 6, 400)
    means = []
    for of_groups, of_raters in zip(drawn_groups, drawn_raters, strict=True):
        values = [
            scores[scene, rater]
            for scene, rater in itertools.product(range(7), range(6))
            for _ in range(of_groups[names.index(groups[scene])] * of_raters[rater])
        ]
        means.append(np.mean(values))
    assert found.mean == pytest.approx(scores.mean()) and found.n == 42
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.sd == pytest.approx(np.std(scores.mean(axis=1), ddof=1))


def test_pooled_interval_covers_new_raters_and_new_scenes() -> None:
    hits = 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        effects = random.normal(0, 0.5, (14, 1)) + random.normal(0, 0.4, (1, 16))
        found = pooled(3 + effects + random.normal(0, 0.6, (14, 16)), [str(n) for n in range(14)], seed, 500)
        assert found.low is not None and found.high is not None
        hits += found.low <= 3 <= found.high
    assert hits / 120 > 0.89  # ratings taken as independent would cover about half


@pytest.mark.parametrize(("groups", "raters"), [(4, 8), (8, 4)])
def test_no_interval_below_five_of_either(groups: int, raters: int) -> None:
    found = pooled(np.full((groups, raters), 3.0), [str(n) for n in range(groups)])
    assert found.low is None and found.high is None


def test_pairs_are_wilcoxon_on_group_means_with_holm() -> None:
    random = np.random.default_rng(1)
    base = random.uniform(2, 4, 9)
    means = {"a": base, "b": base + random.normal(0.6, 0.3, 9), "c": base + random.normal(0.1, 0.5, 9)}
    found = paired_tests(means, [str(n) for n in range(9)])
    raw = [float(wilcoxon(means[x] - means[y]).pvalue) for x, y in (("a", "b"), ("a", "c"), ("b", "c"))]
    assert [pair.p_value for pair in found] == pytest.approx(raw)
    order = np.argsort(raw)
    adjusted = np.maximum.accumulate([min(1, (3 - rank) * raw[i]) for rank, i in enumerate(order)])
    assert [found[i].p_holm for i in order] == pytest.approx(list(adjusted))
    assert found[0].difference == pytest.approx(float((means["a"] - means["b"]).mean()))


def test_two_scenes_of_a_patient_are_one_observation() -> None:
    means = {"a": np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0]), "b": np.array([2.0, 2.0, 2.5, 3.1, 4.2, 5.3])}
    once = paired_tests(means, ["p", "p", "q", "r", "s", "t"])[0].p_value
    assert once == pytest.approx(float(wilcoxon([1, 0.5, 0.1, 0.2, 0.3]).pvalue))
