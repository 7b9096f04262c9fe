"""What became of one job of a sweep: a small file in its directory, the same for every launcher."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

State = Literal["running", "done", "pruned", "stopped", "failed"]
FILE = "result.json"


class Pruned(Exception):
    """A job was ended early because other jobs of its study did better at the same epoch."""


@dataclass(frozen=True)
class JobResult:
    """The outcome of a job.

    Attributes:
        state: `running` from its start on, so that this is what a killed job leaves; then `done`, `pruned` (ended early
            by the study, without export and evaluation), `stopped` (ended by a signal, to be started again) or
            `failed`.
        overrides: what makes the job, without `ckpt=`.
        objective: name of the metric.
        metric: its value; None where there is none.
        seconds: from the job's start to its end.
        error: one line, of a failed job.
    """

    state: State
    overrides: Sequence[str]
    objective: str
    metric: float | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether starting the job again would not change anything."""
        return self.state in ("done", "pruned")


def write_result(directory: Path, result: JobResult) -> None:
    """Write `result.json`, atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{FILE}.writing"
    temporary.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, directory / FILE)


def read_result(directory: Path) -> JobResult | None:
    """The result in a directory; None where there is none that can be read."""
    try:
        return JobResult(**json.loads((directory / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
