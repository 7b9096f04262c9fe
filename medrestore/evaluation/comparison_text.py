"""A comparison on the screen, and its numbers as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison import Line
from medrestore.evaluation.tables import UNITS, heading

_WIDTH = 120  # of a table that goes into a file or a pipe


# --- numbers -----------------------------------------------------------------


def digits(metric: str, table: Sequence[Line]) -> int:
    """Decimals of a metric in a table: two for decibels and large numbers, else four."""
    sizes = [abs(value) for line in table for value in line.values.get(metric, {}).values()]
    return 2 if metric in UNITS or max(sizes, default=0.0) >= 10 else 4


def spread(values: Mapping[Any, float], places: int) -> str:
    """Mean ± sample standard deviation over seeds; the value alone where there is one; empty where there is none."""
    numbers = list(values.values())
    if not numbers:
        return ""
    mean = f"{float(np.mean(numbers)):.{places}f}"
    return mean if len(numbers) == 1 else f"{mean} ± {float(np.std(numbers, ddof=1)):.{places}f}"


def interval(low: float | None, high: float | None, places: int) -> str:
    """An interval as text; "not available" where there is none."""
    return "not available" if low is None or high is None else f"{low:+.{places}f} to {high:+.{places}f}"


def plain_name(metric: str) -> str:
    """A metric's name without unit and arrow."""
    return heading(metric).rpartition(" ")[0].removesuffix(" (dB)")


def print_sections(sections: Sequence[Section], file: IO[str] | None = None) -> None:
    """Print sections with rich; anything but a terminal gets plain text 120 columns wide.

    Args:
        sections: in reading order.
        file: where to; None is the screen.
    """
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=file, markup=False, highlight=False, emoji=False, width=_WIDTH, color_system=None)
    for section in sections:
        console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(Text(line))
        for caption, header, rows in section.tables:
            table = ScreenTable(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left")
            table.title = Text(caption) if caption else None
            for name in header:
                table.add_column(Text(name), overflow="fold")
            for row in rows:
                table.add_row(*(Text(cell) for cell in row))
            console.print()
            console.print(table)
        console.print()
