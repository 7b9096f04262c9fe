"""Goes back to the last good checkpoint when steps are not finite any more."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from medrestore.errors import MedrestoreError


class Diverged(MedrestoreError):
    """Steps or weights that are not finite: `medrestore.run.train` goes back, a limited number of times."""


class NanGuard(pl.Callback):
    """Ends a training whose steps are skipped, one after the other, because loss or gradient is not finite.

    A step that is not finite changes nothing, and is counted by the module. Each network counts for itself: a critic
    that never learns again is not excused by a generator that does.

    Args:
        in_a_row: steps of one network that are skipped one after the other until the training counts as diverged.
        returns: how often it has gone back already.
        rate: what every learning rate is multiplied with since then.

    Raises:
        Diverged: so many steps were skipped.
    """

    def __init__(self, in_a_row: int, returns: int = 0, rate: float = 1.0) -> None:
        self.in_a_row = in_a_row
        self.returns = returns
        self.rate = rate

    def state_dict(self) -> dict[str, Any]:
        """How often the training has gone back, and the rate since."""
        return {"returns": self.returns, "rate": self.rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the rate of the checkpoint."""
        self.returns, self.rate = int(state_dict["returns"]), float(state_dict["rate"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lower the rates."""
        pl_module.rate_factor = self.rate  # type: ignore[assignment]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        network, count = pl_module.skipped.worst  # type: ignore[union-attr, misc]
        if count >= self.in_a_row:
            raise Diverged(
                f"the loss of the {network} was not finite {count} times in a row at epoch {trainer.current_epoch + 1}"
            )
