"""Pix2Pix (Isola et al., arXiv:1611.07004): a conditional GAN with an L1 term, a row of paper S3's table.

    critic:     (CE(D(x, y), 1) + CE(D(x, G(x)), 0)) / 2
    generator:  adversarial_weight * CE(D(x, G(x)), 1) + sum of weight * content term (100 * L1 as published)

The critic is conditional: it sees the degraded image x beside the sharp y or the restored G(x).
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair
from medrestore.losses import CrossEntropy, WeightedSum
from medrestore.schemes.restorer import AbstractRestorer, MakeOptimizer


class Pix2Pix(AbstractRestorer):
    """Train a generator on pairs against a conditional critic with cross entropy.

    Args:
        generator: the restorer, [0, 1] -> [0, 1].
        critic: `(N, C, H, W)` and the degraded images as its condition -> score map.
        content: terms by name, each with `weight` (a number, or `auto` to measure it once) and `term` (restored, target
            -> scalar), see `WeightedSum`.
        generator_optimizer: makes the generator's optimiser from its parameters.
        critic_optimizer: the same for the critic.
        adversarial_weight: of the cross entropy in the generator's loss.
        critic_steps: critic updates before each generator update, on the same batch and the same restored image; 1 as
            published.
        pretrain_epochs: the first epochs train the generator with the content terms alone.
        decay_from: share of the training after which the rates fall linearly to 0.
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
        adversarial_weight: float = 1.0,
        critic_steps: int = 1,
        pretrain_epochs: int = 0,
        decay_from: float = 0.5,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__(generator, pretrain_epochs, decay_from, ema_decay, gradient_clip)
        self.critic = critic
        self.content = WeightedSum(content, adversarial=adversarial_weight > 0)
        self.adversarial = CrossEntropy()
        self.adversarial_weight = adversarial_weight
        self.critic_steps = critic_steps
        self._make_optimizers = (generator_optimizer, critic_optimizer)

    def configure_optimizers(self) -> Any:
        """One optimiser for each network."""
        make_generator, make_critic = self._make_optimizers
        return [make_generator(self.generator.parameters()), make_critic(self.critic.parameters())]

    def training_step(self, batch: Pair, batch_idx: int) -> None:
        """`critic_steps` critic updates, then one generator update, all on one batch."""
        generator_optimizer, critic_optimizer = cast(list[Optimizer], self.optimizers())
        restored = self.generator(batch.degraded)  # (N, C, H, W)

        if not self.pretraining:
            with self.toggled_optimizer(critic_optimizer):
                for _ in range(self.critic_steps):
                    self._step(critic_optimizer, self._critic_loss(restored.detach(), batch), "critic")

        with self.toggled_optimizer(generator_optimizer):  # the critic's weights get no gradients here
            self._step(generator_optimizer, self._generator_loss(restored, batch), "generator")

    def _critic_loss(self, restored: Tensor, batch: Pair) -> Tensor:
        real = self.critic(batch.target, batch.degraded)  # a pass of its own: batch norm must not mix real and fake
        fake = self.critic(restored, batch.degraded)
        loss = self.adversarial.critic(real, fake) / 2  # the critic learns at half the generator's pace
        self._record("critic/cross_entropy", loss)
        self._record_distance(real, fake)
        return loss

    def _generator_loss(self, restored: Tensor, batch: Pair) -> Tensor:
        loss, terms = self._content_loss(restored, batch)
        if not self.pretraining and self.adversarial_weight:
            adversarial = self.adversarial_weight * self._adversarial_loss(restored, batch)
            self.content.observe(terms, adversarial)  # `weight: auto`, for the next steps
            loss = loss + adversarial
        self._record("generator/loss", loss)
        return loss

    def _content_loss(self, restored: Tensor, batch: Pair) -> tuple[Tensor, dict[str, Tensor]]:
        loss, terms = self.content(restored, batch.target, batch.mask)
        for name, value in terms.items():
            self._record(f"generator/{name}", value)
        for name, weight in self.content.frozen().items():
            self._record(f"generator/weight_{name}", weight)
        return loss, terms

    def _adversarial_loss(self, restored: Tensor, batch: Pair) -> Tensor:
        loss = self.adversarial.generator(self.critic(restored, batch.degraded))
        self._record("generator/adversarial", loss)
        return loss
