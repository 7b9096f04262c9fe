"""Random numbers of a training step as a pure function of (seed, epoch, batch, rank)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from medrestore.data.seeding import seed_of


class StepSeed(pl.Callback):
    """Seeds torch before each batch, so that dropout and penalty mixing are the same after a resume.

    Args:
        seed: the training's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed all torch generators."""
        torch.manual_seed(seed_of(self.seed, "step", trainer.current_epoch, batch_idx, trainer.global_rank))
