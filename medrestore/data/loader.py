"""A loader whose order is a pure function of (seed, epoch) and which can start in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from medrestore.data.seeding import generator_of
from medrestore.errors import MedrestoreError


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields `(epoch, index)` in the epoch's own order, cut into equal shares for the ranks.

    The order depends on the seed and the epoch only; rank r of R takes its slice of each global batch.

    Args:
        length: samples in the data set.
        batch_size: the global batch.
        seed: the training's seed.
        rank: this process.
        ranks: number of processes.
        shards: the shard of each sample, as `shards_of` gives it: an epoch shows all samples of shard 0, then those of
            shard 1, and so on, shuffled within; None = one shard.
        most: an epoch shows at most this many of the samples, others each time; None = all.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        shards: Sequence[int] | None = None,
        most: int | None = None,
    ) -> None:
        self.length, self.batch_size, self.seed, self.shards = length, batch_size, seed, shards
        self.batches = min(length, most or length) // batch_size
        self.rank, self.ranks = rank, ranks
        self.epoch = 0
        self.first_batch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * (self.batch_size // self.ranks)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.randperm(self.length, generator=generator_of(self.seed, "order", self.epoch)).tolist()
        order = order[: self.batches * self.batch_size]
        if self.shards is not None:
            order.sort(key=self.shards.__getitem__)  # stable: the shuffled order stays within a shard
        share = self.batch_size // self.ranks
        first, self.first_batch = self.first_batch, 0
        for batch in range(first, self.batches):
            start = batch * self.batch_size + self.rank * share
            yield from ((self.epoch, index) for index in order[start : start + share])


class Shares(Sampler[int]):
    """Deals samples out to processes, one to each in turn; one that would get none gets one that another has too.

    Args:
        length: samples in the data set.
        rank: this process.
        ranks: number of processes.
    """

    def __init__(self, length: int, rank: int, ranks: int) -> None:
        self.own = list(range(rank, length, ranks)) or list(range(length))[:1]

    def __len__(self) -> int:
        return len(self.own)

    def __iter__(self) -> Iterator[int]:
        return iter(self.own)


def shards_of(positions: Sequence[int], shards: int, seed: int) -> list[int] | None:
    """Cut the images into shards at random, once for the whole training; for `EpochSampler`.

    S3 split its images at random into seven sub-datasets, "sequentially fed into the model" for five epochs. Here every
    epoch walks through all shards, so that it stays a full view of the data and validation compares like with like.
    The paper's literal order would be all epochs of the first shard, then all of the second: the same number of
    updates, and a model that has last seen one seventh of the data. A batch at a border holds samples of both shards.

    Args:
        positions: the image that each sample shows.
        shards: number of shards; 1 = none.
        seed: the training's seed.

    Returns:
        The shard of each sample, from 0; None where there is one shard only.

    Raises:
        MedrestoreError: fewer than one shard, or more shards than images.
    """
    images = sorted(set(positions))
    if not isinstance(shards, int) or not 1 <= shards <= max(1, len(images)):
        raise MedrestoreError(
            f"sampling.shards cuts {len(images)} training images into at least 1 and at most {len(images)} parts, "
            f"found {shards}; type sampling.shards=1"
        )
    if shards == 1:
        return None
    order = torch.randperm(len(images), generator=generator_of(seed, "shards")).tolist()
    shard = {image: place * shards // len(images) for image, place in zip(images, order, strict=True)}
    return [shard[position] for position in positions]


class ResumableLoader(DataLoader):
    """A DataLoader that remembers how many batches of the epoch were used.

    Lightning stores `state_dict` in the checkpoint and restores it before the epoch goes on.
    """

    def __init__(
        self,
        dataset: Dataset,
        sampler: EpochSampler,
        workers: int,
        pin_memory: bool,
        collate: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(
            dataset,
            collate_fn=collate,
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
