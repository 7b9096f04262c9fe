"""Radial power spectra of every row and of the truth: what an enlargement lacks, and what a network invents."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import SHARP, Context, Finding, Section, Table
from medrestore.evaluation.case_kinds import mask_of
from medrestore.evaluation.scoring import input_nyquist, valid_alone
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.metrics import NYQUIST, radial_power, ring_distance, ring_edges

_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00")
_STYLES = ("-", "--", ":", "-.")


class RadialSpectra:
    """Mean power of 32 rings of frequencies, and each row's distance from the truth's in dB.

    Scores are `radial_spectra/distance_all` and, where the scale changes, `radial_spectra/distance_above`: the rings
    above the input's Nyquist frequency alone. The table also says with its sign what each band lacks (negative) or has
    too much of; the plot shows the mean spectra.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._power: dict[str, list[Tensor]] = {}
        self._above = 0.0

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context, self._power, self._above = context, {}, 0.0

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Distances of one case with truth; outside its mask every row is the truth."""
        if case.target is None:
            return []
        target = case.target[None]
        truth = radial_power(target)
        self._above = input_nyquist(case)
        self._power.setdefault(SHARP, []).append(truth[0])
        scores: list[Score] = []
        for name, image in images.items():
            power = radial_power(valid_alone(image[None], target, mask_of(case, image)))
            self._power.setdefault(name, []).append(power[0])
            found = {"distance_all": ring_distance(power, truth)}
            if self._above:
                found["distance_above"] = ring_distance(power, truth, self._above)
            scores += [
                Score(name, case.key, case.group, f"radial_spectra/{metric}", float(value))
                for metric, value in found.items()
            ]
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The table, the plot, and where the shown row's power goes; None without a case with truth."""
        context = self._context
        if context is None or not self._power:
            return None
        own = [score for score in scores if score.metric.startswith("radial_spectra/")]
        found = {(row.method, row.metric): row for row in summarise(own, context.kinds, context.reference)}
        power = {name: torch.stack(rings).nanmean(dim=0) for name, rings in self._power.items()}
        bands = bands_from(self._above)
        excess = {name: _by_band(rings - power[SHARP], bands) for name, rings in power.items() if name != SHARP}
        metrics = [metric for metric in ("distance_all", "distance_above") if self._above or metric == "distance_all"]
        names = [name for name in context.kinds if name in excess]
        rows = [
            [
                name,
                *(_cell(found.get((name, f"radial_spectra/{metric}"))) for metric in metrics),
                *excess[name].values(),
            ]
            for name in names
        ]
        heads = {"distance_all": "distance, all frequencies (dB)", "distance_above": "above the input's Nyquist (dB)"}
        table = Table(
            "Distance from the truth's spectrum: mean [95 % interval over groups]; then power minus the truth's in dB, "
            "by band in cycles a pixel",
            ["row", *(heads[metric] for metric in metrics), *bands],
            rows,
        )
        images = len(self._power[SHARP])
        lines = [
            *self._told(excess, bands),
            "Power in rings of 1/64 cycle a pixel, Hann window, with that of rounding to eight bits as the floor; mean "
            "over images in dB. Blind to phase: right power in the wrong place counts as right.",
        ]
        plot = draw_spectra(power, context.kinds, self._above)
        picture = (plot, "radial power spectra of all rows and of the truth", f"mean of {images} images")
        return Finding(Section("Radial power spectra", lines, [table], [picture], spoken=len(lines) - 1))

    def _told(self, excess: Mapping[str, Mapping[str, str]], bands: Mapping[str, tuple[float, float]]) -> list[str]:
        """The highest band of the shown row and of the reference."""
        assert self._context is not None
        last = list(bands)[-1]
        names = dict.fromkeys((self._context.shown, self._context.reference))
        parts = [f"'{name}' {excess[name][last]}" for name in names if name in excess]
        return [f"power at {last} cycles a pixel, minus the truth's, in dB: {', '.join(parts)}."] if parts else []


def bands_from(above: float) -> dict[str, tuple[float, float]]:
    """What the input can hold, then octaves up to half a cycle a pixel, by name; 0 has octaves from an eighth on."""
    edges = [0.0, above or NYQUIST / 4]
    while edges[-1] < NYQUIST - 1e-9:
        edges.append(min(2 * edges[-1], NYQUIST))
    return {f"{low:.3g} to {high:.3g}": (low, high) for low, high in pairwise(edges)}


def _by_band(difference: Tensor, bands: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Signed means over the rings whose middle lies in each band."""
    edges = ring_edges()
    middle = (edges[:-1] + edges[1:]) / 2
    means = {
        name: float(difference[(middle >= low) & (middle < high)].nanmean()) for name, (low, high) in bands.items()
    }
    return {name: "-" if mean != mean else f"{mean:+.1f}" for name, mean in means.items()}


def draw_spectra(power: Mapping[str, Tensor], kinds: Mapping[str, str], above: float) -> bytes:
    """Curves of power over frequency, the truth in black; a dashed line at the input's Nyquist frequency.

    Args:
        power: `(32,)` in dB by row; the truth is the row `sharp`.
        kinds: kind of every row, which its colour follows.
        above: that frequency; 0 draws none.

    Returns:
        PNG.
    """
    edges = ring_edges()
    middle = ((edges[:-1] + edges[1:]) / 2).numpy()
    figure = Figure(figsize=(8.6, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if above:
        axes.axvline(above, color="#777777", linewidth=1, linestyle="--")
        axes.annotate(
            "input's Nyquist", (above, 1), xycoords=("data", "axes fraction"), fontsize=8, va="top", ha="left"
        )
    axes.plot(middle, power[SHARP].numpy(), color="black", linewidth=2.2, label="truth")
    counts = {"learned": 0, "other": 0}
    for name, rings in power.items():
        if name == SHARP:
            continue
        kind = "learned" if kinds.get(name) == "learned" else "other"
        number = counts[kind]
        counts[kind] += 1
        colour = "#D55E00" if kind == "learned" else _COLOURS[number % len(_COLOURS)]
        style = _STYLES[number % len(_STYLES)] if kind == "learned" else "-"
        axes.plot(middle, rings.numpy(), color=colour, linestyle=style, linewidth=1.4, label=name)
    axes.set_xlim(0, NYQUIST)
    axes.set_xlabel("frequency (cycles a pixel)", fontsize=9)
    axes.set_ylabel("power (dB)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    for text in axes.legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _cell(row: Summary | None) -> str:
    if row is None or row.mean is None:
        return "not available"
    bounds = "" if row.low is None or row.high is None else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.mean:.2f}{bounds}"
