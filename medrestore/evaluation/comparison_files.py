"""A comparison on disk: `comparison.md` to read, with its pictures, `comparison.csv` to go on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison_sections import RunComparison
from medrestore.evaluation.papers import paper
from medrestore.evaluation.tables import save_text

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
    *("p_holm", "images_low", "images_high"),
)


def write_comparison(directory: Path, comparison: RunComparison) -> None:
    """Write `comparison.md`, its pictures and `comparison.csv`.

    The CSV has one line a row and metric, the papers' figures as rows of kind "paper"; `sd_seeds` is over trainings,
    `sd_images` over images, as the papers have it.

    Args:
        directory: folder of all, made where it is not there.
        comparison: what was found.
    """
    differences = {(d.variant, d.metric): d for d in comparison.differences}
    rows: list[list[object]] = []
    for line in comparison.lines:
        for metric, values in line.values.items():
            numbers = list(values.values())
            sd = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else ""
            row = [
                line.name,
                line.kind,
                metric,
                float(np.mean(numbers)),
                sd,
                "" if None in values else len(numbers),
                "",
            ]
            found = differences.get((line.name, metric))
            if found is not None:
                test, images = found.seeds, found.images
                cells = [comparison.base, test.difference, test.low, test.high, test.test, test.df, test.p_value]
                cells += [found.p_holm, images and images.low, images and images.high]
                row += ["" if cell is None else cell for cell in cells]
            rows.append(row + [""] * (len(_FIELDS) - len(row)))
    for name in comparison.papers:
        for table in paper(name).tables:
            for figure in table.figures:
                row = [f"{name}, {table.source}: {figure.row}", "paper", figure.metric, figure.mean]
                row += ["", "", "" if figure.sd is None else figure.sd]
                rows.append(row + [""] * (len(_FIELDS) - len(row)))
    save_text(directory / "comparison.csv", _csv_text(_FIELDS, rows))
    notes = [Section("Notes", comparison.notes)] if comparison.notes else []
    sections = [*comparison.sections, *notes]
    save_text(directory / "comparison.md", markdown(sections))
    for name, (data, _, _) in _pictures(sections).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(data)


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
