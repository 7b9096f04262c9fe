"""The score table on disk, on the screen and in plain words."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medrestore.errors import MedrestoreError
from medrestore.evaluation.statistics import MIN_GROUPS, Comparison, Score, Summary, compare, p_text

LOWER_IS_BETTER = frozenset(
    {
        *("lpips", "lpips_random", "piqe", "niqe", "fitted_niqe", "brisque", "fourier_error"),
        *("ciede2000", "ciede2000_input", "ciede2000_synthetic", "broken", "invented", "spectral_distance", "levels"),
        *("distance_all", "distance_above"),
    }
)
UNITS = {"psnr": " dB", "spectral_distance": " dB"}
_NAMES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "lpips_random": "LPIPS (random)",
    "piqe": "PIQE",
    "niqe": "NIQE",
    "brisque": "BRISQUE",
    "fourier_error": "Fourier error",
    "fitted_niqe": "NIQE (fitted)",
    "spectral_distance": "spectral distance (dB)",
    "distance_all": "distance (dB)",
    "distance_above": "distance above the input's Nyquist (dB)",
    "levels": "mean error (levels of 255)",
    "entropy": "entropy (bits)",
    "ciede2000": "CIEDE2000",
    "ciede2000_input": "CIEDE2000 to the input",
    "ciede2000_synthetic": "CIEDE2000 (synthetic)",
    "dice": "Dice",
    "auc": "AUC",
    "cldice": "clDice",
    "iou": "IoU",
}
_WAYS = {"frangi": "Frangi", "matched": "matched filter"}  # of finding vessels, before a score's name
_WIDTH = 120  # of a table that goes into a file or a pipe
_ALPHA = 0.05


class Cell(NamedTuple):
    """One method under one metric, as text: `value` "33.12 ± 2.76", `interval` "[32.1, 34.0]", `change` "+4.83"."""

    value: str
    interval: str
    change: str


class Row(NamedTuple):
    """One line of a printed table; `cells` by metric, an empty cell where the method has no such score."""

    method: str
    kind: str
    cells: Mapping[str, Cell]


# --- files -------------------------------------------------------------------


def save_text(path: Path, text: str) -> Path:
    """Write UTF-8 text so that `path` holds either what it held before or all of it; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        # a file name need not be valid UTF-8: what cannot be encoded is written as an escape
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_scores(path: Path, scores: Sequence[Score]) -> Path:
    """Write `scores.csv` in the order given; every value can be read back exactly."""
    return save_text(path, _csv_text(Score._fields, scores))


def write_summary(path: Path, summaries: Sequence[Summary]) -> Path:
    """Write `summary.csv` in the order given; what is not available is an empty field."""
    return save_text(path, _csv_text(Summary._fields, summaries))


def read_scores(path: Path) -> list[Score]:
    """Read `scores.csv` as written by `write_scores`.

    Raises:
        MedrestoreError: when the file is missing, lacks a column or holds something that is no number.
    """
    rows = _csv_rows(path, Score._fields)
    return [
        Score(row["method"], row["key"], row["group"], row["metric"], _number(path, line, row["value"]))
        for line, row in enumerate(rows, start=2)
    ]


def read_summary(path: Path) -> list[Summary]:
    """Read `summary.csv` as written by `write_summary`.

    Raises:
        MedrestoreError: when the file is missing, lacks a column or holds something that is no number.
    """
    summaries = []
    for line, row in enumerate(_csv_rows(path, Summary._fields), start=2):
        numbers = {name: _number(path, line, row[name]) if row[name] else None for name in Summary._fields[3:]}
        counts = {name: int(numbers.pop(name) or 0) for name in ("n", "n_left_out")}
        summaries.append(Summary(row["method"], row["kind"], row["metric"], **numbers, **counts))
    return summaries


def _csv_text(fields: Sequence[str], rows: Sequence[tuple]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow([repr(float(value)) if isinstance(value, float) else value for value in row])
    return text.getvalue()


def _csv_rows(path: Path, fields: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise MedrestoreError(f"There is no table '{path}': evaluate the run first")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in fields if name not in (reader.fieldnames or [])]
        if missing:
            raise MedrestoreError(f"'{path}' lacks the columns {missing}: it has {reader.fieldnames}")
        return list(reader)


def _number(path: Path, line: int, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise MedrestoreError(f"'{path}', line {line}: '{text}' is not a number; evaluate the run again") from None


def conditions_hash(conditions: Mapping) -> str:
    """SHA-256 (64 hex digits) of the conditions as canonical JSON, whatever the order of their keys."""
    content = {name: value for name, value in conditions.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_conditions(path: Path, conditions: Mapping) -> str:
    """Write `conditions.json`: what the scores depend on (keys, degradation, window, metric settings) and its hash."""
    digest = conditions_hash(conditions)
    content = {**conditions, "hash": digest}
    save_text(path, json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return digest


def read_conditions(path: Path) -> dict:
    """Read `conditions.json` and check its hash.

    Raises:
        MedrestoreError: when the file is missing, is no JSON, or was changed after it was written.
    """
    try:
        conditions = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MedrestoreError(f"There is no '{path}': evaluate the run first") from None
    except ValueError:
        raise MedrestoreError(f"'{path}' cannot be read as JSON: evaluate the run again") from None
    if not isinstance(conditions, dict) or conditions.get("hash") != conditions_hash(conditions):
        raise MedrestoreError(f"'{path}' does not match its own hash, it was changed: evaluate the run again")
    return conditions


# --- print -------------------------------------------------------------------


def heading(metric: str) -> str:
    """A metric's name in a table, with an arrow that points to better."""
    part, _, last = metric.rpartition("/")
    way, _, rest = last.partition("_")
    if way in _WAYS:
        part, last = f"{part}, {_WAYS[way]}", rest
    name = _NAMES.get(last, last)
    return f"{f'{part}: {name}' if part else name} {'↓' if last in LOWER_IS_BETTER else '↑'}"


def layout(summaries: Sequence[Summary]) -> tuple[list[str], list[Row]]:
    """The metrics and the rows of a table, in the order of the summaries."""
    metrics = list(dict.fromkeys(summary.metric for summary in summaries))
    digits = {metric: _digits(metric, summaries) for metric in metrics}
    kinds = {summary.method: summary.kind for summary in summaries}
    cells = {(summary.method, summary.metric): _cell(summary, digits[summary.metric]) for summary in summaries}
    empty = Cell("", "", "")
    return metrics, [
        Row(method, kind, {metric: cells.get((method, metric), empty) for metric in metrics})
        for method, kind in kinds.items()
    ]


def notes(summaries: Sequence[Summary]) -> list[str]:
    """What a reader must know to read the table: how the numbers were made, what was left out, which row is special."""
    counts = sorted({summary.n + summary.n_left_out for summary in summaries})
    images = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "no"
    lines = [
        f"{images} images. Mean ± standard deviation over images [95 % interval of the mean, bootstrap over groups]. "
        "Then the mean paired difference to the reference row and p of a two-sided Wilcoxon signed-rank test on group "
        "means, not corrected for the number of rows."
    ]
    if any(summary.n and summary.low is None for summary in summaries):
        lines.append(f"No interval and no p where there are fewer than {MIN_GROUPS} groups.")
    for summary in summaries:
        if summary.n_left_out:
            lines.append(f"{summary.method}: {summary.n_left_out} infinite or missing {summary.metric} left out.")
    oracles = dict.fromkeys(summary.method for summary in summaries if summary.kind == "oracle")
    if oracles:
        lines.append(f"Oracle ({', '.join(oracles)}): is given the true blur, which nobody has for a new image.")
    return lines


def print_table(
    summaries: Sequence[Summary], title: str, footnotes: Sequence[str] = (), file: IO[str] | None = None
) -> None:
    """Print the table with rich; metrics that do not fit side by side go into a table below.

    Args:
        summaries: rows in the order to print.
        title: heading of the table.
        footnotes: lines below it, after those that explain the numbers.
        file: where to; None is the screen. Anything but a terminal gets plain text 120 columns wide.
    """
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=file, markup=False, highlight=False, emoji=False, width=_WIDTH, color_system=None)
    metrics, rows = layout(summaries)
    labels = [f"{row.method}\n{row.kind}" for row in rows]
    room = console.width - 3 - max((_width(label) for label in labels), default=0)
    for part in _side_by_side(metrics, rows, room):
        table = Table(title=Text(title), box=box.SIMPLE_HEAD, show_edge=False, title_justify="left", leading=0)
        table.add_column("method", no_wrap=True)
        for metric in part:
            table.add_column(heading(metric), no_wrap=True)
        for row, label in zip(rows, labels, strict=True):
            style = {"learned": "bold", "reference": "italic"}.get(row.kind, "")
            table.add_row(Text(label), *(Text(_cell_text(row.cells[metric])) for metric in part), style=style)
        console.print(table)
        console.print()
    for line in (*notes(summaries), *footnotes):
        console.print(Text(line))


def markdown_table(summaries: Sequence[Summary]) -> str:
    """The table in GitHub's Markdown, one line a method."""
    metrics, rows = layout(summaries)
    lines = [["method", "kind", *(heading(metric) for metric in metrics)], ["---"] * (2 + len(metrics))]
    for row in rows:
        cells = [_cell_text(row.cells[metric]).replace("\n", ", ") for metric in metrics]
        lines.append([row.method, row.kind, *cells])
    escaped = [[text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def _digits(metric: str, summaries: Sequence[Summary]) -> int:
    sizes = [abs(row.mean) for row in summaries if row.metric == metric and row.mean is not None]
    return 2 if metric in UNITS or max(sizes, default=0.0) >= 10 else 4


def _cell(summary: Summary, digits: int) -> Cell:
    if summary.mean is None:
        return Cell("not available", "", "")
    value = f"{summary.mean:.{digits}f}"
    if summary.sd is not None:
        value += f" ± {summary.sd:.{digits}f}"
    interval = ""
    if summary.low is not None and summary.high is not None:
        interval = f"[{summary.low:.{digits}f}, {summary.high:.{digits}f}]"
    change = "reference row" if summary.kind == "reference" else ""
    if summary.difference is not None:
        change = f"{summary.difference:+.{digits}f}"
        if summary.p_value is not None:
            change += f", {p_text(summary.p_value)}"
    return Cell(value, interval, change)


def _cell_text(cell: Cell) -> str:
    value = f"{cell.value} {cell.interval}".rstrip()
    return f"{value}\n{cell.change}" if cell.change else value


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _side_by_side(metrics: Sequence[str], rows: Sequence[Row], room: int) -> list[list[str]]:
    """Cut the list of metrics so that each part fits into `room` columns; at least one metric a part."""
    parts: list[list[str]] = []
    left = 0
    for metric in metrics:
        width = 2 + max(len(heading(metric)), *(_width(_cell_text(row.cells[metric])) for row in rows))
        if not parts or width > left:
            parts.append([])
            left = room
        parts[-1].append(metric)
        left -= width
    return parts


# --- plain words -------------------------------------------------------------


def verdict(
    summaries: Sequence[Summary],
    scores: Sequence[Score],
    *,
    reference: str,
    learned: str = "restored",
    metric: str = "psnr",
    rival: str | None = None,
) -> list[str]:
    """Say in plain sentences whether the learned row helps.

    It is held against the reference row and against the best row of kind "classical" on these images, or the one that
    was the best on validation images; oracle rows are named but take no part, because they are given what nobody knows.

    Args:
        summaries: the table.
        scores: what it was made from; both comparisons are paired, with an interval over groups.
        reference: the row that stands for doing nothing.
        learned: the trained row.
        metric: the metric to judge by.
        rival: the best row on validation images; None where none was chosen there.

    Returns:
        One sentence or a few an entry, to be printed one below the other.
    """
    rows = {row.method: row for row in summaries if row.metric == metric and row.mean is not None}
    label = _NAMES.get(metric, metric).removesuffix(" (dB)")
    if learned not in rows or reference not in rows:
        absent = learned if learned not in rows else reference
        return [f"No verdict: there is no {label} of '{absent}' on these images (no truth to compare with?)."]
    others = {reference: f"the reference row '{reference}'"}
    classical = [row for row in rows.values() if row.kind == "classical" and row.method != reference]
    if rival in rows:
        others[rival] = f"the {'reference ' if rival == reference else ''}row '{rival}', the best on validation,"
    elif classical:
        best = (min if metric in LOWER_IS_BETTER else max)(classical, key=_mean).method
        others[best] = f"the best classical row '{best}'"
    lines = []
    for other, name in others.items():
        lines.append(_sentence(rows[learned], rows[other], name, compare(scores, learned, other, metric)))
    if not classical:
        lines.append("There is no classical row to compare with.")
    oracles = [f"'{row.method}' ({_amount(_mean(row), metric)})" for row in rows.values() if row.kind == "oracle"]
    if oracles:
        lines.append(f"Not compared with {', '.join(oracles)}: an oracle is given the true blur.")
    if rows[learned].low is None:
        lines.append(
            f"Fewer than {MIN_GROUPS} groups (patients or scenes): no interval and no test. "
            "The figures describe these images and support no claim about others."
        )
    return lines


def _mean(row: Summary) -> float:
    return float("nan") if row.mean is None else row.mean


def _amount(value: float, metric: str) -> str:
    return f"{value:.{2 if metric in UNITS or abs(value) >= 10 else 4}f}{UNITS.get(metric, '')}"


def _sentence(row: Summary, other: Summary, name: str, compared: Comparison) -> str:
    metric, difference = row.metric, compared.difference
    if difference is None:
        return f"'{row.method}' and {name} have no image in common."
    gain = -difference if metric in LOWER_IS_BETTER else difference
    if _amount(abs(difference), metric) == _amount(0.0, metric):  # a tie to the digits that are printed
        gain = 0.0
    word = "better than" if gain > 0 else "WORSE than" if gain < 0 else "no different from"
    label = _NAMES.get(metric, metric).removesuffix(" (dB)")
    figures = f"{label} {_amount(_mean(row), metric)} against {_amount(_mean(other), metric)}"
    text = f"'{row.method}' is {word} {name} by {_amount(abs(difference), metric)} ({figures})."
    if gain < 0:
        reason = "leaving the images as they are" if other.method == "identity" else "a method that learns nothing"
        text += f" Do not use this model: {reason} does better."
    return f"{text} {_support(compared, metric)}".rstrip()


def _support(compared: Comparison, metric: str) -> str:
    """How far the data carry the difference; empty where there is no test."""
    low, high, p_value = compared.low, compared.high, compared.p_value
    if p_value is None or low is None or high is None:
        return ""
    interval = f"95 % interval of the difference {_amount(low, metric)} to {_amount(high, metric)}"
    evidence = f"{p_text(p_value)}, {interval}"
    if p_value < _ALPHA and (low > 0 or high < 0):
        return f"The data support the difference ({evidence})."
    least = 2.0 ** (1 - compared.groups)  # every group on the same side
    if least >= _ALPHA:
        evidence += f"; with {compared.groups} groups p cannot fall below {least:.3f}"
    return f"The data do not support a difference ({evidence})."
