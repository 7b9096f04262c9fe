"""Which raters are left out: BT.500 against a version written out, and every fault on raters that have it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from medrestore.study.screening import bt500, critical_correlation, faults_told, screen


def panel(seed: int, raters: int = 20, pictures: int = 50) -> np.ndarray:
    random = np.random.default_rng(seed)
    quality = np.repeat([1.2, 2.3, 3.2, 4.0, 4.7], pictures // 5)[:, None]
    noise = random.normal(0, 0.6, (pictures, raters)) + random.normal(0, 0.3, (1, raters))
    return np.clip(np.rint(quality + noise), 1, 5)


def written_out(scores: np.ndarray) -> list[int]:
    """ITU-R BT.500, step by step, with moments by hand."""
    pictures, raters = scores.shape
    above, below = [0] * raters, [0] * raters
    for row in scores:
        mean = sum(row) / raters
        second = sum((x - mean) ** 2 for x in row) / raters
        fourth = sum((x - mean) ** 4 for x in row) / raters
        if second == 0:
            continue
        sd = (sum((x - mean) ** 2 for x in row) / (raters - 1)) ** 0.5
        reach = (2 if 2 <= fourth / second**2 <= 4 else 20**0.5) * sd
        for rater, x in enumerate(row):
            above[rater] += x >= mean + reach
            below[rater] += x <= mean - reach
    out = []
    for rater in range(raters):
        both = above[rater] + below[rater]
        if both / pictures > 0.05 and abs(above[rater] - below[rater]) / both < 0.3:
            out.append(rater)
    return [] if len(out) == raters else out


@pytest.mark.parametrize("seed", range(12))
def test_bt500_as_written_out(seed: int) -> None:
    scores = panel(seed)
    random = np.random.default_rng(100 + seed)
    erratic = random.random(50) < 0.3
    scores[erratic, 0] = random.choice([1, 5], erratic.sum())
    assert bt500(scores) == written_out(scores)


def test_bt500_rejects_the_erratic_and_keeps_the_strict() -> None:
    scores = panel(0, raters=40)  # among few raters, one who is far out widens the limits himself
    flips = np.random.default_rng(1).permutation(50)[:24]
    scores[flips, 3] = 6 - scores[flips, 3]  # far out, above and below alike
    scores[:, 7] = np.clip(scores[:, 7] - 2, 1, 5)  # strict all along
    assert bt500(scores) == written_out(scores) == [3]


def test_bt500_where_all_agree() -> None:
    assert bt500(np.repeat(np.arange(1.0, 6.0)[:, None], 6, axis=1)) == []


def faulty(seed: int) -> np.ndarray:
    scores = panel(seed)
    random = np.random.default_rng(1000 + seed)
    scores[:, 1] = 6 - scores[:, 1]
    scores[:, 2] = 3
    scores[:, 3] = random.integers(1, 6, 50)
    return scores


def test_every_fault_is_caught_and_few_sound_raters_with_it() -> None:
    wrong = caught = 0
    for seed in range(30):
        verdicts = screen(faulty(seed), [4000.0] * 20, [[]] * 20)
        faults = [verdict.fault for verdict in verdicts]
        assert faults[1:3] == ["reversed", "constant"]
        caught += faults[3] == "random" or verdicts[3].outlier
        wrong += sum(not verdict.counted for verdict in [verdicts[0], *verdicts[4:]])
    assert caught >= 28  # one in a hundred dice throwers agrees by chance
    assert wrong / (30 * 17) < 0.03


def test_reversed_scores_are_left_out_and_never_turned_round() -> None:
    scores = faulty(0)
    before = scores.copy()
    verdict = screen(scores, [4000.0] * 20, [[]] * 20)[1]
    assert (scores == before).all() and not verdict.counted and verdict.correlation is not None
    assert verdict.correlation < -0.8


def test_what_is_told_besides() -> None:
    scores = panel(1)
    verdicts = screen(scores, [300.0, *[4000.0] * 19], [[(3, 4), (2, 2)], *[[]] * 19])
    assert verdicts[0].hasty and not verdicts[1].hasty and verdicts[0].counted
    assert verdicts[0].retest == 0.5 and verdicts[1].retest is None
    assert verdicts[5].bias == pytest.approx(scores[:, 5].mean() - np.delete(scores, 5, axis=1).mean())
    told = "\n".join(faults_told(dict(zip(map(str, range(20)), verdicts, strict=True))))
    assert "1 took less than 700 ms a picture (median): 0" in told


def test_one_rater_alone_is_counted() -> None:
    verdict = screen(panel(0)[:, :1], [4000.0], [[]])[0]
    assert verdict.counted and verdict.correlation is None and verdict.bias == 0


def test_the_limit_is_that_of_the_test_of_a_correlation() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=24), random.normal(size=24)
    y = y - np.polyval(np.polyfit(x, y, 1), x)
    limit = critical_correlation(24)
    slope = limit / np.sqrt(1 - limit**2) * y.std() / x.std()
    result = pearsonr(x, y + slope * x, alternative="greater")
    assert result.statistic == pytest.approx(limit) and result.pvalue == pytest.approx(0.01)
