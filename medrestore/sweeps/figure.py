"""A sweep in one picture: the metric job by job, and over each key that was varied."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medrestore.sweeps.summary import Job, Summary

_PANELS = 8  # a varied key each, besides the one of all jobs
_COLUMNS = 3
_COLOURS = {"done": "tab:blue", "pruned": "tab:orange", "failed": "tab:red", "stopped": "tab:gray"}
_MARKS = {"done": "o", "pruned": "v", "failed": "x", "stopped": "s"}


def draw(summary: Summary, path: Path) -> None:
    """Draw the picture.

    Jobs without a metric (failed, stopped early) stand at the bottom of the first panel. In a panel of a key, a bar is
    the mean of the complete jobs that share a value.

    Args:
        summary: of the sweep.
        path: of the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = list(summary.jobs[0].values)[:_PANELS]
    columns = min(_COLUMNS, 1 + len(keys))
    rows = math.ceil((1 + len(keys)) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    _draw_jobs(axes[0], summary)
    for axis, key in zip(axes[1:], keys, strict=False):
        _draw_key(axis, summary, key)
    for axis in axes[1 + len(keys) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=7)
    temporary = path.with_suffix(".writing")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)


def _draw_jobs(axis: Any, summary: Summary) -> None:
    from matplotlib.ticker import MaxNLocator

    metrics = [job.result.metric for job in summary.jobs]
    known = [value for value in metrics if value is not None]
    floor = min(known, default=0.0) - 0.05 * (max(known, default=1.0) - min(known, default=0.0) or 1.0)
    for state, colour in _COLOURS.items():
        chosen = [index for index, job in enumerate(summary.jobs) if job.state == state]
        values = [floor if metrics[index] is None else metrics[index] for index in chosen]
        if chosen:
            axis.scatter(chosen, values, c=colour, marker=_MARKS[state], s=26, label=state, zorder=3)
    if summary.direction is not None:
        better = max if summary.direction == "maximize" else min
        best, line = None, []
        for job in summary.jobs:
            if job.state == "done" and job.result.metric is not None:
                best = job.result.metric if best is None else better(best, job.result.metric)
            line.append(math.nan if best is None else best)
        axis.step(range(len(line)), line, where="post", c="tab:green", lw=1, label="best so far")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("job")
    axis.set_ylabel(summary.objective)


def _draw_key(axis: Any, summary: Summary, key: str) -> None:
    measured = [job for job in summary.jobs if job.result.metric is not None]
    texts = list(dict.fromkeys(job.values[key] for job in summary.jobs))
    numbers = {text: number for text in texts if (number := _number(text)) is not None}
    continuous = len(numbers) == len(texts) and len(texts) > 4
    if len(numbers) == len(texts):
        texts.sort(key=lambda text: numbers[text])
    places = numbers if continuous else {text: float(index) for index, text in enumerate(texts)}
    for state, colour in _COLOURS.items():
        chosen = [job for job in measured if job.state == state]
        if chosen:
            values = [job.result.metric for job in chosen]
            axis.scatter([places[job.values[key]] for job in chosen], values, c=colour, marker=_MARKS[state], s=26)
    if continuous:
        low, high = min(numbers.values()), max(numbers.values())
        if low > 0 and high / low > 30:
            axis.set_xscale("log")
    else:
        _draw_means(axis, measured, key, texts)
        axis.set_xticks(range(len(texts)), ["\n".join(textwrap.wrap(text, 14)) or "-" for text in texts], fontsize=7)
        axis.set_xlim(-0.5, len(texts) - 0.5)
    axis.set_xlabel(key)
    axis.set_ylabel(summary.objective)


def _draw_means(axis: Any, measured: Sequence[Job], key: str, texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        values = [job.result.metric for job in measured if job.values[key] == text and job.state == "done"]
        numbers = [value for value in values if value is not None]
        if len(numbers) > 1:
            mean = sum(numbers) / len(numbers)
            axis.plot([place - 0.25, place + 0.25], [mean, mean], c="black", lw=1.2)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
