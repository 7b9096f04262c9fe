"""One progress bar with ETA for a whole training."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.progress import Progress as Bars

from medrestore.progress import LINES_APART, bars_with_eta, eta


class Progress(pl.Callback):
    """Shows epoch, losses, validation PSNR and the time left of the whole training."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._start = self._told = 0.0
        self._first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = self._told = time.monotonic()
        self._first = trainer.current_epoch * int(trainer.num_training_batches)
        if sys.stderr.isatty() and trainer.is_global_zero:
            self._bars = bars_with_eta()
            self._bars.start()
            self._task = self._bars.add_task("training", total=self._total(trainer), completed=self._first)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance; tell the first estimate before the first epoch is over."""
        done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
        if self._bars is not None:
            self._bars.update(self._task, completed=done, description=self._line(trainer))
        elif time.monotonic() - self._told > LINES_APART:
            self._tell(trainer, done)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the last line standing."""
        if self._bars is not None:
            self._bars.stop()
        else:
            self._tell(trainer, self._total(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        if self._bars is not None:
            self._bars.stop()

    def _tell(self, trainer: pl.Trainer, done: int) -> None:
        self._told = time.monotonic()
        if trainer.is_global_zero:
            left = eta(self._told - self._start, done - self._first, self._total(trainer) - self._first)
            print(f"{self._line(trainer)}, step {done}/{self._total(trainer)}{left}", file=sys.stderr, flush=True)

    @staticmethod
    def _total(trainer: pl.Trainer) -> int:
        return int(trainer.num_training_batches) * (trainer.max_epochs or 1)

    @staticmethod
    def _line(trainer: pl.Trainer) -> str:
        metrics = trainer.callback_metrics
        shown = [
            f"{name} {float(metrics[name]):.4g}" for name in ("train/generator/loss", "val/psnr") if name in metrics
        ]
        epoch = min(trainer.current_epoch + 1, trainer.max_epochs or 1)
        return ", ".join([f"epoch {epoch}/{trainer.max_epochs}", *shown])
