"""One job of a sweep, inside the process that trains it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medrestore.config import key_of
from medrestore.errors import MedrestoreError
from medrestore.interruption import StartAgain, leave_to_leader, requeues
from medrestore.processes import is_first
from medrestore.sweeps.result import JobResult, Pruned, read_result, write_result

LEADER = "MEDRESTORE_SWEEP_LEADER"  # process id of the pool that started this process
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def in_sweep() -> bool:
    """Whether the running Hydra job is one of a sweep, in this process or as a child of its launcher."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    return not OmegaConf.is_missing(HydraConfig.get().job, "num")


def run_job(task: Callable[[Any], Any], config: Any, directory: Path, overrides: list[str]) -> JobResult:
    """Run `task(config)` and write what became of it to `result.json`: nothing but the process's end gets past this.

    A job that was complete before is not run again when `ckpt=last` asks to go on.

    Args:
        task: returns the job's metric.
        config: of the job.
        directory: its run directory.
        overrides: what makes the job.
    """
    made_of = [override for override in overrides if key_of(override) != "ckpt"]
    before = read_result(directory)
    if config.ckpt == "last" and before is not None and before.complete and list(before.overrides) == made_of:
        print(f"{directory} is complete already", file=sys.stderr)
        return before
    print(f"job {directory.name}: {' '.join(made_of)}", flush=True)
    objective = str(config.objective)
    _write(directory, JobResult("running", made_of, objective))
    start = time.monotonic()
    state, metric, error = "failed", None, None
    try:
        state, metric = "done", float(task(config))
    except Pruned as pruned:
        state, metric = "pruned", pruned.args[0]
    except StartAgain as why:
        if not requeues(why):  # a job that the cluster starts again is still on its way
            _write(directory, JobResult("stopped", made_of, objective, None, round(time.monotonic() - start, 1)))
        raise
    except MedrestoreError as mistake:
        state, error = "failed", str(mistake)
        print(f"medrestore: {mistake}", file=sys.stderr)
    except Exception as bug:  # whatever it is, the other jobs go on
        state, error = "failed", f"{type(bug).__name__}: {' '.join(str(bug).split())[:300]}"
        traceback.print_exc()
    result = JobResult(state, made_of, objective, metric, round(time.monotonic() - start, 1), error)
    _write(directory, result)
    return result


def end_with_leader() -> None:
    """Ask the kernel to end this process when the pool that started it is gone, whatever killed that."""
    leader = os.environ.pop(LEADER, None)  # ranks started by this process have another parent
    if leader is None or not sys.platform.startswith("linux"):
        return
    leave_to_leader()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(leader):  # it went before the kernel knew
        sys.exit(128 + signal.SIGTERM)


def _write(directory: Path, result: JobResult) -> None:
    if is_first():
        write_result(directory, result)
