"""`hydra/launcher=submitit_slurm`: the jobs of a sweep as one SLURM array, each a process as in `gpu_pool`.

Hydra imports this file at every start of a command: what it needs is imported when a sweep is launched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# Not a file of conf/: Hydra would hold it against the schema of hydra-submitit-launcher where that is installed.
_DEFAULTS = {
    "_target_": "hydra_plugins.medrestore_slurm.launcher.SlurmLauncher",
    "partition": None,  # the cluster's default
    "account": None,
    "qos": None,
    "timeout_min": 1440,
    "nodes": 1,
    "cpus_per_task": 8,
    "mem_gb": 32,
    "array_parallelism": 256,
    "signal_seconds": 120,
    "setup": [],  # such as ['module load cuda']
    "additional_parameters": None,  # such as {constraint: a100}
    "poll_seconds": 15,
}
ConfigStore.instance().store("submitit_slurm", _DEFAULTS, group="hydra/launcher", provider="medrestore")


class SlurmLauncher(Launcher):
    """Submits each job as `python -m medrestore.train <overrides> hydra.run.dir=<sweep>/<n>`.

    The arguments are sbatch's, under the names that submitit gives them.

    Args:
        partition: where the jobs run; None for the cluster's default.
        account: that they are charged to.
        qos: quality of service.
        timeout_min: time limit of a job, minutes.
        nodes: of a job.
        cpus_per_task: of each task; a job has a task for each of its devices.
        mem_gb: memory of a node.
        array_parallelism: jobs that run at a time.
        signal_seconds: how long before the time limit a job gets SIGUSR1.
        setup: shell lines before the job.
        additional_parameters: anything else that sbatch takes, as its long options are called.
        poll_seconds: how often the queue is asked.
    """

    def __init__(
        self,
        partition: str | None,
        account: str | None,
        qos: str | None,
        timeout_min: int,
        nodes: int,
        cpus_per_task: int,
        mem_gb: int,
        array_parallelism: int,
        signal_seconds: int,
        setup: Sequence[str],
        additional_parameters: Mapping[str, Any] | None,
        poll_seconds: float,
    ) -> None:
        self.poll_seconds = poll_seconds
        self.sbatch = {
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_qos": qos,
            "timeout_min": timeout_min,
            "nodes": nodes,
            "cpus_per_task": cpus_per_task,
            "mem_gb": mem_gb,
            "slurm_array_parallelism": array_parallelism,
            "slurm_setup": list(setup),
            "slurm_additional_parameters": {"signal": f"USR1@{signal_seconds}", **(additional_parameters or {})},
        }
        self.config: DictConfig
        self.hydra_context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a launcher."""
        self.config, self.hydra_context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs and wait for them; what became of each stands in its `result.json`."""
        from medrestore.sweeps.child import child_jobs, job_returns
        from medrestore.sweeps.slurm import run_array

        jobs = child_jobs(self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx)
        return job_returns(jobs, run_array(jobs, self.config.hydra.sweep.dir, self.sbatch, self.poll_seconds))
