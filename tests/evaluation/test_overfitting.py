from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from medrestore.evaluation.overfitting import parting


def history(val: Sequence[float], train: Sequence[float], alone: int = 0) -> list[dict[str, float]]:
    """Rows of `metrics.csv`; the critic learns from epoch `alone` on."""
    return [
        {"epoch": float(epoch), "val/psnr": v, "train/psnr": t, "critic_updates": 0.0 if epoch < alone else 5.0}
        for epoch, (v, t) in enumerate(zip(val, train, strict=True))
    ]


RISING = [30.0, 31.0, 32.0, 32.5, 33.0, 33.3, 33.5, 33.6, 33.8]
STANDING = [30.0, 31.0, 31.9, 32.0, 31.9, 31.8, 31.9, 32.0, 31.7]  # no better than epoch 4 in the last third


def test_a_training_that_parts_is_told_in_one_line() -> None:
    (line,) = parting(history(STANDING, RISING))
    assert line.startswith("The training overfits: PSNR of validation images has not risen since epoch 4 (32.00 dB)")
    assert "gained 0.50 dB" in line  # 33.8 after 33.3


@pytest.mark.parametrize(
    ("val", "train"),
    [
        (RISING, RISING),  # both learn
        (STANDING, STANDING),  # neither does
        (STANDING[:5], RISING[:5]),  # too short to tell
        ([*STANDING[:8], 32.01], RISING),  # the last epoch is better after all
        (STANDING, [*RISING[:6], 33.35, 33.2, 33.39]),  # less than 0.1 dB
        ([math.nan] * 9, RISING),
        ([math.inf, *STANDING[:4]], RISING[:5]),  # epochs without a number do not count
    ],
)
def test_others_are_not(val: list[float], train: list[float]) -> None:
    assert parting(history(val, train)) == []


def test_stages_are_looked_at_one_by_one() -> None:
    both = history([*STANDING, *RISING], [*RISING, *RISING], alone=9)
    (line,) = parting(both)
    assert line.startswith("Stage 1 overfits")
    (line,) = parting(history([*RISING, *STANDING], [*RISING, *RISING], alone=9))
    assert line.startswith("Stage 2 overfits") and "since epoch 13 " in line
    assert len(parting(history([*STANDING, *STANDING], [*RISING, *RISING], alone=9))) == 2


def test_without_scores_of_training_images_nothing_is_said() -> None:
    rows = [{"epoch": float(i), "val/psnr": value} for i, value in enumerate(STANDING)]
    assert parting(rows) == [] and parting([]) == []
