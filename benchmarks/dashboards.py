"""What logging costs: a training step that records against one that does not, and the rest of it by the epoch.

python benchmarks/dashboards.py [directory]

One training of the quick recipe with all dashboards on (W&B offline, TensorBoard, metrics.csv). Steps take turns: with,
without, without, with recording; the ratio is that of neighbours, so that what else the machine does falls on both, in
wall time and in the process's own CPU time, which a busy machine does not stretch. Prints, asserts nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from medrestore.callbacks import Dashboards, History, SampleImages
from medrestore.config import build, compose
from medrestore.run import make_data
from medrestore.schemes import AbstractRestorer

os.environ["WANDB_MODE"] = "offline"


def watched(
    directory: Path, overrides: Sequence[str], callbacks: Sequence[pl.Callback], dashboards: Dashboards
) -> None:
    """Train with all dashboards on, without export and evaluation.

    Args:
        directory: for their files.
        overrides: of the configuration.
        callbacks: besides those of the dashboards.
        dashboards: opened here, closed by the caller.
    """
    config = compose("train", ["experiment=cervix_deblur", "logger=[wandb,tensorboard]", "hardware=cpu", *overrides])
    pl.seed_everything(0, verbose=False)
    module: Any = build(config.model)
    data = make_data(config, directory / "split.csv", type(module).samples)
    data.prepare("train", "val")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=config.epochs,
        logger=[History(directory / "metrics.csv"), *dashboards.open(config)],
        callbacks=[dashboards, SampleImages(directory / "samples", 1, 0.0), *callbacks],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)


class Turns(pl.Callback):
    """Switches recording on and off by the step and keeps how long each took."""

    def __init__(self) -> None:
        self.steps: list[tuple[bool, float, float]] = []  # recorded, wall seconds, CPU seconds
        self._on = True
        self._start = (0.0, 0.0)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Take the next turn."""
        assert isinstance(pl_module, AbstractRestorer)
        self._on = len(self.steps) % 4 in (0, 3)
        real = type(pl_module)._record.__get__(pl_module)
        pl_module._record = real if self._on else lambda name, value: None
        self._start = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the time; Lightning's own part of logging lies before this."""
        wall, cpu = self._start
        self.steps.append((self._on, time.perf_counter() - wall, time.process_time() - cpu))


def timed(method: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """A method that says how long it took."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    return call


class Clocks(pl.Callback):
    """Keeps the time that loggers take at the end of epochs, from the second epoch on."""

    def __init__(self) -> None:
        self.spent: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wrap the loggers once they have started."""
        if trainer.current_epoch == 1:
            for logger in trainer.loggers:
                for name in ("log_metrics", "show_samples", "publish", "save"):
                    if hasattr(logger, name):
                        setattr(logger, name, timed(getattr(logger, name), self.spent))


def main() -> None:
    """Print the ratio of neighbouring steps and what an epoch's end costs."""
    warnings.filterwarnings("ignore")
    turns, clocks, epochs = Turns(), Clocks(), 4
    with tempfile.TemporaryDirectory() as made:
        directory = Path(sys.argv[1] if len(sys.argv) > 1 else made)
        with Dashboards(directory) as dashboards:
            more = [f"epochs={epochs}", "pretrain_epochs=0", "sampling.crops_per_epoch=400"]
            watched(directory, more, [turns, clocks], dashboards)
    steps = turns.steps[4:]
    pairs = list(zip(steps[::2], steps[1::2], strict=False))
    for kind, name in ((1, "wall"), (2, "CPU")):
        ratios = [a[kind] / b[kind] if a[0] else b[kind] / a[kind] for a, b in pairs]
        on, off = (
            1000 * statistics.median(step[kind] for step in steps if step[0] is which) for which in (True, False)
        )
        print(f"{name} time of a step with recording {on:.1f} ms, without {off:.1f} ms; ", end="")
        print(f"ratio of neighbours, median of {len(ratios)}: {statistics.median(ratios):.4f}")
    an_epoch = sum(clocks.spent) / (epochs - 1)
    count = len(turns.steps) / epochs
    share = an_epoch / (count * statistics.median(step[1] for step in steps))
    print(f"loggers at an epoch's end: {1000 * an_epoch:.0f} ms, {100 * share:.2f} % of its {count:.0f} steps")


if __name__ == "__main__":
    main()
