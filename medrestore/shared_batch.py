"""A batch that several processes share: means and random numbers that are those of the whole batch.

Under data parallelism each process holds an equal share of a batch, and the gradients of their losses are averaged. A
loss that is a mean over samples is right without further ado. What is not (a mean over a mask, a score that counts
against the batch's average, statistics of batch norm) takes its means here, and random numbers of a step are drawn for
the whole batch by every process, which then uses its own slice. So nothing depends on the number of processes.

Outside of a training step, and where there is one process, everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor

_share = (0, 1)  # this process's place among those that share the batch, and how many they are


def begin_sharing(rank: int, ranks: int) -> None:
    """From now on batches are shares: a training step begins. The random state must be the same in all processes."""
    global _share
    _share = (rank, ranks)


def end_sharing() -> None:
    """From now on a batch is a whole one: the training step is over."""
    begin_sharing(0, 1)


@contextmanager
def sharing(rank: int, ranks: int) -> Iterator[None]:
    """`begin_sharing` and `end_sharing` around a block."""
    before = share()
    begin_sharing(rank, ranks)
    try:
        yield
    finally:
        begin_sharing(*before)


def share() -> tuple[int, int]:
    """This process's place among those that share the batch, and their number; (0, 1) where none is shared."""
    return _share


def batch_mean(value: Tensor) -> Tensor:
    """Mean of `value` over the processes that share the batch; gradients flow to the values of all of them.

    Every process must come here the same number of times, in the same order, with the same shape.

    Args:
        value: floating point, such as the mean of this share.
    """
    return value if _share[1] == 1 else _MeanOverShares.apply(value)  # type: ignore[return-value]


def own_slice(whole: Tensor) -> Tensor:
    """This process's part of what was drawn for the whole batch: `(ranks * N, ...)` -> `(N, ...)`."""
    rank, ranks = _share
    count = len(whole) // ranks
    return whole[rank * count : (rank + 1) * count]


class _MeanOverShares(torch.autograd.Function):
    """The gradients of all processes with respect to a common mean meet in it; differentiable twice."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total / _share[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _MeanOverShares.apply(gradients[0].contiguous())
