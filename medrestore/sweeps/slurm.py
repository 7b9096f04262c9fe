"""Jobs of a sweep as a SLURM array, submitted through submitit."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError
from medrestore.interruption import StartAgain
from medrestore.sweeps.child import LOG, ChildJob, last_line, run_alone, told
from medrestore.sweeps.result import JobResult, read_result

_WAIT = 1.0  # seconds between looks at the result files
_ABSENT = 2  # times that the queue must not know a job before it counts as gone: a requeued one is away for a moment


def run_array(
    jobs: Sequence[ChildJob], sweep_dir: str | Path, sbatch: Mapping[str, Any], poll: float
) -> list[JobResult]:
    """Submit the jobs as an array and wait until each has a result or is gone from the queue.

    Whether a job is over is told by its result file and by squeue, so that clusters without accounting do as well.

    Args:
        jobs: what to run.
        sweep_dir: on a file system that the nodes share.
        sbatch: parameters of submitit's executor.
        poll: seconds between looks at the queue.

    Returns:
        What became of each.

    Raises:
        MedrestoreError: there is no SLURM here, or it refuses the jobs.
    """
    submitted = _submit(jobs, Path(sweep_dir), sbatch)
    ids = {job.job_id: index for index, job in enumerate(submitted)}
    array = submitted[0].job_id.partition("_")[0]
    print(f"{len(jobs)} jobs submitted as {array}, logs of SLURM in {Path(sweep_dir) / '.submitit'}", flush=True)
    results: dict[int, JobResult] = {}
    absent = dict.fromkeys(ids, 0)
    start = asked = time.monotonic()
    try:
        while len(results) < len(jobs):
            time.sleep(_WAIT)
            if time.monotonic() - asked >= poll:
                asked = time.monotonic()
                queued = _queued(array)
                absent = {name: 0 if queued is None or name in queued else count + 1 for name, count in absent.items()}
            for name, index in ids.items():
                if index in results:
                    continue
                result = read_result(jobs[index].directory)
                if result is not None and result.state != "running":
                    results[index] = result
                elif absent[name] >= _ABSENT:
                    own = last_line(jobs[index].directory / LOG)
                    log = LOG if own else str(submitted[index].paths.stderr.resolve())
                    results[index] = jobs[index].conclude(None, time.monotonic() - start, log)
                else:
                    continue
                print(told(jobs[index], results[index]), flush=True)
    except (KeyboardInterrupt, StartAgain):
        print(f"jobs {array} go on without this command; to end them: scancel {array}", file=sys.stderr)
        raise
    return [results[index] for index in range(len(jobs))]


def _submit(jobs: Sequence[ChildJob], sweep_dir: Path, sbatch: Mapping[str, Any]) -> list[Any]:
    try:
        import submitit
        from submitit.core.utils import UncompletedJobError
    except ImportError:
        raise MedrestoreError(
            "hydra/launcher=submitit_slurm needs submitit; type pip install 'medrestore[cluster]'"
        ) from None
    devices = {job.devices for job in jobs}
    if len(devices) > 1:
        raise MedrestoreError(
            f"hardware.devices={','.join(map(str, sorted(devices)))} in one sweep: a SLURM array asks for one number; "
            "type a sweep for each"
        )
    count = devices.pop()
    for job in jobs:
        job.clear()
    gpus = {} if all(job.on_cpu for job in jobs) else {"gpus_per_node": count}
    given = {key: value for key, value in sbatch.items() if value not in (None, [])}
    try:
        executor = submitit.AutoExecutor(folder=sweep_dir / ".submitit" / "%j", cluster="slurm")
        executor.update_parameters(name="medrestore", tasks_per_node=count, **gpus, **given)
        with contextlib.redirect_stderr(io.StringIO()):  # what sbatch says comes with the error as well
            return executor.map_array(run_alone, list(jobs))
    except (RuntimeError, ValueError, OSError, UncompletedJobError) as error:
        where = "type hydra/launcher=gpu_pool for this machine" if "srun" in str(error) else "see hydra.launcher.*"
        raise MedrestoreError(f"SLURM takes no jobs: {' '.join(str(error).split())[-300:]}; {where}") from None


def _queued(array: str) -> set[str] | None:
    """The jobs of an array that SLURM still knows, as submitit names them; None when it cannot be asked."""
    command = ["squeue", "--noheader", "--array", "--jobs", array, "--format", "%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    return set(done.stdout.split())
