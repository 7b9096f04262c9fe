"""What saving a checkpoint costs a training of the paper's size; prints, asserts nothing.

python benchmarks/checkpoint.py [steps]

The training is that of `experiment=cervix_deblur budget=paper` (generator of 11 million weights, five critic updates a
step, crop 256, batch 1) on random images. A save stalls it by a check that everything is finite and by a copy to
memory; writing, summing and flushing go on in a thread, which on few cores slows the steps meanwhile.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from medrestore.callbacks import Checkpoints, NanGuard
from medrestore.callbacks.checkpoints import _refuse_not_finite
from medrestore.config import build, compose
from medrestore.data.samples import Pair

_RUN = ["experiment=cervix_deblur", "budget=paper", "feature_weights=random", "pretrain_epochs=0"]


class Crops(torch.utils.data.Dataset[Pair]):
    """Random pairs of the paper's size."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        degraded, target = torch.rand(2, 3, 256, 256)
        return Pair(degraded, target, torch.ones(1, 256, 256), torch.tensor(index))


class Watch(pl.Callback):
    """Times steps alone, a save, and the steps while it is written."""

    def __init__(self, folder: Path) -> None:
        self.saves = Checkpoints(folder, "last", "last", 1e9, lambda generator, selected: None)
        self.alone: list[float] = []
        self.beside: list[float] = []
        self.stalls: list[float] = []
        self.checks: list[float] = []
        self.writes: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Every second step is followed by a save, the next one meets its writing."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self._start
        if batch_idx == 0:
            trainer.strategy.checkpoint_io = self.saves.saving
            return  # warms up
        if batch_idx % 2 == 0:
            self.beside.append(seconds)
            self.saves.saving.wait()
            return
        self.alone.append(seconds)
        start = time.perf_counter()
        _refuse_not_finite(trainer, pl_module)
        self.checks.append(time.perf_counter() - start)
        self.saves._save(trainer, "last")
        self.stalls.append(time.perf_counter() - start)
        if len(self.writes) < 2:  # how long the disk takes, without a step beside it
            start = time.perf_counter()
            self.saves.saving.wait()
            self.writes.append(time.perf_counter() - start)


def main(steps: int) -> None:
    """Train, save, print."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    module = build(compose("train", _RUN).model)
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder))
        trainer = pl.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, devices=1, limit_val_batches=0, callbacks=[NanGuard(10), watch],
        )  # fmt: skip
        crops = torch.utils.data.DataLoader(Crops(steps), batch_size=1)
        trainer.fit(module, crops, crops)
        size = (Path(folder) / "last.ckpt").stat().st_size
    step, stall = statistics.median(watch.alone), statistics.median(watch.stalls)
    write = statistics.median(watch.writes)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{device}, checkpoint of {size / 1e6:.0f} MB")
    print(f"one step:                       {step:8.3f} s")
    print(f"stall of a save:                {stall:8.3f} s, of it the check {statistics.median(watch.checks):.3f} s")
    print(f"written in the background in:   {write:8.3f} s")
    print(f"a step beside the writing:      {statistics.median(watch.beside[2:] or watch.beside):8.3f} s")
    print(f"stall / step {stall / step:.3f}; in the training's thread it would be {(stall + write) / step:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 13)
