"""Checkpoints of a run: the last state, the chosen epoch, the generator at the end of the first stage."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from medrestore import interruption
from medrestore.callbacks.nan_guard import Diverged
from medrestore.callbacks.saving import BackgroundSaving
from medrestore.callbacks.selection import Selection
from medrestore.checkpoint import all_finite, read_training_state
from medrestore.errors import MedrestoreError
from medrestore.schemes import AbstractRestorer

Kept = Literal["pretrained", "best"]
_log = logging.getLogger(__name__)
_BEFORE_VALIDATION = 10.0  # seconds of training at most that a validation may lose when it is ended by a signal
_RETRY = 60.0  # seconds after which a save that failed is tried again


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt` current (each epoch, and every few minutes within one), `best.ckpt` by a validation metric.

    A rule that looks at two metrics keeps the best epoch by each, `best_psnr.ckpt` and `best_ssim.ckpt`, until the end
    decides; `best.ckpt` is the one it would choose by now. `last.ckpt` has a `previous.ckpt` beside it. Files are
    written beside their name, flushed and renamed, in a thread (`BackgroundSaving`).

    A state is kept only when every weight and the optimisers' state are finite, and not while steps are being skipped:
    what a training goes back to must be better than that.

    A signal that asks the training to end (`interruption`) lets it finish the step, save, and end. A validation is
    ended without a save: Lightning cannot go on in the middle of one, and the state before the epoch's last step, or a
    newer one, is on the disk. With several processes, which agree on this after each step, the validation is finished
    first.

    Args:
        directory: the run's `checkpoints` folder.
        select: the rule for the last stage, see `Selection`.
        pretrain_select: the rule for what is exported of the generator-only stage; the training goes on from its last
            epoch whatever the rule.
        minutes: time between saves within an epoch.
        export_pretrained: called with the chosen generator, and in words which epoch it is of, when that stage ends.

    Raises:
        StartAgain: the training has ended for a signal.
        Diverged: weights are not finite.
        MedrestoreError: the training is over, and its last state cannot be saved.
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
        self.saving = BackgroundSaving()
        self._saved_at = time.monotonic()
        self._epochs: dict[str, int] = {}  # of the candidates that were saved last
        self._owed = False  # a save that was left out because steps were being skipped

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let Lightning save through a thread."""
        trainer.strategy.checkpoint_io = self.saving

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

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has taken the signals."""
        interruption.listen_again()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End between two epochs, the first of which is saved."""
        if _agreed(trainer, interruption.asked()):
            raise interruption.stop()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch when it is time; end when that is asked for."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if progress.is_last_batch:
            return  # the validation and the end of the epoch follow
        age = time.monotonic() - self._saved_at
        due = self._owed or age >= (_RETRY if self.saving.failure else 60 * self.minutes)
        due = due or (batch_idx + 2 == trainer.num_training_batches and age >= _BEFORE_VALIDATION)
        if not _agreed(trainer, due or interruption.asked()):
            return
        if not self._owes(pl_module):
            _refuse_not_finite(trainer, pl_module)
            self._save(trainer, "last")
        if _agreed(trainer, interruption.asked()):
            raise interruption.stop()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing is to be learned from what weights that are not finite make of an image."""
        _refuse_not_finite(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End at once; several processes go through a validation together."""
        if trainer.world_size == 1 and interruption.asked():
            raise interruption.stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the epoch; keep it when the rule may choose it; export the first stage when it ends."""
        _refuse_not_finite(trainer, pl_module)
        stage: Kept = "best"  # judges have no stages
        if isinstance(pl_module, AbstractRestorer) and pl_module.pretraining:
            stage = "pretrained"
        self._select(trainer, stage)
        if isinstance(pl_module, AbstractRestorer) and trainer.current_epoch + 1 == pl_module.pretrain_epochs:
            self.saving.wait()  # for the checkpoint of the chosen epoch
            if trainer.is_global_zero:
                self.export_pretrained(*self._pretrained(pl_module))
        if not self._owes(pl_module) or trainer.current_epoch + 1 == trainer.max_epochs:
            self._save(trainer, "last")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the last state; try once more when it could not be saved."""
        self.saving.wait()
        self._forget_unsaved(trainer)
        if self.saving.failure:
            self._save(trainer, "last")
            self.saving.wait()
            self._forget_unsaved(trainer)
        if self.saving.failure:
            raise MedrestoreError(f"{self.saving.failure}; make room and type ckpt=last")

    def _select(self, trainer: pl.Trainer, stage: Kept) -> None:
        selection = self.selections[stage]
        self._forget_unsaved(trainer)
        before = selection.chosen()
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name in selection.metrics}
        for metric in selection.add(trainer.current_epoch, scores):
            self._epochs[self._candidate(stage, metric)] = trainer.current_epoch
            self._save(trainer, self._candidate(stage, metric))
        chosen = selection.chosen()
        if chosen is not None and chosen != before and trainer.is_global_zero:
            source = self._path(self._candidate(stage, chosen[0]))
            if source != self._path(stage):
                self.saving.wait()
                _give_name(source, self._path(stage))

    def _forget_unsaved(self, trainer: pl.Trainer) -> None:
        """An epoch that is not on the disk is not chosen; the best one before it still is there."""
        self.saving.failures = trainer.strategy.broadcast(self.saving.failures)  # the first process writes
        for stage, selection in self.selections.items():
            for metric in selection.metrics:
                name = self._candidate(stage, metric)
                if self.saving.failures.pop(self._path(name).name, None):
                    selection.rows = [row for row in selection.rows if row[0] != self._epochs.get(name)]

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

    def _owes(self, module: pl.LightningModule) -> bool:
        """Whether a state must wait because steps are being skipped: nobody would want to go back to it."""
        self._owed = bool(module.skipped.most)  # type: ignore[union-attr]
        return self._owed

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(self._path(name))
        self._saved_at = time.monotonic()


def _agreed(trainer: pl.Trainer, decision: bool) -> bool:
    """Whether any process says so; a small reduction where there are several."""
    return trainer.strategy.reduce_boolean_decision(decision, all=False)


def _refuse_not_finite(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """The steps' losses and gradients were finite, but the optimiser may have thrown the weights far away."""
    if not all_finite(_learned(trainer, module)):
        raise Diverged(f"weights are not finite at epoch {trainer.current_epoch + 1}")


def _learned(trainer: pl.Trainer, module: pl.LightningModule) -> Iterator[Tensor]:
    """Weights, running statistics and what the optimisers know; other buffers may be NaN until they are measured."""
    yield from module.parameters()
    yield from (buffer for name, buffer in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    for optimizer in trainer.optimizers:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))


def _give_name(source: Path, path: Path) -> None:
    """A second name for a file that is only ever replaced, never changed; where names are single, a copy."""
    temporary = path.with_suffix(".writing")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, path)
