"""Trainings that stop without any tidying up, as a killed one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from medrestore import run as engine
from medrestore.config import compose
from medrestore.run import train


class Kill(Exception):
    """Stands for a kill at a chosen batch."""


class KillAt(pl.Callback):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Kill


def kill(directory: Path, batches: int, monkeypatch: pytest.MonkeyPatch, overrides: list[str]) -> None:
    """Train until `batches` batches are done, then stop."""
    original = engine._trainer

    def killing(*arguments: Any) -> pl.Trainer:
        trainer = original(*arguments)
        trainer.callbacks.append(KillAt(batches))
        return trainer

    monkeypatch.setattr(engine, "_trainer", killing)
    with pytest.raises(Kill):
        train(compose("train", overrides), directory)
    monkeypatch.setattr(engine, "_trainer", original)
