"""The loader alone against the training step on the same cores: it must feed at least twice what a step eats.

python benchmarks/loader.py
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from medrestore.config import build, compose
from medrestore.data.loader import ResumableLoader
from medrestore.run import make_data

ROUNDS = 5


def loader_rate(loader: ResumableLoader, batches: int) -> float:
    """Images a second."""
    start = time.perf_counter()
    stream = iter(loader)
    for _ in range(batches):
        batch = next(stream)
    return batches * len(batch.degraded) / (time.perf_counter() - start)


def step_rate(config, batch, steps: int) -> float:
    """Images a second of the quick generator's forward, backward and update, the cheapest step there is."""
    generator = build(config.model.generator)
    optimizer = torch.optim.Adam(generator.parameters(), 1e-3)
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        (generator(batch.degraded) - batch.target).abs().mean().backward()
        optimizer.step()
    return steps * len(batch.degraded) / (time.perf_counter() - start)


def main() -> None:
    config = compose("train", ["experiment=cervix_deblur", "hardware=cpu"])
    with TemporaryDirectory() as directory:
        data = make_data(config, Path(directory) / "split.csv")
        data.prepare("train")
        loader = data.train_dataloader()
        batch = next(iter(loader))
        loader_rate(loader, 5)  # the first draw imports albumentations
        rates = [(loader_rate(loader, 30), step_rate(config, batch, 6)) for _ in range(ROUNDS)]
    loads, steps = median(a for a, _ in rates), median(b for _, b in rates)
    print(
        f"loader {loads:.0f} images/s, training step {steps:.0f} images/s, ratio {median(a / b for a, b in rates):.1f}"
    )


if __name__ == "__main__":
    main()
