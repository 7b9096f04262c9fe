"""Checkpoints of a run: the last state, the chosen epoch, the generator at the end of the first stage."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from medrestore.callbacks.selection import Selection
from medrestore.checkpoint import read_training_state
from medrestore.schemes import AbstractRestorer

Kept = Literal["pretrained", "best"]
_log = logging.getLogger(__name__)


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt` current (each epoch, and every few minutes within one), `best.ckpt` by a validation metric.

    A rule that looks at two metrics keeps the best epoch by each, `best_psnr.ckpt` and `best_ssim.ckpt`, until the end
    decides; `best.ckpt` is the one it would choose by now. Files are written beside their name, flushed and renamed, so
    that a kill leaves the previous one.

    Args:
        directory: the run's `checkpoints` folder.
        select: the rule for the last stage, see `Selection`.
        pretrain_select: the rule for what is exported of the generator-only stage; the training goes on from its last
            epoch whatever the rule.
        minutes: time between saves within an epoch.
        export_pretrained: called with the chosen generator, and in words which epoch it is of, when that stage ends.
    """

    def __init__(
        self,
        directory: Path,
        select: str,
        pretrain_select: str,
        minutes: float,
        export_pretrained: Callable[[nn.Module, str], None],
    ) -> None:
        self.directory = directory
        self.rules: dict[Kept, str] = {"pretrained": pretrain_select, "best": select}
        self.selections: dict[Kept, Selection] = {name: Selection(rule) for name, rule in self.rules.items()}
        self.minutes = minutes
        self.export_pretrained = export_pretrained
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The epochs to choose from, so far."""
        return {name: selection.rows for name, selection in self.selections.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the epochs so far, as far as their checkpoints lie here."""
        for name, selection in self.selections.items():
            files = [self._path(self._candidate(name, metric)) for metric in selection.metrics]
            if all(path.exists() for path in files):
                selection.rows = state_dict[name]
            elif state_dict[name]:
                _log.warning("no %s: the epoch to keep is chosen among those that follow", files[0])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch when it is time."""
        if (
            trainer.strategy.broadcast(time.monotonic() - self._saved_at >= 60 * self.minutes)  # all or none
            and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        ):
            self._save(trainer, "last")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the epoch; keep it when the rule may choose it; export the first stage when it ends."""
        stage: Kept = "best"  # judges have no stages
        if isinstance(pl_module, AbstractRestorer) and pl_module.pretraining:
            stage = "pretrained"
        self._select(trainer, stage)
        if isinstance(pl_module, AbstractRestorer) and trainer.current_epoch + 1 == pl_module.pretrain_epochs:
            if trainer.is_global_zero:
                self.export_pretrained(*self._pretrained(pl_module))
        self._save(trainer, "last")

    def _select(self, trainer: pl.Trainer, stage: Kept) -> None:
        selection = self.selections[stage]
        before = selection.chosen()
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name in selection.metrics}
        for metric in selection.add(trainer.current_epoch, scores):
            self._save(trainer, self._candidate(stage, metric))
        chosen = selection.chosen()
        if chosen is not None and chosen != before and trainer.is_global_zero:
            source = self._path(self._candidate(stage, chosen[0]))
            if source != self._path(stage):
                temporary = self._path(stage).with_suffix(".writing")
                shutil.copyfile(source, temporary)
                _replace(temporary, self._path(stage))

    def _pretrained(self, module: AbstractRestorer) -> tuple[nn.Module, str]:
        """The generator of the first stage that its rule chooses, and which epoch it is of."""
        chosen = self.selections["pretrained"].chosen()
        if chosen is None:
            return module.exported, "last epoch of the first stage"
        prefix = "generator." if module.averaged is None else "averaged."
        state = read_training_state(self._path("pretrained"))["state_dict"]
        generator = copy.deepcopy(module.exported)
        generator.load_state_dict(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )
        return generator, f"epoch {chosen[1] + 1} by {self.rules['pretrained']}"

    def _candidate(self, stage: Kept, metric: str) -> str:
        return stage if len(self.selections[stage].metrics) == 1 else f"{stage}_{metric.rpartition('/')[2]}"

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.ckpt"

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        temporary = self._path(name).with_suffix(".writing")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            _replace(temporary, self._path(name))
        self._saved_at = time.monotonic()


def _replace(temporary: Path, path: Path) -> None:
    """Rename a file that is safely on the disk."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
