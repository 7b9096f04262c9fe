"""The same generator, content terms only: what the adversary adds is the difference to this scheme."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from torch import nn
from torch.optim import Optimizer

from medrestore.data.samples import Pair
from medrestore.losses import WeightedSum
from medrestore.schemes.restorer import AbstractRestorer, MakeOptimizer


class PairedRegression(AbstractRestorer):
    """Minimise the content terms on pairs.

    Args:
        generator: the restorer, [0, 1] -> [0, 1].
        content: terms by name, each with `weight` and `term` (restored, target -> scalar).
        generator_optimizer: makes the optimiser from the generator's parameters.
        decay_from: share of the training after which the rate falls linearly to 0.
        ema_decay: of the averaged generator, or None.
        gradient_clip: largest gradient norm, or None.
    """

    samples: ClassVar = Pair

    def __init__(
        self,
        generator: nn.Module,
        content: dict[str, Any],
        generator_optimizer: MakeOptimizer,
        decay_from: float = 0.5,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__(generator, 0, decay_from, ema_decay, gradient_clip)
        self.content = WeightedSum(content)
        self._make_optimizer = generator_optimizer

    def configure_optimizers(self) -> Any:
        """One optimiser."""
        return self._make_optimizer(self.generator.parameters())

    def training_step(self, batch: Pair, batch_idx: int) -> None:
        """One update of the generator."""
        restored = self.generator(batch.degraded)  # (N, C, H, W)
        loss, terms = self.content(restored, batch.target, batch.mask)
        for name, value in terms.items():
            self._record(f"generator/{name}", value)
        self._step(cast(Optimizer, self.optimizers()), loss, "generator")
