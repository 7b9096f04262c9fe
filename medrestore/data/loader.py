"""A loader whose order is a pure function of (seed, epoch) and which can start in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from medrestore.data.seeding import generator_of


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields `(epoch, index)` in the epoch's own order, cut into equal shares for the ranks.

    The order depends on the seed and the epoch only; rank r of R takes its slice of each global batch.

    Args:
        length: samples in the data set.
        batch_size: the global batch.
        seed: the training's seed.
        rank: this process.
        ranks: number of processes.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.ranks = rank, ranks
        self.epoch = 0
        self.first_batch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.batch_size * (self.batch_size // self.ranks)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.randperm(self.length, generator=generator_of(self.seed, "order", self.epoch)).tolist()
        share = self.batch_size // self.ranks
        first, self.first_batch = self.first_batch, 0
        for batch in range(first, self.length // self.batch_size):
            start = batch * self.batch_size + self.rank * share
            yield from ((self.epoch, index) for index in order[start : start + share])


class ResumableLoader(DataLoader):
    """A DataLoader that remembers how many batches of the epoch were used.

    Lightning stores `state_dict` in the checkpoint and restores it before the epoch goes on.
    """

    def __init__(self, dataset: Dataset, sampler: EpochSampler, workers: int, pin_memory: bool) -> None:
        super().__init__(
            dataset,
            batch_size=sampler.batch_size // sampler.ranks,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            drop_last=True,
        )
        self._used = 0

    def __iter__(self) -> Iterator:  # type: ignore[override]
        assert isinstance(self.sampler, EpochSampler)
        self._used = self.sampler.first_batch
        for batch in super().__iter__():
            self._used += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Batches of the current epoch that the training has received."""
        return {"batches": self._used % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next epoch after the batches of `state`."""
        assert isinstance(self.sampler, EpochSampler)
        self.sampler.first_batch = state["batches"]
