"""Comparing whole sweeps: intervals over seeds, the best, curves over each other, fifty runs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from many_runs import many_runs
from PIL import Image
from scipy import stats

from medrestore.evaluation.comparison_curves import Curve, band
from medrestore.evaluation.comparison_files import write_comparison
from medrestore.evaluation.comparison_runs import JudgedRun
from medrestore.evaluation.comparison_sections import compare_runs
from medrestore.evaluation.comparison_seeds import direction, seed_interval


def test_the_interval_over_seeds_is_that_of_the_t_distribution() -> None:
    values = [25.1, 25.9, 25.4]
    found = seed_interval(values)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert seed_interval([25.0]) == (25.0, None, None, None, 1)


def test_which_way_is_better() -> None:
    assert [direction(name) for name in ("psnr", "lpips", "vessels/dice", "natural/piqe", "entropy", "x/bias")] == [
        *(1, -1, 1, -1, None, None)
    ]


def test_a_band_is_taken_where_all_seeds_were_validated() -> None:
    a = Curve(np.array([1.0, 3.0, 5.0]), np.array([10.0, 20.0, 30.0]))
    b = Curve(np.array([2.0, 4.0]), np.array([20.0, 20.0]))
    found = band("a", [a, b])
    assert found.x.tolist() == [2.0, 3.0, 4.0]
    assert found.mean.tolist() == [17.5, 20.0, 22.5]
    assert (found.low.tolist(), found.high.tolist()) == ([15.0, 20.0, 20.0], [20.0, 20.0, 25.0])
    assert not found.measured and band("a", [a, a]).measured


def test_fifty_runs(tmp_path: Path) -> None:
    runs = many_runs(tmp_path / "sweep", models=25, seeds=2)
    comparison = compare_runs(str(tmp_path / "sweep"))
    scores, best = comparison.spoken  # what goes to the screen
    assert len(scores.tables[0].rows) == 25 + 2
    means = [float(row[3].split(" ")[0]) for row in scores.tables[0].rows[2:]]
    assert means == sorted(means, reverse=True)
    by_run = {run: next(s.mean for s in JudgedRun.load(run).summaries if s[:3] == ("restored", "learned", "psnr"))
              for run in runs}  # fmt: skip
    assert best.tables[0].rows[0][4] == str(max(by_run, key=lambda run: by_run[run] or 0.0))
    settings = next(s for s in comparison.sections if s.title == "Settings that differ").tables[0]
    assert settings.header == ["row", "model.critic_steps", "model.generator_optimizer.lr"]
    assert len(settings.rows) == 25
    noise = next(s for s in comparison.sections if s.title.startswith("What stands out"))
    assert len(noise.lines) < 25  # the silent ones are counted, not listed

    write_comparison(tmp_path / "out", comparison)
    with (tmp_path / "out" / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["directory"] for row in rows] == [str(run) for run in runs]
    assert float(rows[0]["psnr"]) == pytest.approx(by_run[runs[0]])
    assert {row["model.critic_steps"] for row in rows} == {"1", "2", "3"}
    curves = next(s for s in comparison.sections if s.title == "Training curves")
    assert "In colour the 7 that end highest; the other 18 in grey." in curves.lines
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "out" / "pictures" / "1.png").read_bytes())).convert("RGB"))
    assert "![training curves of all models](pictures/1.png)" in (tmp_path / "out" / "comparison.md").read_text()
    colours = {tuple(int(c) for c in colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233)} <= colours
