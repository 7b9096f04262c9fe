"""Training curves of several models over each other: a validation score against generator steps and against time."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison import Variant
from medrestore.evaluation.reach import read_history, steps_of
from medrestore.evaluation.tables import heading

METRIC = "val/psnr"
# of Okabe and Ito, which colour-blind readers can tell apart
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#bbbbbb"
_NAME = 66  # letters of a name beside its curve


class Curve(NamedTuple):
    """One training: x is rising, `y` the score there."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


class Band(NamedTuple):
    """A model's trainings: mean, lowest and highest of its seeds where all of them were validated.

    Attributes:
        name: of the model.
        x: where any of its trainings was validated, within the part that all of them have.
        mean: of the seeds, each interpolated linearly between its own validations.
        low: the lowest of them.
        high: the highest.
        seeds: how many trainings.
        measured: whether all trainings were validated at the same x, so that no point is interpolated.
    """

    name: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: int
    measured: bool


def curve_section(variants: Sequence[Variant], metric: str = METRIC) -> Section | None:
    """The curves as one picture; None where no training was validated by this score."""
    steps, minutes = {}, {}
    for variant in variants:
        histories = [_history(run.directory) for run in variant.runs.values()]
        by_steps = [curve for rows in histories if (curve := _curve(rows, metric, None)) is not None]
        by_time = [curve for rows in histories if (curve := _curve(rows, metric, "seconds")) is not None]
        if by_steps:
            steps[variant.name] = band(variant.name, by_steps)
        if by_time:
            minutes[variant.name] = band(variant.name, by_time)
    drawn = [found for found in steps.values() if len(found.x)]
    if not drawn:
        return None
    ranked = sorted(drawn, key=lambda found: -found.mean[-1])
    colours = {found.name: colour for found, colour in zip(ranked, _COLOURS, strict=False)}
    panels = {"updates of the generator": drawn}
    timed = [found for found in minutes.values() if len(found.x)]
    if timed:
        panels["minutes of training"] = timed
    label = heading(metric.removeprefix("val/"))
    picture = _drawn(panels, colours, label)
    lines = [
        f"{label.rpartition(' ')[0]} of whole validation images. A line is a model, the mean of its seeds; the band "
        "goes from its lowest to its highest seed. Minutes are those of the machine each ran on."
    ]
    if len(drawn) > len(colours):
        lines.append(f"In colour the {len(colours)} that end highest; the other {len(drawn) - len(colours)} in grey.")
    return Section("Training curves", lines, pictures=[(picture, "training curves of all models", "")])


def band(name: str, curves: Sequence[Curve]) -> Band:
    """Mean, lowest and highest of some curves, at every x of any of them that lies within all of them."""
    first, last = max(curve.x[0] for curve in curves), min(curve.x[-1] for curve in curves)
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    x = x[(x >= first) & (x <= last)]
    values = np.stack([np.interp(x, curve.x, curve.y) for curve in curves])
    measured = all(np.isin(x, curve.x).all() for curve in curves)
    return Band(name, x, values.mean(0), values.min(0), values.max(0), len(curves), measured)


def _curve(rows: Sequence[Mapping[str, float]], metric: str, time: str | None) -> Curve | None:
    points: dict[float, float] = {}
    for row in rows:
        if math.isfinite(row.get(metric, math.nan)) and (time is None or time in row):
            points[float(steps_of(row)) if time is None else row[time] / 60] = row[metric]
    if not points:
        return None
    x = sorted(points)
    return Curve(np.array(x), np.array([points[at] for at in x]))


def _history(directory: Path) -> list[dict[str, float]]:
    try:
        return read_history(directory / "metrics.csv")
    except MedrestoreError:
        return []


def _drawn(panels: Mapping[str, Sequence[Band]], colours: Mapping[str, str], label: str) -> bytes:
    """PNG with a panel an x-axis; the legend stands below, best first, with what each model ended at."""
    shown = next(iter(panels.values()))
    entries = len(colours) + (len(shown) > len(colours))
    below = 0.24 * math.ceil(entries / 2) + 0.15  # inches
    figure = Figure(figsize=(5.2 * max(2, len(panels)), 3.6 + below), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    lines = {}
    for axes, (across, bands) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for found in sorted(bands, key=lambda band: band.name in colours):  # grey lies below
            colour = colours.get(found.name)
            marker = "o" if found.measured and len(found.x) <= 30 and colour is not None else ""
            (line,) = axes.plot(
                found.x,
                found.mean,
                color=colour or _GREY,
                linewidth=1.6 if colour else 0.8,
                marker=marker,
                markersize=2.5,
            )
            if found.seeds > 1 and colour is not None:
                axes.fill_between(found.x, found.low, found.high, color=colour, alpha=0.18, linewidth=0)
            lines.setdefault(found.name, line)
        axes.set_xlabel(across, fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.ticklabel_format(axis="both", useOffset=False)
    ends = {found.name: f"{_short(found.name)}: {found.mean[-1]:.2f}" for found in shown}
    handles, said = [lines[name] for name in colours], [ends[name] for name in colours]
    others = [lines[found.name] for found in shown if found.name not in colours]
    if others:
        handles.append(others[0])
        said.append(f"{len(others)} others")
    figure.legend(handles, said, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _short(name: str) -> str:
    half = _NAME // 2
    return name if len(name) <= _NAME else f"{name[:half]}…{name[-half + 1 :]}"
