"""`metrics.csv`: every logged number of a run, whatever other logger is on, through every resume."""

from __future__ import annotations

import csv
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only


class History(Logger):
    """Keeps `metrics.csv` in the run directory: one row a logging step, columns `epoch, step, seconds`, one a metric.

    `seconds` is the time trained so far, validation included; a resumed run goes on counting from its last row.

    Lightning's CSVLogger empties an existing file; this one reads it back, so that a resumed run has one history.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, float]] = _read(path)
        self._before = self.rows[-1].get("seconds", 0.0) if self.rows else 0.0
        self._start = time.monotonic()

    @property
    def name(self) -> str:
        """Of the logger."""
        return "history"

    @property
    def version(self) -> str:
        """There is one history a run."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` holds the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add one row, or complete the row of this step."""
        seconds = round(self._before + time.monotonic() - self._start, 1)
        row = {"epoch": 0.0, **metrics, "step": float(step or 0), "seconds": seconds}
        if self.rows and self.rows[-1]["step"] == row["step"]:
            self.rows[-1] = {**self.rows[-1], **row}
        else:
            self.rows.append(row)

    @rank_zero_only
    def save(self) -> None:
        """Write the whole table, atomically; where the disk takes no more, the next time all of it is written."""
        try:
            self._write()
        except OSError as error:
            self.path.with_suffix(".writing").unlink(missing_ok=True)
            print(f"medrestore: {self.path} was not saved: {error.strerror or error}; it will be", file=sys.stderr)

    def _write(self) -> None:
        names = sorted({name for row in self.rows for name in row} - {"epoch", "step", "seconds"})
        temporary = self.path.with_suffix(".writing")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", "step", "seconds", *names])
            writer.writeheader()
            writer.writerows({**row, "step": int(row["step"]), "epoch": int(row["epoch"])} for row in self.rows)
        os.replace(temporary, self.path)

    def forget_after(self, step: int) -> None:
        """Drop rows beyond the step from which a resumed training goes on."""
        self.rows = [row for row in self.rows if row["step"] <= step]
        self._before = self.rows[-1].get("seconds", 0.0) if self.rows else 0.0

    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()


def _read(path: Path) -> list[dict[str, float]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]
