"""Random numbers of a training step as a pure function of (seed, epoch, batch), whatever the number of processes."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from medrestore.data.seeding import seed_of
from medrestore.shared_batch import begin_sharing, end_sharing


class StepSeed(pl.Callback):
    """Seeds torch before each batch, and says that the processes share it until the step is over.

    So dropout, penalty mixing and history are the same after a resume, and on any number of processes: each draws for
    the whole batch and takes its slice, see `medrestore.shared_batch`.

    Args:
        seed: the training's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed all torch generators."""
        torch.manual_seed(seed_of(self.seed, "step", trainer.current_epoch, batch_idx))
        begin_sharing(trainer.global_rank, trainer.world_size)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is over."""
        end_sharing()
