"""Jobs of a sweep on the slots of one machine, each a process; what happens to one does not reach the others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from medrestore.errors import MedrestoreError
from medrestore.sweeps.child import ChildJob, told
from medrestore.sweeps.job import LEADER
from medrestore.sweeps.result import JobResult
from medrestore.sweeps.slots import Slots

_POLL = 0.05  # seconds


@dataclass(frozen=True)
class _Running:
    index: int
    job: ChildJob
    process: subprocess.Popen[bytes]
    taken: Sequence[int]
    start: float


def run_pool(jobs: Sequence[ChildJob], slots: Slots, grace: float) -> list[JobResult]:
    """Run every job, in their order, as slots become free; print one line as each starts and ends.

    Args:
        jobs: what to run.
        slots: where.
        grace: seconds that jobs get to end by themselves when this process is interrupted.

    Returns:
        What became of each.

    Raises:
        MedrestoreError: a job wants more slots than there are.
    """
    for job in jobs:
        if job.devices > slots.count:
            there = f"GPU {','.join(slots.gpus)}" if slots.gpus else f"{slots.count} CPU slots"
            raise MedrestoreError(
                f"{job.name} wants hardware.devices={job.devices}, the pool has {there}; "
                f"type hardware.devices={slots.count} or hydra.launcher.slots=<number or list>"
            )
    waiting = list(enumerate(jobs))
    free = list(range(slots.count))
    running: list[_Running] = []
    results: dict[int, JobResult] = {}
    try:
        while waiting or running:
            while waiting and waiting[0][1].devices <= len(free):  # in order: a job on several slots is not starved
                index, job = waiting.pop(0)
                taken = [free.pop(0) for _ in range(job.devices)]
                running.append(_start(index, job, slots, taken))
            for entry in [entry for entry in running if entry.process.poll() is not None]:
                running.remove(entry)
                free = sorted([*free, *entry.taken])
                _end_group(entry.process, signal.SIGKILL)  # ranks or loader workers that it left behind
                result = entry.job.conclude(entry.process.returncode, time.monotonic() - entry.start)
                results[entry.index] = result
                print(told(entry.job, result), flush=True)
            time.sleep(_POLL)
    finally:
        _stop([entry.process for entry in running], grace)
    return [results[index] for index in range(len(jobs))]


def _start(index: int, job: ChildJob, slots: Slots, taken: Sequence[int]) -> _Running:
    job.clear()
    environment = slots.environment(taken, {**os.environ, LEADER: str(os.getpid())})
    print(f"{job.name} started on {slots.say(taken)}", flush=True)
    return _Running(index, job, job.start(environment), taken, time.monotonic())


def _stop(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """End what still runs: asked first, killed after `grace` seconds or at a second Ctrl-C."""
    if not processes:
        return
    for process in processes:
        _end_group(process, signal.SIGTERM)
    deadline = time.monotonic() + grace
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < deadline and any(process.poll() is None for process in processes):
            time.sleep(_POLL)
    for process in processes:
        _end_group(process, signal.SIGKILL)
        process.wait()


def _end_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a job and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
