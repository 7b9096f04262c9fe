"""The one accumulator of the metric classes: a mean over images that counts what it leaves out."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanOverImages(Metric):
    """Mean of one value an image; infinite values are left out of the mean and counted.

    Attributes:
        left_out: how many images were left out of the mean because their value is infinite.
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor
    left_out: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("left_out", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def add(self, values: Tensor) -> None:
        """Add one value an image, `(N,)`."""
        infinite = values.isinf()
        self.total += values[~infinite].sum()
        self.count += (~infinite).sum()
        self.left_out += infinite.sum()

    def compute(self) -> Tensor:
        """The mean, float64; infinite when every image was left out."""
        if self.count == 0 and self.left_out > 0:
            return torch.full_like(self.total, torch.inf)
        return self.total / self.count
