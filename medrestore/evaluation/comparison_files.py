"""A comparison on disk: `comparison.md` to read, with its pictures, `comparison.csv` to go on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison_sections import RunComparison
from medrestore.evaluation.comparison_seeds import restored, seed_interval
from medrestore.evaluation.papers import paper
from medrestore.evaluation.tables import save_text
from medrestore.evaluation.variants import differing

_FIELDS = (
    *(
        "row",
        "kind",
        "metric",
        "mean",
        "sd_seeds",
        "seeds",
        "sd_images",
        "base",
        "difference",
        "low",
        "high",
        "test",
        "df",
        "p_value",
    ),
    *("p_holm", "images_low", "images_high", "seeds_low", "seeds_high"),
)


def write_comparison(directory: Path, comparison: RunComparison) -> None:
    """Write `comparison.md`, its pictures, `comparison.csv` and `runs.csv`.

    `comparison.csv` has one line a row and metric, the papers' figures as rows of kind "paper"; `sd_seeds` is over
    trainings, with the 95 % t-interval of their mean from `seeds_low` to `seeds_high`; `sd_images` is over images, as
    the papers have it. `runs.csv` has one line a training: its scores, its directory, and the settings that differ.

    Args:
        directory: folder of all, made where it is not there.
        comparison: what was found.
    """
    differences = {(d.variant, d.metric): d for d in comparison.differences}
    rows: list[list[object]] = []
    for line in comparison.lines:
        for metric, values in line.values.items():
            over = seed_interval(list(values.values()))
            seeds: list[object] = ["" if over.sd is None else over.sd, "" if None in values else over.n, ""]
            row: list[object] = [line.name, line.kind, metric, over.mean, *seeds]
            found = differences.get((line.name, metric))
            if found is not None:
                test, images = found.seeds, found.images
                cells = [comparison.base, test.difference, test.low, test.high, test.test, test.df, test.p_value]
                cells += [found.p_holm, images and images.low, images and images.high]
                row += ["" if cell is None else cell for cell in cells]
            row += [""] * (len(_FIELDS) - 2 - len(row))
            rows.append([*row, *("" if end is None else end for end in (over.low, over.high))])
    for name in comparison.papers:
        for table in paper(name).tables:
            for figure in table.figures:
                row = [f"{name}, {table.source}: {figure.row}", "paper", figure.metric, figure.mean]
                row += ["", "", "" if figure.sd is None else figure.sd]
                rows.append(row + [""] * (len(_FIELDS) - len(row)))
    save_text(directory / "comparison.csv", _csv_text(_FIELDS, rows))
    save_text(directory / "runs.csv", _csv_text(*_by_run(comparison)))
    notes = [Section("Notes", comparison.notes)] if comparison.notes else []
    sections = [*comparison.sections, *notes]
    save_text(directory / "comparison.md", markdown(sections))
    for name, (data, _, _) in _pictures(sections).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(data)


def _by_run(comparison: RunComparison) -> tuple[list[str], list[list[object]]]:
    """Names of columns and a row a training."""
    settings = differing([variant.config for variant in comparison.variants])
    scored = {variant.name: restored(variant) for variant in comparison.variants}
    metrics = list(dict.fromkeys(metric for found in scored.values() for metric in found))
    rows: list[list[object]] = []
    for index, variant in enumerate(comparison.variants):
        for seed, run in variant.runs.items():
            values = [scored[variant.name].get(metric, {}).get(seed, "") for metric in metrics]
            rows.append([variant.name, seed, *(told[index] for told in settings.values()), *values, str(run.directory)])
    return ["row", "seed", *settings, *metrics, "directory"], rows


def markdown(sections: Sequence[Section]) -> str:
    """Sections in GitHub's Markdown; pictures are files beside it."""
    parts = []
    names = iter(_pictures(sections))
    for section in sections:
        parts += [f"## {section.title}", *section.lines]
        for caption, header, rows in section.tables:
            parts += [f"**{caption}**"] if caption else []
            grid = [header, ["---"] * len(header), *rows]
            lines = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in grid]
            parts.append("\n".join(f"| {line} |" for line in lines))
        parts += [f"![{shown}]({next(names)})\n\n{caption}" for _, shown, caption in section.pictures]
    return "\n\n".join(parts) + "\n"


def _pictures(sections: Sequence[Section]) -> dict[str, tuple[bytes, str, str]]:
    """All pictures by the names of their files, in reading order."""
    pictures = [picture for section in sections for picture in section.pictures]
    return {f"pictures/{number}.png": picture for number, picture in enumerate(pictures, start=1)}


def _csv_text(fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV; what is not available is an empty field, numbers can be read back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([repr(float(cell)) if isinstance(cell, float) else cell for cell in row] for row in rows)
    return text.getvalue()
