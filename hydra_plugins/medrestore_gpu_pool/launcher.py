"""`hydra/launcher=gpu_pool`: one process a job, on the GPUs of this machine or on shares of its cores.

Hydra imports this file at every start of a command: what it needs is imported when a sweep is launched.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GpuPoolLauncher(Launcher):
    """Runs each job as `python -m medrestore.train <overrides> hydra.run.dir=<sweep>/<n>`.

    Args:
        slots: `auto`, a number of slots, or a list of GPUs.
        grace_seconds: that running jobs get to end by themselves when the sweep is interrupted.
    """

    def __init__(self, slots: Any, grace_seconds: float) -> None:
        self.slots = slots
        self.grace_seconds = grace_seconds
        self.config: DictConfig
        self.hydra_context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a launcher."""
        self.config, self.hydra_context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what became of each stands in its `result.json`."""
        from medrestore.sweeps.child import child_jobs, job_returns
        from medrestore.sweeps.pool import run_pool
        from medrestore.sweeps.slots import find_slots

        jobs = child_jobs(self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx)
        slots = find_slots(self.slots, sum(job.devices for job in jobs), all(job.on_cpu for job in jobs))
        return job_returns(jobs, run_pool(jobs, slots, self.grace_seconds))
