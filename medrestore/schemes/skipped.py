"""Steps that are left out because a loss or gradient is not finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class SkippedSteps:
    """Counts them, and undoes what their forward pass did to batch norm.

    Attributes:
        in_a_row: of each network, the steps that were skipped since its last one that was taken.
    """

    def __init__(self) -> None:
        self.in_a_row: dict[str, int] = {}
        self._norms: list[_NormBase] | None = None
        self._kept: list[tuple[Tensor, Tensor]] = []

    @property
    def most(self) -> int:
        """The longest row of any network; 0 where every last step was taken."""
        return self.worst[1]

    @property
    def worst(self) -> tuple[str, int]:
        """The network with the longest row, and its length."""
        return max(self.in_a_row.items(), key=lambda entry: entry[1], default=("", 0))

    @torch.no_grad()
    def before_batch(self, module: nn.Module) -> None:
        """Keep batch norm's running statistics, which take in a batch before anyone knows that it is sound."""
        if self._norms is None:
            self._norms = [
                part for part in module.modules() if isinstance(part, _NormBase) and part.track_running_stats
            ]
        statistics = [value for norm in self._norms for value in (norm.running_mean, norm.running_var)]
        self._kept = [(value, value.clone()) for value in statistics if value is not None]

    def took(self, network: str) -> None:
        """A step was taken."""
        self.in_a_row[network] = 0

    @torch.no_grad()
    def skip(self, network: str) -> None:
        """A step was left out; running statistics that are not finite become what they were before the batch."""
        self.in_a_row[network] = self.in_a_row.get(network, 0) + 1
        for value, kept in self._kept:
            value.copy_(torch.where(torch.isfinite(value), value, kept))
