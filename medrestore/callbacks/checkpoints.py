"""Checkpoints of a run: the last state, the best epoch, the generator at the end of the first stage."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from medrestore.schemes import AbstractRestorer


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt` current (each epoch, and every few minutes within one), `best.ckpt` by a validation metric.

    Files are written beside their name, flushed and renamed, so that a kill leaves the previous one.

    Args:
        directory: the run's `checkpoints` folder.
        select: `last`, or a validation metric where more is better; only epochs of the last stage count.
        minutes: time between saves within an epoch.
        export_pretrained: called with the module when the generator-only stage ends.
    """

    def __init__(
        self,
        directory: Path,
        select: str,
        minutes: float,
        export_pretrained: Callable[[AbstractRestorer], None],
    ) -> None:
        self.directory = directory
        self.select = select
        self.minutes = minutes
        self.export_pretrained = export_pretrained
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score so far."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch when it is time."""
        if (
            time.monotonic() - self._saved_at >= 60 * self.minutes
            and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        ):
            self._save(trainer, "last")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the epoch; keep it as the best when it is; export the first stage when it ends."""
        pretraining = False  # judges have no stages
        if isinstance(pl_module, AbstractRestorer):
            pretraining = pl_module.pretraining
            if trainer.current_epoch + 1 == pl_module.pretrain_epochs and trainer.is_global_zero:
                self.export_pretrained(pl_module)
        score = trainer.callback_metrics.get(self.select)
        if score is not None and not pretraining and score.isfinite():
            if self.best_score is None or float(score) > self.best_score:
                self.best_score, self.best_epoch = float(score), trainer.current_epoch
                self._save(trainer, "best")
        self._save(trainer, "last")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        path = self.directory / f"{name}.ckpt"
        temporary = path.with_suffix(".writing")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        self._saved_at = time.monotonic()
