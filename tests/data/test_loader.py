"""The order of the samples is a function of (seed, epoch) alone, for any number of workers, ranks and restarts."""

from __future__ import annotations

import pytest
import torch

from medrestore.data.loader import EpochSampler, ResumableLoader, shards_of
from medrestore.errors import MedrestoreError


class Echo(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 23

    def __getitem__(self, where: tuple[int, int]) -> torch.Tensor:
        return torch.tensor(where)


def epoch(sampler: EpochSampler, number: int) -> list[tuple[int, int]]:
    sampler.set_epoch(number)
    return list(sampler)


def test_an_epoch_is_a_permutation_that_changes_with_epoch_and_seed() -> None:
    first = epoch(EpochSampler(23, 4, seed=1), 0)
    assert len(first) == 20 and len({index for _, index in first}) == 20
    assert first == epoch(EpochSampler(23, 4, seed=1), 0)
    assert first != epoch(EpochSampler(23, 4, seed=2), 0)
    assert [i for _, i in first] != [i for _, i in epoch(EpochSampler(23, 4, seed=1), 1)]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_each_global_batch(ranks: int) -> None:
    whole = epoch(EpochSampler(23, 4, seed=1), 3)
    shares = [epoch(EpochSampler(23, 4, seed=1, rank=rank, ranks=ranks), 3) for rank in range(ranks)]
    size = 4 // ranks
    joined = [entry for batch in range(5) for share in shares for entry in share[batch * size : (batch + 1) * size]]
    assert joined == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_in_the_middle_of_an_epoch(workers: int) -> None:
    def loader() -> ResumableLoader:
        made = ResumableLoader(Echo(), EpochSampler(23, 4, seed=1), workers, pin_memory=False)
        made.sampler.set_epoch(2)  # type: ignore[union-attr]
        return made

    whole = [batch.tolist() for batch in loader()]
    broken = loader()
    stream = iter(broken)
    for _ in range(3):
        next(stream)
    state = broken.state_dict()
    assert state == {"batches": 3}
    resumed = loader()
    resumed.load_state_dict(state)
    assert [batch.tolist() for batch in resumed] == whole[3:]
    resumed.sampler.set_epoch(3)  # type: ignore[union-attr]
    assert len(list(resumed)) == 5
    assert resumed.state_dict() == {"batches": 0}


POSITIONS = [*range(8), *range(8), *range(7)]  # 23 crops of eight images


def test_an_epoch_walks_from_shard_to_shard() -> None:
    shards = shards_of(POSITIONS, 3, seed=1)
    assert shards is not None
    images = [{POSITIONS[index] for index in range(23) if shards[index] == shard} for shard in range(3)]
    assert sorted(map(len, images)) == [2, 3, 3]
    assert set.union(*images) == set(range(8))  # the crops of an image are never divided
    for number in range(3):
        order = [index for _, index in epoch(EpochSampler(23, 1, seed=1, shards=shards), number)]
        assert sorted(order) == list(range(23))
        seen = [shards[index] for index in order]
        assert seen == sorted(seen)
        assert order != sorted(order, key=lambda index: (shards[index], index))  # shuffled within


def test_shards_are_cut_once_by_the_seed() -> None:
    assert shards_of(POSITIONS, 3, seed=1) == shards_of(POSITIONS, 3, seed=1)
    assert shards_of(POSITIONS, 3, seed=1) != shards_of(POSITIONS, 3, seed=2)
    assert len({tuple(shards_of(range(8), 2, seed) or ()) for seed in range(20)}) > 10
    shards = shards_of(POSITIONS, 3, seed=1)
    one, other = (epoch(EpochSampler(23, 1, seed=1, shards=shards), number) for number in (0, 1))
    assert [index for _, index in one] != [index for _, index in other]


def test_one_shard_changes_nothing() -> None:
    shards = shards_of(POSITIONS, 1, seed=1)
    assert shards is None
    assert epoch(EpochSampler(23, 4, 1, shards=[0] * 23), 2) == epoch(EpochSampler(23, 4, 1), 2)


def test_ranks_and_restarts_keep_the_order_of_the_shards() -> None:
    shards = shards_of(POSITIONS, 3, seed=1)
    whole = epoch(EpochSampler(23, 4, 1, shards=shards), 3)
    halves = [epoch(EpochSampler(23, 4, 1, rank, 2, shards), 3) for rank in range(2)]
    assert [entry for batch in range(5) for half in halves for entry in half[batch * 2 : batch * 2 + 2]] == whole
    resumed = EpochSampler(23, 4, 1, shards=shards)
    resumed.first_batch = 2
    assert epoch(resumed, 3) == whole[8:]


@pytest.mark.parametrize("shards", [0, 9, 2.5])
def test_shards_that_cannot_be_cut_are_refused(shards: int) -> None:
    with pytest.raises(MedrestoreError, match="8 training images"):
        shards_of(POSITIONS, shards, seed=1)


def test_a_short_epoch_shows_other_samples_each_time_and_each_at_most_once() -> None:
    sampler = EpochSampler(100, 4, seed=0, most=22)
    assert len(sampler) == 20
    first = [index for _, index in sampler]
    sampler.set_epoch(1)
    second = [index for _, index in sampler]
    assert len(set(first)) == len(first) == 20 and set(first) != set(second)
    sampler.set_epoch(0)
    sampler.first_batch = 3
    assert [index for _, index in sampler] == first[12:]
