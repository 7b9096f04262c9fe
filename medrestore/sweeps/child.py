"""One job as a process of its own: `python -m medrestore.train <overrides> hydra.run.dir=<sweep>/<n>`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medrestore.config import key_of, quoted
from medrestore.interruption import AGAIN
from medrestore.sweeps.overrides import device_count, short, swept
from medrestore.sweeps.result import FILE, JobResult, read_result, write_result

LOG = "train.log"
# Settings of the process that leads the sweep, which a job does not share.
_LEADERS = (
    "hydra/launcher",
    "hydra.launcher",
    "hydra/sweeper",
    "hydra.sweeper",
    "hydra.sweep",
    "hydra.run",
    "hydra.mode",
)


@dataclass(frozen=True)
class ChildJob:
    """A job that is a process.

    Attributes:
        name: as it is told, such as `job 3 (seed=1)`.
        directory: its run directory, with its log and its result.
        command: what to start.
        overrides: what makes the job.
        objective: name of the metric it returns.
        devices: GPUs or CPU slots it takes.
        on_cpu: whether it is bound to the CPU.
    """

    name: str
    directory: Path
    command: Sequence[str]
    overrides: Sequence[str]
    objective: str
    devices: int = 1
    on_cpu: bool = False

    def clear(self) -> None:
        """Forget what an earlier try left, unless it is complete."""
        self.directory.mkdir(parents=True, exist_ok=True)
        result = read_result(self.directory)
        if result is None or not result.complete:
            (self.directory / FILE).unlink(missing_ok=True)

    def start(self, environment: Mapping[str, str], log: str = LOG) -> subprocess.Popen[bytes]:
        """Start the process, its output going to the end of its log."""
        with open(self.directory / log, "ab") as file:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environment, "PYTHONUNBUFFERED": "1"},  # a kill must not swallow the last lines
                start_new_session=True,  # Ctrl-C goes to the leader, which ends its jobs in order
            )

    def conclude(self, code: int | None, seconds: float, log: str = LOG) -> JobResult:
        """What became of the job when its process is gone.

        Args:
            code: its exit code, negative for a signal; None where nobody knows.
            seconds: that it took.
            log: name of its log.
        """
        result = read_result(self.directory)
        if result is not None and (result.state == "failed" or (result.complete and code in (0, None))):
            return result
        made_of = [override for override in self.overrides if key_of(override) != "ckpt"]
        if code == AGAIN:
            if result is None:  # asked before it had begun
                result = JobResult("stopped", made_of, self.objective, None, round(seconds, 1))
                write_result(self.directory, result)
            return result
        how = {None: "ended without a result", 0: "ended without a result"}.get(code, f"ended with code {code}")
        if code is not None and code < 0:
            memory = ", out of memory?" if code == -signal.SIGKILL else ""
            how = f"killed by {signal.Signals(-code).name}{memory}"
        last = last_line(self.directory / log)
        error = f"{how}: {last}" if last else how
        failed = JobResult("failed", made_of, self.objective, None, round(seconds, 1), error)
        write_result(self.directory, failed)
        return failed


def child_jobs(loader: Any, config: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[ChildJob]:
    """The jobs that a launcher is asked for.

    Args:
        loader: Hydra's config loader.
        config: of the sweep, with Hydra's settings.
        job_overrides: of each job.
        first: number of the first job.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    varied = {override.get_key_element() for override in swept(config.hydra)}
    kept = [line for line in config.hydra.overrides.hydra if not line.startswith(_LEADERS)]
    jobs = []
    for number, overrides in enumerate(job_overrides, first):
        job = loader.load_sweep_config(config, list(overrides))
        with open_dict(job):
            job.hydra.job.num, job.hydra.job.id = number, str(number)
        HydraConfig.instance().set_config(job)  # ${hydra:job.num} of this job
        directory = Path(job.hydra.sweep.dir) / str(job.hydra.sweep.subdir)
        own = [line for line in overrides if not line.startswith("hydra.")]
        pairs = [line.partition("=")[::2] for line in own]
        told = " ".join(f"{key.lstrip('+')}={short(value)}" for key, value in pairs if key in varied)
        command = [sys.executable, "-m", "medrestore.train", *own, *kept]
        command += [f"hydra.run.dir={quoted(str(directory))}", f"hydra.job.num={number}", "hydra.mode=RUN"]
        jobs.append(
            ChildJob(
                name=f"job {directory.name}" + (f" ({told})" if told else ""),
                directory=directory,
                command=command,
                overrides=own,
                objective=str(job.objective),
                devices=device_count(job.hardware.devices),
                on_cpu=job.hardware.accelerator == "cpu",
            )
        )
    HydraConfig.instance().set_config(config)
    return jobs


def job_returns(jobs: Sequence[ChildJob], results: Sequence[JobResult]) -> list[Any]:
    """What Hydra's sweepers want: the metric of each job, None where it has none."""
    from hydra.core.utils import JobReturn, JobStatus

    returns = []
    for job, result in zip(jobs, results, strict=True):
        returned = JobReturn(overrides=job.overrides, working_dir=str(job.directory), status=JobStatus.COMPLETED)
        returned.return_value = result.metric
        returns.append(returned)
    return returns


def told(job: ChildJob, result: JobResult) -> str:
    """The line that says how a job ended."""
    if result.state == "failed":
        return f"{job.name} failed after {result.seconds or 0:.0f} s: {result.error}"
    if result.state in ("stopped", "running"):
        return f"{job.name} was stopped after {result.seconds or 0:.0f} s, ckpt=last goes on"
    metric = "" if result.metric is None else f": {result.objective} {result.metric:.4g}"
    return f"{job.name} {result.state} in {result.seconds or 0:.0f} s{metric}"


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def run_alone(job: ChildJob) -> int:
    """Run a job where a cluster has put it, with what the cluster gave it; the first of its ranks writes the result.

    A job that the cluster starts again goes on from its checkpoint.
    """
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")):
        job = replace(job, command=[*job.command, "ckpt=last"])
    rank = int(os.environ.get("SLURM_PROCID", "0"))
    log = f"train_rank{rank}.log" if rank else LOG
    # The training is told by the cluster itself that its time is over; this process waits for it.
    signal.signal(signal.SIGUSR1, lambda *_: None)
    start = time.monotonic()
    code = job.start(os.environ, log).wait()
    if rank == 0:
        job.conclude(code, time.monotonic() - start, log)
    return code
