"""Blocks whose activations need not be kept: they are computed again when the gradients are taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_again = False


class Block(nn.Module, ABC):
    """A part of a generator that many of stand in a row.

    Attributes:
        recompute: keep only the block's input in a training step, and compute the rest again for the gradients, which
            are the same: about a third more time for a fraction of the memory (Chen et al., arXiv:1604.06174).
    """

    recompute = False

    @abstractmethod
    def compute(self, features: Tensor) -> Tensor:
        """What the block does to `(N, C, H, W)`."""

    def forward(self, features: Tensor) -> Tensor:
        """`compute`, with or without its activations kept."""
        if self.recompute and self.training and torch.is_grad_enabled():
            return checkpoint(self.compute, features, use_reentrant=False, context_fn=_contexts)  # type: ignore
        return self.compute(features)


def recompute_blocks(network: nn.Module) -> int:
    """Let all blocks of a network compute their activations again; returns how many there are."""
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for block in blocks:
        block.recompute = True
    return len(blocks)


def computing_again() -> bool:
    """Whether a block is being computed for the second time in a step: running statistics have seen it already."""
    return _again


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _second_time()


@contextmanager
def _second_time() -> Iterator[None]:
    global _again
    _again = True
    try:
        yield
    finally:
        _again = False
