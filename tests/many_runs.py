"""A sweep of judged runs with histories, made in a moment: what a comparison of many meets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from judged_runs import judged_run


def many_runs(directory: Path, models: int, seeds: int, epochs: int = 12, images: int = 8) -> list[Path]:
    """Runs `0, 1, 2, ...` below `directory`: learning rates that are better in the middle, curves that saturate."""
    random = np.random.default_rng(0)
    runs = []
    for model in range(models):
        rate = 10 ** (-4 + 2 * model / max(1, models - 1))
        best = 27.0 + 2.0 * math.sin(math.pi * model / max(1, models - 1))
        for seed in range(seeds):
            end = best + float(random.normal(0, 0.15))
            lines = ["epoch,step,seconds,generator_updates,val/psnr"]
            for epoch in range(epochs):
                value = end - 5.0 * math.exp(-epoch / (2 + 4 * model / models)) + float(random.normal(0, 0.05))
                seconds = (epoch + 1) * (10 + model % 5 + float(random.uniform(0, 1)))
                lines.append(f"{epoch},{20 * epoch + 19},{seconds:.1f},{20 * (epoch + 1)},{value:.4f}")
            wobble = random.normal(0, 1.0, images)
            same = {"ssim": [0.8 + number / 1000 for number in range(images)]}
            values = {
                "identity": {"psnr": [22.0 + number % 3 for number in range(images)], **same},
                "wiener": {"psnr": [23.0 + number % 3 for number in range(images)], **same},
                "restored": {"psnr": list(end + wobble), "ssim": list(0.9 + end / 1000 + wobble / 100)},
            }
            config = {"model.generator_optimizer.lr": round(rate, 7), "model.critic_steps": 1 + model % 3}
            history = "\n".join(lines) + "\n"
            runs.append(judged_run(directory / str(len(runs)), values, seed, config, history=history))
    return runs
