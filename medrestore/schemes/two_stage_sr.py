"""Super-resolution in two stages: SRResNet, then SRGAN from its weights (Ledig et al., arXiv:1609.04802), as paper S5.

    stage 1, generator:  mean (G(x) - y)^2
    stage 2, critic:     CE(D(y), 1) + CE(D(G(x)), 0)
             generator:  mean (phi(G(x)) - phi(y))^2 + adversarial_weight * CE(D(G(x)), 1)

`phi` are the features of VGG19 behind the ReLU of conv5_4, divided by 12.75. The critic is unconditional: it sees the
sharp or the restored image alone, in passes of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair
from medrestore.losses import (
    MSE,
    WeightedSum,
    WeightedTerm,
    cross_entropy_critic_loss,
    cross_entropy_generator_loss,
    relativistic_critic_loss,
    relativistic_generator_loss,
)
from medrestore.schemes.restorer import AbstractRestorer, MakeOptimizer


class TwoStageSR(AbstractRestorer):
    """Train a generator on pixels, then against a critic with a content loss of its own.

    Args:
        generator: the restorer, `(N, C, H, W)` -> `(N, C, scale*H, scale*W)`, [0, 1] -> [0, 1].
        critic: `(N, C, H, W)` -> scores of any shape, without a sigmoid.
        content: terms of the second stage by name, each with `weight` (a number, or `auto` to measure it once) and
            `term` (restored, target -> scalar), see `WeightedSum`.
        generator_optimizer: makes the generator's optimiser from its parameters.
        critic_optimizer: the same for the critic.
        pretrain_content: terms of the first stage, as `content`; None for the mean squared error, as published.
        adversarial_weight: of the cross entropy in the generator's loss.
        relativistic: whether scores count against the average of the other kind (ESRGAN, arXiv:1809.00219).
        critic_steps: critic updates before each generator update, on the same batch and the same restored image; 1 as
            published.
        accumulate: parts a batch is cut into, whose gradients are summed, so that it takes the memory of one part. The
            losses are those of the whole batch; batch norm sees parts.
        pretrain_epochs: of the first stage.
        decay_from: share of the training after which the rates fall linearly to 0; 1 keeps them, as published.
        ema_decay: of the averaged generator, or None.
        gradient_clip: largest gradient norm, or None.
    """

    samples: ClassVar = Pair

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        content: dict[str, Any],
        generator_optimizer: MakeOptimizer,
        critic_optimizer: MakeOptimizer,
        pretrain_content: dict[str, Any] | None = None,
        adversarial_weight: float = 1e-3,
        relativistic: bool = False,
        critic_steps: int = 1,
        accumulate: int = 1,
        pretrain_epochs: int = 0,
        decay_from: float = 1.0,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__(generator, pretrain_epochs, decay_from, ema_decay, gradient_clip)
        self.critic = critic
        self.pretrain_content = WeightedSum(pretrain_content or {"mse": WeightedTerm(1.0, MSE())})
        self.content = WeightedSum(content, adversarial=adversarial_weight > 0)
        self.adversarial_weight = adversarial_weight
        self.relativistic = relativistic
        self.critic_steps = critic_steps
        self.accumulate = accumulate
        self._make_optimizers = (generator_optimizer, critic_optimizer)

    def configure_optimizers(self) -> Any:
        """One optimiser for each network."""
        make_generator, make_critic = self._make_optimizers
        return [make_generator(self.generator.parameters()), make_critic(self.critic.parameters())]

    def training_step(self, batch: Pair, batch_idx: int) -> None:
        """Stage 1: one generator update. Stage 2: `critic_steps` critic updates, then one generator update."""
        generator_optimizer, critic_optimizer = cast(list[Optimizer], self.optimizers())
        parts = _parts(batch, self.accumulate)
        restored: Iterable[Tensor] = (self.generator(part.degraded) for _, part in parts)  # (N', C, H, W), one by one

        if not self.pretraining:
            # the graph of a whole batch serves the generator's step too; those of all parts would fill the memory
            with torch.set_grad_enabled(len(parts) == 1):
                shown = list(restored)
            restored = shown if len(parts) == 1 else (self.generator(part.degraded) for _, part in parts)
            with self.toggled_optimizer(critic_optimizer):
                for _ in range(self.critic_steps):
                    losses = (
                        share * self._critic_loss(part.target, fake.detach())
                        for (share, part), fake in zip(parts, shown, strict=True)
                    )
                    self._step_in_parts(critic_optimizer, losses, "critic")

        with self.toggled_optimizer(generator_optimizer):  # the critic's weights get no gradients here
            losses = (
                share * self._generator_loss(fake, part) for (share, part), fake in zip(parts, restored, strict=True)
            )
            self._step_in_parts(generator_optimizer, losses, "generator")

    def _critic_loss(self, target: Tensor, restored: Tensor) -> Tensor:
        real, fake = self.critic(target), self.critic(restored)  # two passes: batch norm must not mix real and fake
        loss = (relativistic_critic_loss if self.relativistic else cross_entropy_critic_loss)(real, fake)
        self._record("critic/cross_entropy", loss)
        self._record_distance(real, fake)
        return loss

    def _generator_loss(self, restored: Tensor, batch: Pair) -> Tensor:
        loss, terms = self._content_loss(restored, batch)
        if not self.pretraining and self.adversarial_weight:
            adversarial = self.adversarial_weight * self._adversarial_loss(restored, batch.target)
            self.content.observe(terms, adversarial)  # `weight: auto`, for the next steps
            loss = loss + adversarial
        self._record("generator/loss", loss)
        return loss

    def _content_loss(self, restored: Tensor, batch: Pair) -> tuple[Tensor, dict[str, Tensor]]:
        content = self.pretrain_content if self.pretraining else self.content
        loss, terms = content(restored, batch.target, batch.mask)
        for name, value in terms.items():
            self._record(f"generator/{name}", value)
        for name, weight in content.frozen().items():
            self._record(f"generator/weight_{name}", weight)
        return loss, terms

    def _adversarial_loss(self, restored: Tensor, target: Tensor) -> Tensor:
        fake = self.critic(restored)
        if self.relativistic:
            with torch.no_grad():  # the real scores depend on the critic alone
                real = self.critic(target)
            loss = relativistic_generator_loss(real, fake)
        else:
            loss = cross_entropy_generator_loss(fake)
        self._record("generator/adversarial", loss)
        return loss


def _parts(batch: Pair, count: int) -> list[tuple[float, Pair]]:
    """A batch in at most `count` parts, each with its share of the samples."""
    chunks = (tensor.chunk(count) for tensor in batch)
    return [(len(part[0]) / len(batch.key), Pair(*part)) for part in zip(*chunks, strict=True)]
