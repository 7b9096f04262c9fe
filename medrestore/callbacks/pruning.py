"""Ends a training early when other trainings of its study do better at the same epoch."""

from __future__ import annotations

import os

import pytorch_lightning as pl

from medrestore.errors import MedrestoreError
from medrestore.sweeps.result import Pruned
from medrestore.sweeps.study import STORAGE, open_storage


class Pruning(pl.Callback):
    """Reports the objective of each epoch to the study and asks whether to go on (median rule).

    Args:
        objective: name of the validation metric.
        study: name of the study in the storage that the sweep names in the environment.
        trial: number of this training in it.
        startup: complete trials before any is ended.
        warmup: epochs in which no trial is ended.

    Raises:
        MedrestoreError: no sweep leads this training.
    """

    def __init__(self, objective: str, study: str, trial: int, startup: int, warmup: int) -> None:
        import optuna

        if STORAGE not in os.environ:
            raise MedrestoreError(
                "callbacks.pruning belongs to a search by hydra/sweeper=tpe; type callbacks.pruning=null"
            )
        storage = open_storage(os.environ[STORAGE])
        pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup)
        loaded = optuna.load_study(study_name=study, storage=storage, pruner=pruner)
        within = storage.get_study_id_from_name(study)
        identifier = storage.get_trial_id_from_study_id_trial_number(within, trial)
        self.objective = objective
        self._trial = optuna.Trial(loaded, identifier)
        self._reported = set(storage.get_trial(identifier).intermediate_values)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, ask, end.

        Raises:
            Pruned: the study says so, with the last value of the objective.
        """
        value = trainer.callback_metrics.get(self.objective)
        if value is None or not value.isfinite() or trainer.sanity_checking:
            return
        ended = False
        if trainer.is_global_zero:
            if trainer.current_epoch not in self._reported:  # a resumed training measures an epoch again
                self._trial.report(float(value), trainer.current_epoch)
            ended = self._trial.should_prune()
        if trainer.strategy.broadcast(ended):
            raise Pruned(float(value))
