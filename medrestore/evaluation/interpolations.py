"""Which interpolation is the best: decided on validation images, so that the test images choose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medrestore.classical import Method
from medrestore.data.module import RestorationData
from medrestore.evaluation.assessment import Finding, Section, Table
from medrestore.evaluation.scoring import MetricSettings, Track, score_cases
from medrestore.evaluation.statistics import Summary, summarise
from medrestore.evaluation.tables import heading, layout, read_scores, write_scores
from medrestore.run_directory import Run

FILE = "interpolations.csv"  # beside tuned.yaml: their scores on the run's validation images
_SETTINGS = MetricSettings(lpips=False, lpips_weights="random")


@dataclass(frozen=True)
class Interpolations:
    """The rows that learn nothing, on validation images.

    Attributes:
        best: the row with the highest mean PSNR.
        images: how many images that was decided on.
        summaries: PSNR and SSIM of every row, the reference first.
    """

    best: str
    images: int
    summaries: Sequence[Summary]

    @property
    def said(self) -> str:
        """The choice in a line, with the scores of all rows."""
        _, rows = layout(self.summaries)
        scores = "; ".join(
            f"{row.method} {', '.join(cell.value.split(' ±')[0] for cell in row.cells.values() if cell.value)}"
            for row in rows
        )
        return f"best interpolation on validation: {self.best} (PSNR in dB and SSIM of {self.images} images: {scores})"

    @property
    def finding(self) -> Finding:
        """The table, and its rows under the name `validation/<metric>`."""
        metrics, rows = layout(self.summaries)
        cells = [[row.cells[metric] for metric in metrics] for row in rows]
        table = Table(
            f"On {self.images} validation images: mean ± SD [95 % interval], difference to the reference row",
            ["method", *map(heading, metrics)],
            [
                [row.method, *(f"{cell.value} {cell.interval} {cell.change}".strip() for cell in found)]
                for row, found in zip(rows, cells, strict=True)
            ],
        )
        best = {metric: self._best_by(metric) for metric in metrics}
        lines = [f"Best interpolation on validation, by PSNR: '{self.best}'."]
        if best.get("ssim", self.best) != self.best:
            lines.append(f"By SSIM it would be '{best['ssim']}'.")
        named = [summary._replace(metric=f"validation/{summary.metric}") for summary in self.summaries]
        return Finding(Section("Interpolations on validation", lines, [table]), named)

    def _best_by(self, metric: str) -> str:
        known = [row for row in self.summaries if row.metric == metric and row.mean is not None]
        return max(known, key=lambda row: row.mean or 0.0).method if known else self.best


def judge_interpolations(
    run: Run, config: Any, rows: Sequence[Method], data: RestorationData, track: Track
) -> Interpolations | None:
    """Score the rows that learn nothing on the run's whole validation images, once; remembered in `interpolations.csv`.

    Args:
        run: whose validation images decide.
        config: its configuration with the overrides of this evaluation.
        rows: reference and classical rows.
        data: the images that are judged.
        track: shows progress.

    Returns:
        The choice; None where the scale stays, where no validation image has a truth, and on other data than the
        run's as long as the run itself was not judged: their images would be tested and choose at once.
    """
    if data.degradation.scale == 1:
        return None
    names = [row.name for row in rows]
    record = run.directory / FILE
    same = config.degradation == run.config.degradation and config.sampling.window == run.config.sampling.window
    scores = read_scores(record) if same and record.exists() else []
    if {score.method for score in scores} != set(names):
        if config.dataset != run.config.dataset:
            return None
        scores = []
        for row in track(list(rows), "judging the interpolations on validation images"):
            scores += score_cases(data.cases("val", config.evaluation.tune_images), [row], _SETTINGS)
        if same and scores:
            write_scores(record, scores)
    summaries = summarise(scores, {row.name: row.kind for row in rows}, rows[0].name)
    means = {row.method: row.mean for row in summaries if row.metric == "psnr" and row.mean is not None}
    if not means:  # every one of them is perfect
        return None
    return Interpolations(max(means, key=lambda name: means[name]), len({score.key for score in scores}), summaries)
