"""PIQE in words and tables: bands, steps between them, differences, always with the scale they belong to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from medrestore.evaluation.assessment import Table
from medrestore.evaluation.statistics import MIN_GROUPS, Comparison, Score, Summary, compare
from medrestore.metrics import PIQE_BANDS, piqe_band

METRIC = "natural/piqe"
SCALE = "natural-image scale"  # never print a band without these words


def band_text(score: float) -> str:
    """A band in words: "Poor" (natural-image scale)."""
    return f'"{piqe_band(score)}" ({SCALE})'


def difference_text(compared: Comparison) -> str:
    """A paired difference with its interval, or why there is none."""
    if compared.difference is None:
        return "not available"
    if compared.low is None or compared.high is None:
        return f"{compared.difference:+.2f} (interval not available: fewer than {MIN_GROUPS} groups)"
    return f"{compared.difference:+.2f} (95 % interval {compared.low:+.2f} to {compared.high:+.2f})"


def score_table(rows: Sequence[Summary], scores: Sequence[Score], reference: str) -> Table:
    """Every row: mean, SD, interval, difference to the reference row, band of the mean."""
    lines = []
    for row in rows:
        change = "reference row"
        if row.method != reference:
            change = difference_text(compare(scores, row.method, reference, METRIC))
        bounds = "not available" if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}"
        mean, sd = (("not available" if value is None else f"{value:.2f}") for value in (row.mean, row.sd))
        band = "not available" if row.mean is None else piqe_band(row.mean)
        lines.append((row.method, row.kind, mean, sd, bounds, change, band, str(row.n)))
    header = (
        "method",
        "kind",
        "mean",
        "SD",
        "95 % interval",
        f"difference to {reference}",
        f"band of the mean ({SCALE})",
    )
    return Table("PIQE of images without truth, lower is better", (*header, "images"), lines)


def pairs_of(scores: Sequence[Score], before: str, after: str) -> list[tuple[float, float]]:
    """PIQE of two rows, image by image, where both have one."""
    values = {(score.method, score.key): score.value for score in scores if math.isfinite(score.value)}
    keys = [key for method, key in values if method == before and (after, key) in values]
    return [(values[before, key], values[after, key]) for key in keys]


def steps_between(before: float, after: float) -> int:
    """Bands from one score to another, better is positive."""
    return PIQE_BANDS.index(piqe_band(before)) - PIQE_BANDS.index(piqe_band(after))


def step_text(steps: int) -> str:
    """Steps between bands in words: "2 steps better", "1 step WORSE", "no step"."""
    if steps == 0:
        return "no step"
    return f"{abs(steps)} {'step' if abs(steps) == 1 else 'steps'} {'better' if steps > 0 else 'WORSE'}"


def step_table(pairs: Mapping[str, Sequence[tuple[float, float]]]) -> Table:
    """How many images move how many bands, a column for each row whose `pairs_of` are given."""
    counts = {name: Counter(steps_between(*pair) for pair in found) for name, found in pairs.items()}
    seen = sorted({steps for count in counts.values() for steps in count}, reverse=True)
    rows = [(step_text(steps), *(str(count[steps]) for count in counts.values())) for steps in seen]
    return Table(f"Images by steps moved between the bands ({SCALE})", ("steps", *counts), rows)


def steps_said(pairs: Sequence[tuple[float, float]], name: str) -> str:
    """The same in a sentence."""
    moved = [steps_between(*pair) for pair in pairs]
    better, worse = sum(steps > 0 for steps in moved), sum(steps < 0 for steps in moved)
    return (
        f"Of {len(moved)} images, '{name}' moves {better} to a better band, {worse} to a worse one and "
        f"{len(moved) - better - worse} to none ({SCALE})."
    )


def transition_table(pairs: Sequence[tuple[float, float]], before: str, after: str) -> Table:
    """How many images come from which band into which."""
    counts = Counter((piqe_band(first), piqe_band(second)) for first, second in pairs)
    rows = [(first, *(str(counts[first, second]) for second in PIQE_BANDS)) for first in PIQE_BANDS]
    return Table(
        f"Images by band of '{before}' (rows) and of '{after}' (columns), {SCALE}", ("before", *PIQE_BANDS), rows
    )
