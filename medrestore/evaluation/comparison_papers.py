"""Our rows beside the figures of a paper, and in words what differs in the conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Line, Variant
from medrestore.evaluation.comparison_text import digits, plain_name
from medrestore.evaluation.papers import CONDITIONS, Paper, PaperTable, our_conditions


def beside_paper(source: Paper, variants: Sequence[Variant], table: Sequence[Line], metrics: Sequence[str]) -> Section:
    """A paper's tables with our rows beside its own, then both conditions side by side."""
    tables = [_paper_table(source, entry, variants, table, metrics) for entry in source.tables]
    own = [v for v in variants if v.config["about"].get("paper") == source.name]
    said: dict[str, dict[str, list[str]]] = {}
    for variant in own:
        run = next(iter(variant.runs.values()))
        for key, value in our_conditions(run.config, run.conditions, run.counts).items():
            said.setdefault(key, {}).setdefault(value, []).append(variant.name)
    rows = [[key, _joined(said[key]), source.conditions[key]] for key in CONDITIONS]
    tables.append(Table("What differs in the conditions", ["", "these runs", "the paper"], rows))
    text = [
        f"{source.title} ({source.authors}).",
        "The figures stand side by side for orientation, they cannot be subtracted: other images and other trainings. "
        "The papers' ± is over images; ours here are means alone.",
        *source.remarks,
    ]
    return Section(f"Beside the figures of paper {source.name}", text, tables)


def _joined(values: Mapping[str, Sequence[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{', '.join(rows)}: {value}" for value, rows in values.items())


def _paper_table(
    source: Paper, entry: PaperTable, variants: Sequence[Variant], table: Sequence[Line], metrics: Sequence[str]
) -> Table:
    columns = list(dict.fromkeys(figure.metric for figure in entry.figures))
    rows = []
    for name in dict.fromkeys(figure.row for figure in entry.figures):
        figures = {figure.metric: figure for figure in entry.figures if figure.row == name}
        candidates = _candidates(next(iter(figures.values())).beside, source, variants, table) or [None]
        for line in candidates:
            row = [name, "-" if line is None else line.name]
            for metric in columns:
                figure, ours = figures.get(metric), entry.ours(metric, metrics)
                row.append("-" if figure is None else _number(figure.mean, figure.sd))
                row.append("-" if line is None or ours is None else _mean(line, ours, digits(ours, table)))
            rows.append(row)
    header = ["paper's row", "our row"]
    for metric in columns:
        header += [f"{plain_name(metric)}, paper", "ours"]
    count = "number not stated" if entry.n is None else f"{entry.n} images"
    return Table(f"{source.name}, {entry.source} ({count}: {entry.images})", header, rows)


def _candidates(beside: Sequence[str], source: Paper, variants: Sequence[Variant], table: Sequence[Line]) -> list[Line]:
    """The rows of ours that a paper's row stands beside; the first name with any."""
    by_name = {line.name: line for line in table}
    for name in beside:
        experiment = source.experiments[0] if name in ("restored", "pretrained") else name
        found = [by_name[name]] if name in by_name else []
        suffix = ", pretrained" if name == "pretrained" else ""
        for variant in variants:
            row = by_name.get(f"{variant.name}{suffix}")
            if row is not None and row not in found and variant.config["about"].get("experiment") == experiment:
                found.append(row)
        if found:
            return found
    return []


def _number(mean: float, sd: float | None) -> str:
    return f"{mean:g}" if sd is None else f"{mean:g} ± {sd:g}"


def _mean(line: Line, metric: str, places: int) -> str:
    values = list(line.values.get(metric, {}).values())
    return f"{sum(values) / len(values):.{places}f}" if values else "-"
