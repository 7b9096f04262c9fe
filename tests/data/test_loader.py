"""The order of the samples is a function of (seed, epoch) alone, for any number of workers, ranks and restarts."""

from __future__ import annotations

import pytest
import torch

from medrestore.data.loader import EpochSampler, ResumableLoader


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
