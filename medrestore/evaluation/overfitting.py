"""Whether a training learned its own images by heart: validation stands still while training scores go on rising."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_FEWEST = 6  # epochs of a stage: less than two in its last third say nothing
_RISE = 0.1  # dB that training images must gain meanwhile

History = Sequence[Mapping[str, float]]


def stages(history: History) -> list[list[Mapping[str, float]]]:
    """The epochs of `metrics.csv` by stage: those before the critic's first update, then the others."""
    alone = [row for row in history if not row.get("critic_updates")]
    against = [row for row in history if row.get("critic_updates")]
    return [stage for stage in (alone, against) if stage]


def parting(history: History) -> list[str]:
    """A line for each stage in which PSNR of training and of validation images part, as in S5's figures 6 and 7.

    They part where the last third of the stage's epochs has no better validation PSNR than the epochs before, while the
    PSNR of training images reached at least 0.1 dB more than before. Stages of fewer than six epochs are not looked at.

    Args:
        history: rows of `metrics.csv`, with `val/psnr` and `train/psnr` of whole images, measured in the same way.
    """
    lines: list[str] = []
    found = stages(history)
    for number, stage in enumerate(found, start=1):
        known = [row for row in stage if all(math.isfinite(row.get(f"{p}/psnr", math.nan)) for p in ("train", "val"))]
        if len(known) < _FEWEST:
            continue
        before, last = known[: len(known) - len(known) // 3], known[len(known) - len(known) // 3 :]
        best, late = (max(row["val/psnr"] for row in rows) for rows in (before, last))
        rise = max(row["train/psnr"] for row in last) - max(row["train/psnr"] for row in before)
        if late <= best and rise >= _RISE:
            epoch = next(int(row["epoch"]) + 1 for row in before if row["val/psnr"] == best)
            where = f"Stage {number} overfits" if len(found) > 1 else "The training overfits"
            lines.append(
                f"{where}: PSNR of validation images has not risen since epoch {epoch} ({best:.2f} dB), while training "
                f"images gained {rise:.2f} dB in the last third of its epochs; more images, dropout or "
                "fewer epochs may help."
            )
    return lines
