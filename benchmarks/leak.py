"""How much a training's memory grows over 2,000 steps with all dashboards on; prints, asserts nothing.

python benchmarks/leak.py [steps]

Resident memory of this process, and of the one that W&B starts, every 100 steps. What is counted is growth from step
200 on: until then allocators, caches and the loggers' libraries fill. Linux only.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from dashboards import watched

from medrestore.callbacks import Dashboards

_WARM, _EVERY = 200, 100
_TINY = [
    "dataset.patients=6",
    "dataset.images_per_patient=2",
    "dataset.size=64",
    "dataset.natural_patients=0",
    "model.generator.width=8",
    "model.generator.depth=1",
    "model.critic.width=8",
    "sampling.crop=32",
    "sampling.batch_size=2",
    "sampling.val_images=2",
    "sampling.crops_per_image=10",
    "pretrain_epochs=0",
]


def resident(process: int | str = "self") -> float:
    """Resident memory of a process in MB; 0 of one that has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children() -> list[int]:
    """Processes that this one started, and theirs."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


class Weigh(pl.Callback):
    """Weighs the process every so many steps and ends the training after the last."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done = 0
        self.weights: list[tuple[int, float, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Count, weigh, stop."""
        self.done += 1
        if self.done % _EVERY == 0:
            self.weights.append((self.done, resident(), sum(resident(child) for child in children())))
            print(f"step {self.done}: {self.weights[-1][1]:.0f} MB, W&B's {self.weights[-1][2]:.0f} MB", flush=True)
        trainer.should_stop = self.done >= self.steps


def main() -> None:
    """Print the weights and the growth."""
    warnings.filterwarnings("ignore")
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    weigh = Weigh(steps)
    with tempfile.TemporaryDirectory() as made, Dashboards(Path(made)) as dashboards:
        watched(Path(made), [*_TINY, "epochs=1000"], [weigh], dashboards)
    _, first, first_child = next(weight for weight in weigh.weights if weight[0] >= min(_WARM, steps))
    _, last, last_child = weigh.weights[-1]
    print(f"growth from step {_WARM} to {weigh.done}: {last - first:.1f} MB")
    print(f"of W&B's own process: {last_child - first_child:.1f} MB")


if __name__ == "__main__":
    main()
