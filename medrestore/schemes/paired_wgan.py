"""Paired WGAN-GP with content terms: DeblurGAN (Kupyn et al. 2018), the scheme of papers S1, S3 and S4.

    critic:     mean D(fake) - mean D(real) + penalty_weight * (||grad D(x_hat)|| - 1)^2
    generator:  adversarial_weight * (-mean D(fake)) + sum of weight * content term

The critic is unconditional: it sees the sharp or the restored image alone (DeblurGAN, 3.1).
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair
from medrestore.losses import Wasserstein, WeightedSum, gradient_penalty
from medrestore.schemes.restorer import AbstractRestorer, MakeOptimizer


class PairedWGAN(AbstractRestorer):
    """Train a generator on pairs against a Wasserstein critic with gradient penalty.

    Args:
        generator: the restorer, [0, 1] -> [0, 1].
        critic: `(N, C, H, W)` -> score map.
        content: terms by name, each with `weight` (a number, or `auto` to measure it once) and `term` (restored, target
            -> scalar), see `WeightedSum`.
        generator_optimizer: makes the generator's optimiser from its parameters.
        critic_optimizer: the same for the critic.
        adversarial_weight: of the Wasserstein term in the generator's loss.
        penalty_weight: of the gradient penalty (10 in arXiv:1704.00028).
        critic_steps: critic updates before each generator update, on the same batch and the same restored image as
            in DeblurGAN's code.
        pretrain_epochs: the first epochs train the generator with the content terms alone (paper S3's recipe).
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
        penalty_weight: float = 10.0,
        critic_steps: int = 5,
        pretrain_epochs: int = 0,
        decay_from: float = 0.5,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__(generator, pretrain_epochs, decay_from, ema_decay, gradient_clip)
        self.critic = critic
        self.content = WeightedSum(content, adversarial=adversarial_weight > 0)
        self.adversarial = Wasserstein()
        self.adversarial_weight = adversarial_weight
        self.penalty_weight = penalty_weight
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
                    self._step(critic_optimizer, self._critic_loss(batch.target, restored.detach()), "critic")

        with self.toggled_optimizer(generator_optimizer):  # the critic's weights get no gradients here
            self._step(generator_optimizer, self._generator_loss(restored, batch), "generator")

    def _critic_loss(self, target: Tensor, restored: Tensor) -> Tensor:
        real, fake = self.critic(target), self.critic(restored)
        wasserstein = self.adversarial.critic(real, fake)
        penalty = gradient_penalty(self.critic, target, restored)
        self._record("critic/wasserstein", wasserstein)
        self._record("critic/penalty", penalty)
        self._record_distance(real, fake)
        return wasserstein + self.penalty_weight * penalty

    def _generator_loss(self, restored: Tensor, batch: Pair) -> Tensor:
        loss, terms = self._content_loss(restored, batch)
        if not self.pretraining and self.adversarial_weight:
            adversarial = self.adversarial_weight * self._adversarial_loss(restored)
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

    def _adversarial_loss(self, restored: Tensor) -> Tensor:
        loss = self.adversarial.generator(self.critic(restored))
        self._record("generator/adversarial", loss)
        return loss
