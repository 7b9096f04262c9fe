"""The end of a sweep: what became of every job, as a table on the screen, `sweep.csv` and `sweep.png`."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrestore.config import first_line
from medrestore.errors import MedrestoreError
from medrestore.interruption import StartAgain
from medrestore.sweeps.overrides import short, swept
from medrestore.sweeps.result import FILE, JobResult, read_result

INTERRUPTED = 130  # exit code of a command that Ctrl-C ended


@dataclass(frozen=True)
class Job:
    """A job in the table.

    Attributes:
        name: its directory below the sweep's.
        values: of the keys that the sweep varies.
        result: what became of it.
    """

    name: str
    values: Mapping[str, str]
    result: JobResult

    @property
    def state(self) -> str:
        """As it is told: a job that says it is running when its sweep is over was stopped."""
        return "stopped" if self.result.state == "running" else self.result.state


@dataclass(frozen=True)
class Summary:
    """All jobs of a sweep directory.

    Attributes:
        directory: of the sweep.
        jobs: in the order of their names.
        objective: name of the metric.
        direction: `maximize` or `minimize` where the sweep searches for a best job, else None.
    """

    directory: Path
    jobs: Sequence[Job]
    objective: str
    direction: str | None

    @property
    def best(self) -> Job | None:
        """The best complete job of a search."""
        done = [job for job in self.jobs if job.state == "done" and job.result.metric is not None]
        if self.direction is None or not done:
            return None
        sign = 1 if self.direction == "maximize" else -1
        return max(done, key=lambda job: sign * (job.result.metric or 0.0))


def lead(start: Callable[[], Any], directory: Path) -> int:
    """Run a whole sweep and tell what became of its jobs.

    Args:
        start: runs it.
        directory: of the sweep.

    Returns:
        The exit code: 0; 1 when jobs failed or were stopped; 2 when none succeeded; 130 when Ctrl-C interrupted it.

    Raises:
        StartAgain: a signal did.
        MedrestoreError: the sweep cannot be run.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    interrupted: BaseException | None = None
    try:
        start()
    except (KeyboardInterrupt, StartAgain) as why:
        interrupted = why
    except (HydraException, OmegaConfBaseException) as error:
        raise MedrestoreError(first_line(str(error))) from None
    summary = gather(directory)
    if summary is not None:
        write(summary)
        show(summary)
    again = f"hydra.sweep.dir={directory} ckpt=last"
    if isinstance(interrupted, StartAgain):
        interrupted.again = again
        raise interrupted
    if interrupted is not None:
        print(f"medrestore: interrupted; to go on: the same command with {again}", file=sys.stderr)
        return INTERRUPTED
    states = [job.state for job in summary.jobs] if summary is not None else []
    good = sum(state in ("done", "pruned") for state in states)
    return 0 if good == len(states) and good else 1 if good else 2


def gather(directory: Path) -> Summary | None:
    """Read back what became of the jobs of a sweep; None where there are none."""
    from omegaconf import OmegaConf

    if not (directory / "multirun.yaml").is_file():
        return None
    config: Any = OmegaConf.load(directory / "multirun.yaml")
    keys = [override.get_key_element() for override in swept(config.hydra)]
    jobs = []
    for path in sorted(directory.rglob(FILE), key=lambda path: _natural(path.parent.relative_to(directory))):
        result = read_result(path.parent)
        if result is not None:
            given = {key: value for key, _, value in (override.partition("=") for override in result.overrides)}
            values = {key.lstrip("+"): given.get(key, "") for key in keys}
            jobs.append(Job(str(path.parent.relative_to(directory)), values, result))
    direction = config.hydra.sweeper.get("direction")
    return Summary(directory, jobs, jobs[0].result.objective, direction) if jobs else None


def write(summary: Summary) -> None:
    """Write `sweep.csv` and `sweep.png` into the sweep's directory."""
    from medrestore.sweeps.figure import draw

    keys = list(summary.jobs[0].values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *keys, summary.objective, "seconds", "state", "error"])
    for job in summary.jobs:
        cells = (job.result.metric, job.result.seconds, job.state, job.result.error)
        writer.writerow([job.name, *job.values.values(), *("" if cell is None else cell for cell in cells)])
    temporary = summary.directory / "sweep.csv.writing"
    temporary.write_text(text.getvalue(), encoding="utf-8")
    os.replace(temporary, summary.directory / "sweep.csv")
    draw(summary, summary.directory / "sweep.png")


def show(summary: Summary) -> None:
    """Print the table, what failed and why, and where the files are."""
    from rich.console import Console
    from rich.table import Table

    keys = list(summary.jobs[0].values)
    table = Table("job", *keys, summary.objective, "time", "state", box=None, header_style="bold")
    for job in summary.jobs:
        metric = "" if job.result.metric is None else f"{job.result.metric:.4g}"
        time = "" if job.result.seconds is None else f"{job.result.seconds:.0f} s"
        mark = " *" if job is summary.best else ""
        table.add_row(job.name, *map(short, job.values.values()), metric + mark, time, job.state)
    Console().print(table)
    for job in summary.jobs:
        if job.result.error:
            print(f"job {job.name} failed: {job.result.error}")
    best = summary.best
    if best is not None:
        told = " ".join(f"{key}={short(value)}" for key, value in best.values.items())
        print(f"best: job {best.name}, {summary.objective} {best.result.metric:.4g}: {told}")
    print(f"sweep: {summary.directory / 'sweep.csv'}, {summary.directory / 'sweep.png'}")
    print(f"sweep directory: {summary.directory}")


def _natural(path: Path) -> list[str | int]:
    """A key under which job 10 comes after job 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]
