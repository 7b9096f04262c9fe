"""No-reference scores in tables and in words, with what they cannot tell beside every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medrestore.evaluation.assessment import Table
from medrestore.evaluation.natural_tables import difference_text
from medrestore.evaluation.noise_control import NOISE_CONTROL
from medrestore.evaluation.statistics import Score, Summary, compare

BRISQUE, NIQE, FITTED = "no_reference/brisque", "no_reference/niqe", "no_reference/fitted_niqe"
ENTROPY, CHANGE = "no_reference/entropy", "no_reference/ciede2000_input"
SYNTHETIC = "no_reference/ciede2000_synthetic"
SHORT = {
    BRISQUE: "BRISQUE",
    NIQE: "NIQE",
    FITTED: "fitted NIQE",
    ENTROPY: "entropy",
    CHANGE: "colour change",
    SYNTHETIC: "colour difference to the truth",
}
_BETTER = {BRISQUE: -1, NIQE: -1, FITTED: -1, ENTROPY: 1}  # the sign of better; the paper calls more entropy better
_NONE = "not available"


def score_table(rows: Sequence[Summary], titles: Mapping[str, str], missing: Mapping[str, str]) -> Table:
    """One line a row: mean, interval and difference to the reference row of every score of images without truth.

    Args:
        rows: summaries.
        titles: heading of every column by metric, in their order.
        missing: what the cells of a metric without scores say.
    """
    found = {(row.method, row.metric): row for row in rows}
    counted = [metric for metric in titles if metric not in missing]
    lines = []
    for name, kind in {row.method: row.kind for row in rows}.items():
        cells = [missing.get(metric) or cell_text(found.get((name, metric))) for metric in titles]
        if any((name, metric) in found for metric in titles):
            images = max(row.n for (method, metric), row in found.items() if method == name and metric in counted)
            lines.append((name, kind, *cells, str(images)))
    caption = "Images without truth: mean [95 % interval over groups], difference to the reference row"
    return Table(caption, ("method", "kind", *titles.values(), "images"), lines)


def colour_table(rows: Sequence[Summary]) -> Table | None:
    """CIEDE2000 of every row to the truth of images with synthetic degradation; None without any."""
    ours = [row for row in rows if row.metric == SYNTHETIC]
    if not ours:
        return None
    lines = [(row.method, row.kind, cell_text(row), str(row.n)) for row in ours]
    caption = (
        "Colour difference to the truth of images degraded on purpose (real pairs are told of elsewhere): mean "
        "[95 % interval over groups], difference to the reference row"
    )
    return Table(caption, ("method", "kind", "CIEDE2000 ↓", "images"), lines)


def cell_text(row: Summary | None, digits: int = 2) -> str:
    """Mean, interval and difference to the reference row, as far as they are known."""
    if row is None or row.mean is None:
        return _NONE
    between = "" if row.low is None or row.high is None else f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    change = "" if row.difference is None else f", {row.difference:+.{digits}f}"
    left_out = f" ({row.n_left_out} left out)" if row.n_left_out else ""
    return f"{row.mean:.{digits}f}{between}{change}{left_out}"


def change_said(rows: Sequence[Summary], scores: Sequence[Score], shown: str, reference: str) -> str:
    """Every score of the shown row against the reference row, in a sentence; empty where there is none."""
    table = {(row.method, row.metric): row.mean for row in rows}
    parts = []
    for metric in _BETTER:
        before, after = table.get((reference, metric)), table.get((shown, metric))
        if before is not None and after is not None:
            gain = difference_text(compare(scores, shown, reference, metric))
            parts.append(f"{SHORT[metric]} {before:.2f} to {after:.2f}, {gain}")
    painted = table.get((shown, CHANGE))
    if painted is not None:
        parts.append(f"it changes colours by {painted:.2f} of CIEDE2000, of which about 1 is just visible")
    return f"'{reference}' to '{shown}': {'; '.join(parts)}." if parts else ""


def noise_said(scores: Sequence[Score], shown: str, reference: str, levels: float) -> list[str]:
    """What each score says of the input plus slight noise, and whether the shown row does better than that.

    Args:
        scores: of images without truth.
        shown: the row that claims are about; the reference row where there is none.
        reference: the input.
        levels: the noise's standard deviation in grey levels of 255.
    """
    lines, honest = [], []
    for metric, sign in _BETTER.items():
        gain = compare(scores, NOISE_CONTROL, reference, metric)
        if gain.difference is None:
            continue
        if sign * gain.difference <= 0:
            honest.append(f"{SHORT[metric]} {difference_text(gain)}")
            continue
        said = (
            f"{_capital(SHORT[metric])} rewards noise: the input plus slight Gaussian noise (SD {levels:.3g} of 255 "
            f"grey levels), which restores nothing, differs from the input by {difference_text(gain)}."
        )
        lines.append(said if shown == reference else f"{said} {_beyond_noise(scores, metric, sign, shown)}".rstrip())
    if honest:
        lines.append(f"The same noise (SD {levels:.3g} of 255) is no better than the input by {'; '.join(honest)}.")
    return lines


def _beyond_noise(scores: Sequence[Score], metric: str, sign: int, shown: str) -> str:
    beyond = compare(scores, shown, NOISE_CONTROL, metric)
    if beyond.difference is None:
        return ""
    ends = [sign * end for end in (beyond.low, beyond.high) if end is not None]
    if sign * beyond.difference <= 0:
        verdict = f"'{shown}' does no better than this noise: its {SHORT[metric]} is no evidence of a restoration"
    elif not ends or min(ends) <= 0:
        verdict = f"These images do not show that '{shown}' does better than this noise"
    else:
        verdict = f"'{shown}' does better than this noise; by detail or by invented texture, the score cannot tell"
    return f"{verdict} ('{shown}' minus noise control {difference_text(beyond)})."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
