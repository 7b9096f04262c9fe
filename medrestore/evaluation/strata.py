"""All scores by how strong the blur was: three parts of the images with as many in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.evaluation.tables import heading

NAMES = ("weak", "middle", "strong")
METRICS = ("psnr", "ssim", "lpips", "lpips_random", "fourier_error", "segments/iou")


class Stratum(NamedTuple):
    """A third of the images.

    Attributes:
        name: `weak`, `middle` or `strong`.
        low: weakest blur in it, pixels.
        high: strongest blur in it, pixels.
        keys: its images.
        groups: how many patients or scenes they come from.
    """

    name: str
    low: float
    high: float
    keys: frozenset[str]
    groups: int


class BlurStrata:
    """Means of every full-reference score, and of the segmenter's agreement, in each third of the blur strengths.

    The strength of a blur is the root mean square radius of its kernel in pixels, as the degradation describes it.
    Images of equal strength stay together, so the thirds may differ in size.

    Args:
        metrics: which scores, as they are named in `scores.csv`; those that were not taken are passed over.
        strength: entry of the case's description that orders the images.
    """

    def __init__(self, metrics: Sequence[str] = METRICS, strength: str = "rms_radius") -> None:
        self.metrics = tuple(metrics)
        self.strength = strength
        self._context: Context | None = None
        self._seen: dict[str, tuple[float, str]] = {}

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._seen = {}

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Note the strength of the blur; no score of its own."""
        found = case.description.get(self.strength)
        if case.target is not None and isinstance(found, int | float) and math.isfinite(found):
            self._seen[case.key] = float(found), case.group
        return []

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """Tables of rows x thirds, one a metric; one line where the blur does not differ, None where none is known."""
        context = self._context
        if context is None:
            raise RuntimeError("begin(context) comes before the first case")
        if not self._seen:
            return None
        strata = thirds(self._seen)
        if len(strata) < len(NAMES):
            text = f"not available: {len(self._seen)} images with too few different blur strengths to make three parts"
            return Finding(Section("by strength of the blur", [text], spoken=1))
        ours = [score for score in scores if score.method in context.kinds]
        metrics = [metric for metric in self.metrics if any(score.metric == metric for score in ours)]
        summaries: dict[tuple[str, str, str], Summary] = {}
        for stratum in strata:
            part = [score for score in ours if score.metric in metrics and score.key in stratum.keys]
            for row in summarise(part, context.kinds, context.reference):
                summaries[stratum.name, row.metric, row.method] = row
        tables = [self._table(metric, strata, summaries, context) for metric in metrics]
        lines = [*self._gain(metrics[:1], strata, summaries, context), self._bounds(strata)]
        named = [
            row._replace(metric=f"strata/{name}/{metric}") for (name, metric, _), row in summaries.items()
        ]  # fmt: skip
        return Finding(Section("by strength of the blur", lines, tables, spoken=min(1, len(lines) - 1)), named)

    def _bounds(self, strata: Sequence[Stratum]) -> str:
        parts = [
            f"{part.name} {part.low:.2f} to {part.high:.2f} px ({len(part.keys)} images, {part.groups} groups)"
            for part in strata
        ]
        return f"Strength is the kernel's root mean square radius: {'; '.join(parts)}."

    def _table(
        self,
        metric: str,
        strata: Sequence[Stratum],
        summaries: Mapping[tuple[str, str, str], Summary],
        context: Context,
    ) -> Table:
        rows = []
        for method in context.kinds:
            found = [summaries.get((part.name, metric, method)) for part in strata]
            if any(found):
                rows.append([method, *map(_cell, found)])
        heads = [f"{part.name}, {part.low:.2f} to {part.high:.2f} px" for part in strata]
        caption = f"{heading(metric)} by strength of the blur: mean [95 % interval over groups], difference to the "
        return Table(f"{caption}reference row", ["row", *heads], rows)

    def _gain(
        self,
        metrics: Sequence[str],
        strata: Sequence[Stratum],
        summaries: Mapping[tuple[str, str, str], Summary],
        context: Context,
    ) -> list[str]:
        """What the shown row changes in each third, in the first metric."""
        if context.shown == context.reference or not metrics:
            return []
        parts = []
        for part in strata:
            row = summaries.get((part.name, metrics[0], context.shown))
            if row is None or row.difference is None:
                return []
            parts.append(f"{part.name} blur {row.difference:+.2f}")
        return [f"'{context.shown}' against '{context.reference}', {heading(metrics[0])}: {', '.join(parts)}."]


def thirds(seen: Mapping[str, tuple[float, str]]) -> list[Stratum]:
    """Cut images into three by their strength.

    Args:
        seen: strength and group by key.

    Returns:
        The parts that are not empty, weakest first; equal strengths are never parted.
    """
    values = np.array([strength for strength, _ in seen.values()])
    edges = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf")  # strengths that occur
    place = np.searchsorted(edges, values, side="left")  # the edge itself belongs to the weaker part
    strata = []
    for number, name in enumerate(NAMES):
        keys = [key for key, found in zip(seen, place, strict=True) if found == number]
        if keys:
            strengths = [seen[key][0] for key in keys]
            groups = len({seen[key][1] for key in keys})
            strata.append(Stratum(name, min(strengths), max(strengths), frozenset(keys), groups))
    return strata


def _cell(row: Summary | None) -> str:
    if row is None or row.mean is None:
        return "not available"
    digits = 2 if abs(row.mean) >= 10 else 4
    between = "[interval not available]"
    if row.low is not None and row.high is not None:
        between = f"[{row.low:.{digits}f}, {row.high:.{digits}f}]"
    change = "" if row.difference is None else f", {row.difference:+.{digits}f}"
    return f"{row.mean:.{digits}f} {between}{change}"
