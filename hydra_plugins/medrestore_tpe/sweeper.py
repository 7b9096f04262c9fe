"""`hydra/sweeper=tpe`: a search by Optuna that goes on where a kill left it, with any launcher.

Hydra imports this file at every start of a command: what it needs is imported when a sweep is led.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class TpeSweeper(Sweeper):
    """Asks a study for trials, launches them, tells it their metrics, until it has `trials` of them.

    Args:
        trials: of the study, all machines together.
        batch: trials that are launched at a time.
        direction: of the objective, `maximize` or `minimize`.
        storage: an Optuna storage URL; None for `study.db` in the sweep's directory.
        study: its name in the storage.
        seed: of the sampler.
        startup: trials drawn at random before the estimator is asked.
        pruning: whether trials worse than the median of the others at the same epoch are ended.
        warmup: epochs in which none is ended.
        params: keys to vary, in Hydra's grammar of sweeps.
    """

    def __init__(
        self,
        trials: int,
        batch: int,
        direction: str,
        storage: str | None,
        study: str,
        seed: int,
        startup: int,
        pruning: bool,
        warmup: int,
        params: Mapping[str, Any],
    ) -> None:
        self.trials, self.batch, self.direction = trials, batch, direction
        self.storage, self.study, self.seed, self.startup = storage, study, seed, startup
        self.pruning, self.warmup = pruning, warmup
        self.params = params
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a sweeper, and the launcher."""
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the search; what became of each trial stands in the study and in its job's `result.json`."""
        from omegaconf import OmegaConf

        from medrestore.sweeps.lock import sole_sweep
        from medrestore.sweeps.result import read_result

        directory = Path(self.config.hydra.sweep.dir)
        with sole_sweep(directory):
            study, fixed = self._study(directory, arguments)
            OmegaConf.save(self.config, directory / "multirun.yaml")
            launched = 0
            while trials := study.next_trials(self.batch, self.trials):
                jobs = [self._job(number, values, fixed) for number, values in trials]
                self.validate_batch_is_legal(jobs)
                self.launcher.launch(jobs, initial_job_idx=launched)
                launched += len(jobs)
                for number, _ in trials:
                    study.tell(number, read_result(directory / str(number)))
            if not launched:
                print(f"the study has its {study.size} trials; for more: hydra.sweeper.trials={2 * study.size}")
        return None

    def _study(self, directory: Path, arguments: list[str]) -> tuple[Any, list[str]]:
        """The study, and the overrides that all its trials share."""
        from medrestore.errors import MedrestoreError

        try:
            import optuna  # noqa: F401
        except ImportError:
            raise MedrestoreError("hydra/sweeper=tpe needs optuna; type pip install 'medrestore[sweep]'") from None
        from medrestore.sweeps.overrides import swept
        from medrestore.sweeps.space import distribution
        from medrestore.sweeps.study import Search, SharedStudy, identity, shared_overrides

        if self.direction not in ("maximize", "minimize"):
            raise MedrestoreError(f"hydra.sweeper.direction={self.direction}; type maximize or minimize")
        space = {override.get_key_element(): distribution(override) for override in swept(self.config.hydra)}
        fixed = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        fixed = [line for line in fixed if line.partition("=")[0] not in space]
        search = Search(space, shared_overrides(fixed), str(self.config.objective), self.direction)
        storage = self.storage or f"sqlite:///{(directory / 'study.db').resolve()}"
        return SharedStudy(storage, self.study, search, identity(directory), self.seed, self.startup), fixed

    def _job(self, number: int, values: dict[str, str], fixed: list[str]) -> list[str]:
        """The overrides of a trial: its directory is named by its number in the study."""
        from medrestore.config import quoted

        own = [f"{key}={value}" for key, value in values.items()]
        if not any(line.startswith("ckpt=") for line in fixed):
            own.append("ckpt=last")  # nothing there yet is a fresh start, a trial that was killed goes on
        if self.pruning:
            rule = f"study:{quoted(self.study)},trial:{number},startup:{self.startup},warmup:{self.warmup}"
            own.append(f"callbacks.pruning={{{rule}}}")
        return [*fixed, *own, f"hydra.sweep.subdir={number}"]
