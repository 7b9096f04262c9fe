"""One progress bar with ETA for a whole training."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.progress import Progress as Bars

from medrestore.callbacks.throughput import Throughput, told
from medrestore.progress import LINES_APART, bars_with_eta, eta

_SPEED_AFTER = 3.0  # seconds of steps that tell how fast a training is; the first, which warms up, is left out


class Progress(pl.Callback):
    """Shows epoch, losses, validation PSNR and the time left of the whole training; after a few seconds how fast it is.

    Once an epoch speed, share of waiting and memory go to the loggers as `speed/...`.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._start = self._told = 0.0
        self._first = 0
        self._early: Throughput | None = Throughput()
        self._epoch = Throughput()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = self._told = time.monotonic()
        self._first = trainer.current_epoch * int(trainer.num_training_batches)
        if sys.stderr.isatty() and trainer.is_global_zero:
            self._bars = bars_with_eta()
            self._bars.start()
            self._task = self._bars.add_task("training", total=self._total(trainer), completed=self._first)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first batch of the epoch is asked for."""
        self._epoch = Throughput()
        for clock in self._clocks():
            clock.wait()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A batch is there."""
        for clock in self._clocks():
            clock.begin_step()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance; tell the first estimate before the first epoch is over."""
        for clock in self._clocks():
            clock.end_step(len(batch.key) * trainer.world_size)
        done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
        if self._early is not None:
            if done == self._first + 1:
                self._early = Throughput()
                self._early.wait()
            elif self._early.seconds > _SPEED_AFTER:
                self._tell_speed(trainer, done)
        if self._bars is not None:
            self._bars.update(self._task, completed=done, description=self._line(trainer))
        elif time.monotonic() - self._told > LINES_APART:
            self._tell(trainer, done)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how fast the epoch was."""
        for name, value in self._epoch.measured().items():
            pl_module.log(f"speed/{name}", value)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clocks until the next epoch."""
        self._pause()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stop the clocks until the next batch."""
        self._pause()

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

    def _clocks(self) -> list[Throughput]:
        return [self._epoch] if self._early is None else [self._epoch, self._early]

    def _pause(self) -> None:
        for clock in self._clocks():
            clock.pause()

    def _tell_speed(self, trainer: pl.Trainer, done: int) -> None:
        assert self._early is not None
        if trainer.is_global_zero:
            left = eta(time.monotonic() - self._start, done - self._first, self._total(trainer) - self._first)
            line = f"{told(self._early.measured())}{left}"
            if self._bars is not None:
                self._bars.console.print(line)
            else:
                print(line, file=sys.stderr, flush=True)
        self._early = None

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
