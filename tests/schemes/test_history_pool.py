"""The pool hands out the past half the time, image by image, and goes on bit for bit after a resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrestore.data.seeding import generator_of
from medrestore.errors import MedrestoreError
from medrestore.schemes import HistoryPool


def batch(step: int, count: int = 4) -> Tensor:
    """Images that say which step and sample they are."""
    return (10 * step + torch.arange(count, dtype=torch.float32)).view(-1, 1, 1, 1).expand(-1, 4, 3, 3)


def swaps(pool: HistoryPool, first: int, last: int) -> list[Tensor]:
    return [pool.swap(batch(step), generator_of(7, step)) for step in range(first, last)]


def test_no_room_hands_back_the_images() -> None:
    pool, images = HistoryPool(0), batch(3).clone().requires_grad_()
    shown = pool.swap(images, generator_of(0))
    assert torch.equal(shown, images) and not shown.requires_grad
    assert pool.get_extra_state().numel() == 0


def test_it_fills_first_and_hands_back_what_it_is_given() -> None:
    pool = HistoryPool(6)
    assert torch.equal(pool.swap(batch(0), generator_of(0)), batch(0))
    shown = pool.swap(batch(1), generator_of(1))
    assert torch.equal(shown[:2], batch(1)[:2])  # the two that still had room
    assert torch.equal(pool.get_extra_state()[:4], batch(0)) and pool.filled == 6


def test_a_full_pool_swaps_half_the_images_and_loses_none() -> None:
    pool = HistoryPool(50)
    given, seen, old = [], [], 0
    for step in range(400):
        shown = pool.swap(batch(step), generator_of(0, step))
        given.append(batch(step))
        seen.append(shown)
        if step >= 13:  # full
            old += int((shown != batch(step)).all(dim=(1, 2, 3)).sum())
    assert abs(old / (387 * 4) - 0.5) < 0.05  # four standard deviations
    everything = torch.cat([*seen, pool.get_extra_state()])[:, 0, 0, 0]
    kept = torch.cat(given)[:, 0, 0, 0]
    # each image that went in came out or is still there; one that filled the pool does both
    assert set(kept.tolist()) == set(everything.tolist())
    assert len(everything) == len(kept) + 50


def test_by_hand() -> None:
    """An independent walk through CycleGAN's rule, with the same numbers."""
    pool, held = HistoryPool(3), []
    for step in range(12):
        random = generator_of(5, step)
        swap, place = torch.rand(4, generator=random), torch.randint(3, (4,), generator=random)
        expected = []
        for index, image in enumerate(batch(step)):
            if len(held) < 3:
                held.append(image)
                expected.append(image)
            elif swap[index] < 0.5:
                expected.append(held[place[index]])
                held[place[index]] = image
            else:
                expected.append(image)
        assert torch.equal(pool.swap(batch(step), generator_of(5, step)), torch.stack(expected))
    assert torch.equal(pool.get_extra_state(), torch.stack(held))


@pytest.mark.parametrize("at", [0, 1, 9])  # empty, half full, full
def test_a_resumed_pool_goes_on_bit_for_bit(at: int, tmp_path: Path) -> None:
    unbroken = HistoryPool(10)
    swaps(unbroken, 0, at)
    torch.save(unbroken.state_dict(), tmp_path / "state.pt")
    expected = swaps(unbroken, at, at + 12)
    resumed = HistoryPool(10)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, swaps(resumed, at, at + 12), strict=True))
    assert torch.equal(unbroken.get_extra_state(), resumed.get_extra_state())


def test_what_is_handed_out_and_stored_is_nobodys_memory(tmp_path: Path) -> None:
    pool, images = HistoryPool(8), batch(0).clone()
    shown = pool.swap(images, generator_of(0))
    stored = pool.get_extra_state()
    images.zero_()
    shown.zero_()
    assert torch.equal(pool.get_extra_state(), batch(0)) and torch.equal(stored, batch(0))
    torch.save(pool.state_dict(), tmp_path / "state.pt")
    torch.save(pool.swap(batch(1), generator_of(1)).new_zeros(4, 4, 3, 3), tmp_path / "four.pt")
    assert (tmp_path / "state.pt").stat().st_size < (tmp_path / "four.pt").stat().st_size + 500  # not all eight places


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(MedrestoreError, match=r"type model\.history=0"):
        HistoryPool(-1)
    pool = HistoryPool(4)
    pool.swap(batch(0), generator_of(0))
    with pytest.raises(MedrestoreError, match=r"holds images of \(4, 3, 3\), found \(4, 5, 5\); type the sampling"):
        pool.swap(torch.rand(1, 4, 5, 5), generator_of(0))
