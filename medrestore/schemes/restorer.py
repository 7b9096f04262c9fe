"""What all schemes share: the one optimisation step, averaging, stages, validation on whole images."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair, Unpaired
from medrestore.errors import MedrestoreError
from medrestore.metrics import psnr, ssim

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
_SKIPS_IN_A_ROW = 10


class AbstractRestorer(pl.LightningModule, ABC):
    """A scheme that trains `generator`: manual optimisation, one final subclass a paper.

    Args:
        generator: `(N, C, H, W)` in [0, 1] -> `(N, C, scale*H, scale*W)` in [0, 1]; what the scheme exports.
        pretrain_epochs: the first epochs train the generator alone.
        decay_from: share of the training after which every learning rate falls linearly to 0.
        ema_decay: of the averaged generator (validated and exported), or None for the generator itself.
        gradient_clip: largest gradient norm of a step, or None.

    Attributes:
        samples: the kind of batch the scheme trains on.
        generator_updates: steps of the generator's optimiser so far.
        critic_updates: steps of the critics' optimiser so far.
    """

    samples: ClassVar[type[Pair] | type[Unpaired]]
    generator_updates: Tensor
    critic_updates: Tensor
    skipped_updates: Tensor

    def __init__(
        self,
        generator: nn.Module,
        pretrain_epochs: int = 0,
        decay_from: float = 0.5,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = generator
        self.averaged = copy.deepcopy(generator).requires_grad_(False) if ema_decay is not None else None
        self.pretrain_epochs = pretrain_epochs
        self.decay_from = decay_from
        self.ema_decay = ema_decay
        self.gradient_clip = gradient_clip
        for name in ("generator_updates", "critic_updates", "skipped_updates"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self._skips_in_a_row = 0
        self.restored_samples: list[tuple[Tensor, Tensor, Tensor]] = []
        self.keep_samples = 0

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One round of updates on one batch, as the paper says."""

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] with what is exported: the averaged generator when averaging is on."""
        return self.exported(degraded)

    @property
    def exported(self) -> nn.Module:
        """The generator that is validated, judged and exported."""
        return self.generator if self.averaged is None else self.averaged

    @property
    def pretraining(self) -> bool:
        """Whether this epoch trains the generator alone."""
        return self.current_epoch < self.pretrain_epochs

    # -- one step of one optimiser --------------------------------------------------------------------------------

    def _step(self, optimizer: Optimizer, loss: Tensor, network: Literal["generator", "critic"]) -> None:
        """Zero, backward, clip, step and count; a loss or gradient that is not finite skips the step.

        Raises:
            MedrestoreError: ten steps in a row were not finite.
        """
        self._step_in_parts(optimizer, [loss], network)

    def _step_in_parts(
        self, optimizer: Optimizer, losses: Iterable[Tensor], network: Literal["generator", "critic"]
    ) -> None:
        """One step on a sum of losses, such as those of parts of a batch, in the memory of one of them.

        Each is asked for when the gradients of the one before it are taken and its graph is gone.

        Raises:
            MedrestoreError: ten steps in a row were not finite.
        """
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for loss in losses:
            self.manual_backward(loss)
            total = total + loss.detach()
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.gradient_clip or float("inf"))
        if not torch.isfinite(norm + total):
            self._skip(network)
            return
        self._skips_in_a_row = 0
        optimizer.step()
        self._record(f"{network}/gradient_norm", norm)
        cast(Tensor, getattr(self, f"{network}_updates")).add_(1)
        if network == "generator" and self.averaged is not None:
            self._average()

    def _skip(self, network: str) -> None:
        self.skipped_updates += 1
        self._skips_in_a_row += 1
        if self._skips_in_a_row >= _SKIPS_IN_A_ROW:
            raise MedrestoreError(
                f"the loss of the {network} was not finite {_SKIPS_IN_A_ROW} times in a row at epoch "
                f"{self.current_epoch}; type model.{network}_optimizer.lr=<a tenth of it>"
            )

    @torch.no_grad()
    def _average(self) -> None:
        assert self.averaged is not None and self.ema_decay is not None
        # the first updates count fully: an average that starts from random weights would lag for 1/(1-decay) steps
        decay = min(self.ema_decay, (1 + int(self.generator_updates)) / (10 + int(self.generator_updates)))
        for average, current in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for average, current in zip(self.averaged.buffers(), self.generator.buffers(), strict=True):
            average.copy_(current)

    def _record_distance(self, real: Tensor, fake: Tensor, which: str = "distance") -> None:
        """Log how far apart a critic scores real and restored images: 0 where it cannot tell them apart."""
        self._record(f"critic/{which}", real.detach().float().mean() - fake.detach().float().mean())

    def _record(self, name: str, value: Tensor | float) -> None:
        """Log the epoch's mean of `train/<net>/<term>`."""
        value = value.detach() if isinstance(value, Tensor) else value
        self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=1)

    # -- learning rates -------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set every learning rate: constant, then linear to 0; a pure function of how far the training is."""
        batches = int(self.trainer.num_training_batches)
        done = (self.current_epoch * batches + batch_idx) / max(1, batches * (self.trainer.max_epochs or 1))
        rate = 1.0 if done < self.decay_from else (1.0 - done) / (1.0 - self.decay_from)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate

    def on_train_epoch_end(self) -> None:
        """Log the counters, so that every x-axis can be generator steps, and the learning rates."""
        for network, optimizer in zip(("generator", "critic"), self.trainer.optimizers, strict=False):
            self.log(f"learning_rate/{network}", optimizer.param_groups[0]["lr"])
        self.log("generator_updates", self.generator_updates.float())
        self.log("critic_updates", self.critic_updates.float())
        if self.skipped_updates:
            self.log("skipped_updates", self.skipped_updates.float())

    # -- validation on whole images -------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the pictures of the last epoch."""
        self.restored_samples = []

    def validation_step(self, batch: Pair, batch_idx: int, dataloader_idx: int = 0) -> None:
        """PSNR and SSIM of a whole image, in the way the final evaluation measures them.

        The first loader's are validation images, `val/psnr`; a second one's are training images, `train/psnr`.
        """
        with torch.autocast(batch.degraded.device.type, enabled=False):  # as the final evaluation, in float32
            restored = self(batch.degraded).float().clamp(0, 1)
        target = batch.target.float()
        part = "train" if dataloader_idx else "val"
        scores = {f"{part}/psnr": psnr(restored, target).mean().float()}
        if min(target.shape[-2:]) >= 11:
            scores[f"{part}/ssim"] = ssim(restored, target).mean().float()
        self.log_dict(scores, on_epoch=True, batch_size=1, sync_dist=True, add_dataloader_idx=False)
        if dataloader_idx == 0 and batch_idx < self.keep_samples:
            self.restored_samples.append((batch.degraded[0].cpu(), restored[0].cpu(), target[0].cpu()))
