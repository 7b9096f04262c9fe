"""What all schemes share: the one optimisation step, averaging, stages, validation on whole images."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair, Unpaired
from medrestore.errors import MedrestoreError
from medrestore.hardware import Machine, lay_out
from medrestore.metrics import psnr, ssim
from medrestore.networks.blocks import recompute_blocks
from medrestore.processes import everyone
from medrestore.schemes.loss_scales import LossScales
from medrestore.schemes.skipped import SkippedSteps
from medrestore.shared_batch import batch_mean

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


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
        skipped: steps that were not finite.
        rate_factor: what every learning rate is multiplied with (`callbacks.NanGuard`).
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
        self.skipped = SkippedSteps()
        self.rate_factor = 1.0
        self.loss_scales = LossScales()
        self._rows: list[tuple[str, int, float]] = []
        self.restored_samples: list[tuple[Tensor, Tensor, Tensor]] = []
        self.keep_samples = 0

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One round of updates on one batch, as the paper says."""

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] with what is exported: the averaged generator when averaging is on."""
        return self.exported.forward(degraded)  # whole images have many sizes: never the compiled one

    @property
    def exported(self) -> nn.Module:
        """The generator that is validated, judged and exported."""
        return self.generator if self.averaged is None else self.averaged

    @property
    def pretraining(self) -> bool:
        """Whether this epoch trains the generator alone."""
        return self.current_epoch < self.pretrain_epochs

    def run_on(self, machine: Machine) -> None:
        """Prepare the networks for a machine: layout, compilation, recomputed activations.

        Raises:
            MedrestoreError: something that a network of this scheme cannot do.
        """
        if machine.channels_last:
            lay_out(self, machine)
        if machine.recompute and not recompute_blocks(self.generator):
            raise MedrestoreError(
                f"hardware.activation_checkpointing=true: {type(self.generator).__name__} has no blocks to compute "
                "again; type hardware.activation_checkpointing=false"
            )
        if machine.compile:  # in place: names of weights stay, and `forward` stays eager for the gradient penalty
            for name, network in self.named_children():
                if name.endswith(("generator", "degrader", "critic")):
                    network.compile()
        if machine.precision == "16-mixed":
            self.loss_scales = LossScales("cuda")

    # -- one step of one optimiser --------------------------------------------------------------------------------

    def _step(self, optimizer: Optimizer, loss: Tensor, network: Literal["generator", "critic"]) -> None:
        """Zero, backward, clip, step and count; a loss or gradient that is not finite skips the step."""
        self._step_in_parts(optimizer, [loss], network)

    def _step_in_parts(
        self, optimizer: Optimizer, losses: Iterable[Tensor], network: Literal["generator", "critic"]
    ) -> None:
        """One step on a sum of losses, such as those of parts of a batch, in the memory of one of them.

        Each is asked for when the gradients of the one before it are taken and its graph is gone.

        In float16 the gradients come multiplied by the network's loss scale, which grows until they overflow: a finite
        loss with gradients that are not finite leaves the step out and halves the scale. That is no failure of the
        model, unless the scale is down to 1.
        """
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for loss in losses:
            self.manual_backward(self.loss_scales.scaled(loss, network))
            total = total + loss.detach()
        total = batch_mean(total)  # all processes must come to the same decision
        self.loss_scales.unscale(optimizer, network)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([cast(Tensor, p.grad) for p in parameters])
        nn.utils.clip_grads_with_norm_(parameters, self.gradient_clip or float("inf"), norm)
        if not torch.isfinite(norm + total):
            lowered = self.loss_scales.lower(network)
            if not (lowered and torch.isfinite(total)):
                self.skipped_updates += 1
                self.skipped.skip(network)
            return
        self.skipped.took(network)
        optimizer.step()
        self.loss_scales.stepped(network)
        self._record(f"{network}/gradient_norm", norm)
        cast(Tensor, getattr(self, f"{network}_updates")).add_(1)
        if network == "generator" and self.averaged is not None:
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        assert self.averaged is not None and self.ema_decay is not None
        # the first updates count fully: an average that starts from random weights would lag for 1/(1-decay) steps
        decay = min(self.ema_decay, (1 + int(self.generator_updates)) / (10 + int(self.generator_updates)))
        for average, current in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for average, current in zip(self.averaged.buffers(), self.generator.buffers(), strict=True):
            average.copy_(current)

    def _record_distance(self, real: Tensor, fake: Tensor) -> None:
        """Log how far apart a critic scores real and restored images: 0 where it cannot tell them apart."""
        self._record("critic/distance", real.detach().float().mean() - fake.detach().float().mean())

    def _record(self, name: str, value: Tensor | float) -> None:
        """Log the mean of `train/<net>/<term>` over the epoch and the processes."""
        value = value.detach() if isinstance(value, Tensor) else value
        self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the loss scales."""
        self.loss_scales.load_state_dict(checkpoint.get("loss_scales", {}))

    # -- learning rates -------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set every learning rate: constant, then linear to 0; a pure function of how far the training is.

        After a return to an earlier checkpoint it is lower by `rate_factor`.
        """
        self.skipped.before_batch(self)
        batches = int(self.trainer.num_training_batches)
        done = (self.current_epoch * batches + batch_idx) / max(1, batches * (self.trainer.max_epochs or 1))
        rate = 1.0 if done < self.decay_from else (1.0 - done) / (1.0 - self.decay_from)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate * self.rate_factor

    def on_train_epoch_end(self) -> None:
        """Log the counters, so that every x-axis can be generator steps, and the learning rates."""
        for network, optimizer in zip(("generator", "critic"), self.trainer.optimizers, strict=False):
            self.log(f"learning_rate/{network}", optimizer.param_groups[0]["lr"])
        self.log("generator_updates", self.generator_updates.float())
        self.log("critic_updates", self.critic_updates.float())
        if self.skipped_updates:
            self.log("skipped_updates", self.skipped_updates.float())
        if self.rate_factor != 1:
            self.log("rate_factor", self.rate_factor)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say whose training it is, and keep the loss scales."""
        checkpoint["scheme"] = type(self).__name__
        checkpoint["loss_scales"] = self.loss_scales.state_dict()

    # -- validation on whole images -------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the pictures and the scores of the last epoch."""
        self.restored_samples, self._rows = [], []

    def validation_step(self, batch: Pair, batch_idx: int, dataloader_idx: int = 0) -> None:
        """PSNR and SSIM of a whole image, in the way the final evaluation measures them.

        The first loader's are validation images, `val/psnr`; a second one's are training images, `train/psnr`.
        """
        with torch.autocast(batch.degraded.device.type, enabled=False):  # as the final evaluation, in float32
            restored = self(batch.degraded).float().nan_to_num(0.0).clamp(0, 1)  # no number counts as black
        target = batch.target.float()
        part = "train" if dataloader_idx else "val"
        index = int(batch.key[0])
        self._rows.append((f"{part}/psnr", index, float(psnr(restored, target).mean())))
        if min(target.shape[-2:]) >= 11:
            self._rows.append((f"{part}/ssim", index, float(ssim(restored, target).mean())))
        if dataloader_idx == 0 and batch_idx < self.keep_samples:
            self.restored_samples.append((batch.degraded[0].cpu(), restored[0].cpu(), target[0].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the images of all processes, each image once."""
        rows = everyone(self._rows) if self.trainer.world_size > 1 else [self._rows]
        scores: dict[str, dict[int, float]] = {}
        for name, index, value in (row for part in rows for row in part):
            scores.setdefault(name, {})[index] = value
        for name, values in sorted(scores.items()):
            self.log(name, math.fsum(values[index] for index in sorted(values)) / len(values))
