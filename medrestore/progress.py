"""A progress bar with ETA around anything that lasts; imports nothing heavy, since commands start with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

T = TypeVar("T")
LINES_APART = 10.0  # seconds between lines where there is no terminal


def track(items: Iterable[T], what: str) -> Iterator[T]:
    """Yield `items` under a progress bar; without a terminal, a line every ten seconds."""
    total = len(items) if isinstance(items, Sized) else None
    if sys.stderr.isatty():
        with bars_with_eta() as bars:
            task = bars.add_task(what, total=total)
            for item in items:
                yield item
                bars.advance(task)
        return
    start = told = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told > LINES_APART:
            told = now
            print(f"{what}: {count}/{total or '?'}{eta(now - start, count, total)}", file=sys.stderr, flush=True)


def bars_with_eta() -> Bars:
    """Bars with a count, the time gone and the time left, on standard error."""
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def eta(seconds: float, done: int, total: int | None) -> str:
    """Say the time left where `done` of `total` took `seconds`: ", ETA 2:05"; "" where that is not known."""
    if not total or done <= 0 or done >= total:
        return ""
    left = int(seconds / done * (total - done))
    return f", ETA {left // 60}:{left % 60:02d}"
