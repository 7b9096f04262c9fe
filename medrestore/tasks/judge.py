"""What all downstream judges share: training on sharp images, validation, their own score against the floor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.labelled import Boxed, LabelledSettings, Mapped
from medrestore.data.samples import Case
from medrestore.processes import everyone
from medrestore.schemes.skipped import SkippedSteps

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
_WARM_UP = 0.05  # of the training, in which the rate rises to its value: detectors diverge without


class SetScore(NamedTuple):
    """A score of a whole set with its 95 % interval, None below five groups."""

    value: float
    interval: tuple[float, float] | None


class AbstractJudge(pl.LightningModule, ABC):
    """A network that is trained on sharp images, frozen, and asked about restored ones; one final subclass a task.

    After the training `calibrate` is called once with sharp validation cases, and `measure` with the sharp images of a
    part that training never saw.

    Args:
        network: what is trained.
        labelled: how the images are prepared.
        floor: own score below which the judge must not be asked.
        optimizer: makes the optimiser from the network's parameters.
        gradient_clip: largest gradient norm of a step.

    Attributes:
        samples: the kind of batch it trains on.
        score_name: what `own_score` is.
        calibrated: what `calibrate` fixed; NaN before, and where it could not.
        own_score: on sharp images, NaN until measured.
        own_interval: `(2,)` 95 % interval of it, NaN where not available.
        trained_on: the data, in words; set when it is loaded.
        skipped: steps whose gradient was not finite.
        rate_factor: what the learning rate is multiplied with (`callbacks.NanGuard`).
    """

    samples: ClassVar[type[Boxed] | type[Mapped]]
    score_name: ClassVar[str]
    calibrated: Tensor
    own_score: Tensor
    own_interval: Tensor

    def __init__(
        self,
        network: nn.Module,
        labelled: LabelledSettings,
        floor: float,
        optimizer: MakeOptimizer,
        gradient_clip: float = 5.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.labelled = labelled
        self.floor = floor
        self.gradient_clip = gradient_clip
        self.trained_on = ""
        self._make_optimizer = optimizer
        self.skipped = SkippedSteps()
        self.rate_factor = 1.0
        self._rows: dict[int, list[dict[str, float]]] = {}
        self.register_buffer("calibrated", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("own_score", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("own_interval", torch.full((2,), math.nan, dtype=torch.float64))

    # -- what a task is -------------------------------------------------------------------------------------------

    @abstractmethod
    def predict(self, image: Tensor) -> Any:
        """The judge's opinion of `(C, H, W)` in [0, 1], on the CPU."""

    @abstractmethod
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Terms to be minimised together."""

    @abstractmethod
    def examples(self, batch: Any) -> list[tuple[Tensor, Any]]:
        """The images of a validation batch, each with its truth."""

    @abstractmethod
    def examples_of(self, case: Case) -> list[tuple[Tensor, Any]]:
        """What of a case's sharp image the judge looks at, each with its truth; empty where nothing is known of it."""

    @abstractmethod
    def score(self, prediction: Any, truth: Any) -> dict[str, float]:
        """What one image adds to the score of a set."""

    @abstractmethod
    def summarise(self, rows: Sequence[Mapping[str, float]], groups: Sequence[str]) -> SetScore | None:
        """The score of a set from `score` of each image; None where it is not defined."""

    @abstractmethod
    def calibrate(self, cases: Iterable[Case]) -> None:
        """Fix what is not learned by gradients, such as a threshold, on sharp validation cases: fill `calibrated`."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What it is and what it was trained on, one line for the report."""

    # -- its own score --------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether it was calibrated, and its own score reaches the floor."""
        return bool(torch.isfinite(self.calibrated)) and float(self.own_score) >= self.floor

    @torch.no_grad()
    def measure(self, cases: Iterable[Case]) -> float:
        """Take the own score on sharp images of a part it was not trained on, and keep it.

        Returns:
            The score; NaN where the cases do not define it (one class only, no truth), and then it is not usable.
        """
        rows, groups = [], []
        for case in cases:
            for image, truth in self.examples_of(case):
                rows.append(self.score(self.predict(image), truth))
                groups.append(case.group)
        found = self.summarise(rows, groups)
        value, bounds = (math.nan, None) if found is None else found
        self.own_score.fill_(value)
        self.own_interval.copy_(torch.tensor(bounds or (math.nan, math.nan)))
        return value

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Evaluation mode without gradients, in full precision; the mode before is restored."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad(), self.full_precision():
                yield
        finally:
            self.train(training)

    def full_precision(self) -> torch.autocast:
        """Boxes and thresholds do not survive half precision: switches autocast off."""
        return torch.autocast(self.device.type, enabled=False)

    def taken(self, image: Tensor) -> Tensor:
        """An image as the network takes it: where its weights lie, in their precision."""
        weight = next(self.network.parameters())
        return image.to(weight.device, weight.dtype)

    @staticmethod
    def wide(scores: Tensor) -> Tensor:
        """Scores in at least float32."""
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    # -- training -------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Optimizer:
        """One optimiser of what is not frozen."""
        return self._make_optimizer([p for p in self.network.parameters() if p.requires_grad])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the rate: a short rise, then half a cosine to 0; a pure function of how far the training is.

        After a return to an earlier checkpoint it is lower by `rate_factor`.
        """
        self.skipped.before_batch(self)
        batches = int(self.trainer.num_training_batches)
        done = (self.current_epoch * batches + batch_idx + 1) / max(1, batches * (self.trainer.max_epochs or 1))
        rate = min(1.0, done / _WARM_UP) * (1 + math.cos(math.pi * min(1.0, done))) / 2
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate * self.rate_factor

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The sum of the losses."""
        terms = self.losses(batch)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        for name, value in {**terms, "loss": loss}.items():
            self.log(f"train/judge/{name}", value.detach(), on_step=False, on_epoch=True, batch_size=len(batch.key),
                     sync_dist=True)  # fmt: skip
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm (a batch without any object has a steep loss); what is not finite moves nothing."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if torch.isfinite(nn.utils.clip_grad_norm_(parameters, self.gradient_clip)):
            self.skipped.took("judge")
            return
        self.skipped.skip("judge")
        optimizer.zero_grad(set_to_none=True)  # an optimiser leaves alone what has no gradient

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say whose training it is."""
        checkpoint["scheme"] = type(self).__name__

    # -- validation on whole images -------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch."""
        self._rows = {}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Ask about each image."""
        rows = [self.score(self.predict(image), truth) for image, truth in self.examples(batch)]
        self._rows[batch_idx * self.trainer.world_size + self.trainer.global_rank] = rows  # dealt out one by one

    def on_validation_epoch_end(self) -> None:
        """Log the score of the set, where it is defined: of the images of all processes, each image once."""
        together = self._rows
        if self.trainer.world_size > 1:
            count = len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]
            together = {key: rows for part in everyone(self._rows) for key, rows in part.items() if key < count}
        rows = [row for key in sorted(together) for row in together[key]]
        found = self.summarise(rows, [""] * len(rows))
        if found is not None:
            self.log(f"val/{self.score_name}", found.value)
