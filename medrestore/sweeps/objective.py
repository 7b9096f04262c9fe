"""The number that a training is judged by in a sweep: a validation metric, never one of the test images."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from medrestore.config import near
from medrestore.errors import MedrestoreError


def objective_value(directory: Path, config: Any) -> float:
    """The metric `objective` at the epoch that the run selected (`select`), from the run's `metrics.csv`.

    Args:
        directory: the run directory.
        config: the run's configuration.

    Raises:
        MedrestoreError: the metric was not logged, or is not finite.
    """
    with (directory / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    name = str(config.objective)
    measured = [row for row in rows if row.get(name)]
    if not measured:
        known = sorted({key for row in rows for key, value in row.items() if key.startswith("val/") and value})
        raise MedrestoreError(
            f"objective={name} was not measured{near(name, known)}; there are: {', '.join(known) or 'none'}"
        )
    selected = measured[-1]
    if config.select != "last":
        last_stage = [row for row in measured if int(row["epoch"]) >= config.pretrain_epochs and row.get(config.select)]
        finite = [row for row in last_stage if math.isfinite(float(row[config.select]))]
        selected = max(finite, key=lambda row: float(row[config.select]), default=selected)
    value = float(selected[name])
    if not math.isfinite(value):
        raise MedrestoreError(f"{name} is {value} in epoch {int(selected['epoch']) + 1}")
    return value
