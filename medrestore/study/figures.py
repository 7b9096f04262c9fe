"""Bars with intervals and violins of opinion scores, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medrestore.study.opinions import Opinion

WORDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
_COLOURS = {"truth": "#555555", "reference": "#999999", "classical": "#0072B2", "learned": "#D55E00"}


def bars(opinions: Mapping[str, Opinion], kinds: Mapping[str, str], paper: Mapping[str, float], mark: str) -> bytes:
    """Mean opinion of each row with its 95 % interval, a diamond where a paper gives a figure.

    Args:
        opinions: by row, in the order to draw.
        kinds: kind of each row.
        paper: the paper's figure by row of ours; may be empty.
        mark: a line above, such as that raters are simulated; may be empty.
    """
    figure, axes = _canvas(mark)
    places = np.arange(len(opinions))
    means = [entry.mean for entry in opinions.values()]
    colours = [_COLOURS.get(kinds[name], "#0072B2") for name in opinions]
    axes.bar(places, [mean - 1 for mean in means], bottom=1, width=0.62, color=colours, alpha=0.85)
    for place, entry in zip(places, opinions.values(), strict=True):
        if entry.low is not None and entry.high is not None:
            ends = [[entry.mean - entry.low], [entry.high - entry.mean]]
            axes.errorbar([place], [entry.mean], yerr=ends, color="black", capsize=5, linewidth=1.4)
        axes.text(place + 0.06, (entry.high or entry.mean) + 0.05, f"{entry.mean:.2f}", fontsize=9, va="bottom")
    beside = [(place, paper[name]) for place, name in zip(places, opinions, strict=True) if name in paper]
    if beside:
        axes.plot(*zip(*beside, strict=True), "D", color="#f0e442", markeredgecolor="black", label="paper S5")
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    _scale(axes, list(opinions))
    axes.set_ylabel("mean opinion, 95 % interval", fontsize=9)
    return _png(figure)


def violins(scores: Mapping[str, NDArray[np.float64]], kinds: Mapping[str, str], mark: str) -> bytes:
    """How the mean opinions of the scenes spread in each row: a violin, and every scene as a dot.

    Args:
        scores: `(scenes, raters)` by row.
        kinds: kind of each row.
        mark: a line above; may be empty.
    """
    figure, axes = _canvas(mark)
    for place, (name, values) in enumerate(scores.items()):
        means = values.mean(axis=1)
        colour = _COLOURS.get(kinds[name], "#0072B2")
        if len(means) > 1 and means.std() > 0:
            parts = axes.violinplot([means], [place], widths=0.75, showextrema=False)
            for body in parts["bodies"]:  # type: ignore[union-attr]
                body.set_facecolor(colour)
                body.set_alpha(0.3)
        spread = np.random.default_rng(place).uniform(-0.07, 0.07, len(means))
        axes.plot(place + spread, means, ".", color=colour, markersize=7, alpha=0.85)
        axes.plot([place - 0.2, place + 0.2], [np.median(means)] * 2, color="black", linewidth=1.4)
    _scale(axes, list(scores))
    axes.set_ylabel("mean opinion of each scene", fontsize=9)
    return _png(figure)


def _canvas(mark: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.4, 4.0), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if mark:
        axes.set_title(mark, fontsize=9, color="#b42318", fontweight="bold", parse_math=False)
    return figure, axes


def _scale(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(0.9, 5.35)
    axes.set_yticks(range(1, 6), [f"{word} {score}" for score, word in enumerate(WORDS, start=1)])
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    if len(names) > 5:
        axes.tick_params(axis="x", labelrotation=30)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
