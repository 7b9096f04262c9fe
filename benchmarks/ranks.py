"""Two processes against one at the same global batch, on as many cores; prints, asserts nothing.

python benchmarks/ranks.py [PROCESSES] [ROUNDS]
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_RECIPES = {
    "cervix_deblur quick, generator alone": ["experiment=cervix_deblur", "pretrain_epochs=2", "epochs=3"],
    "cervix_deblur quick, with the critic": ["experiment=cervix_deblur", "pretrain_epochs=0", "epochs=3"],
}
_SHORT = ["evaluation.run=false", "judge=none", "callbacks.sample_images=0", "sampling.val_images=2",
          "hardware=cpu"]  # fmt: skip


def history(overrides: Sequence[str], **environment: str) -> list[dict[str, str]]:
    """Train as a user would, in a process of its own; what it logged, a row an epoch.

    Raises:
        CalledProcessError: the training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        command = [sys.executable, "-m", "medrestore.train", *overrides, f"hydra.run.dir={directory}"]
        subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
        with open(directory / "metrics.csv", encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text))


def images_per_second(recipe: list[str], processes: int, threads: int) -> float:
    """Speed of the second epoch, after all has warmed up."""
    overrides = [*recipe, *_SHORT, "sampling.crops_per_epoch=96", f"hardware.devices={processes}"]
    rows = history(overrides, OMP_NUM_THREADS=str(threads), CUDA_VISIBLE_DEVICES="")
    return float(rows[1]["speed/images_per_second"])


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for name, recipe in _RECIPES.items():
        pairs = [(images_per_second(recipe, 1, count), images_per_second(recipe, count, 1)) for _ in range(rounds)]
        ratios = [shared / alone for alone, shared in pairs]
        print(
            f"{name}: 1 process of {count} threads {statistics.median(a for a, _ in pairs):.3g} images/s, "
            f"{count} of one {statistics.median(b for _, b in pairs):.3g}: ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds)",
            flush=True,
        )
