"""Seconds that the scores of a photograph of 1024 x 1024 take: `python benchmarks/metrics.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medrestore.metrics import BrisqueModel, NiqeModel, brisque, niqe, piqe, psnr, ssim

_ROUNDS = 5


def seconds(metric: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Median wall time of a call, after a warm-up."""
    took = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        metric(image)
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:])


def main() -> None:
    """Print one line a metric; the models of NIQE and BRISQUE have the size of LIVE's and random numbers."""
    random = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 1024, 1024, generator=random, dtype=torch.float64)
    pristine = NiqeModel(torch.rand(36, generator=random).double(), torch.eye(36, dtype=torch.float64), 96)
    vectors = torch.rand(774, 36, generator=random, dtype=torch.float64)
    ends = torch.zeros(36, dtype=torch.float64), torch.ones(36, dtype=torch.float64)
    regression = BrisqueModel(vectors, vectors[:, 0], 0.05, -40.0, *ends)
    other = image.flip(-1)
    rows: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("psnr", lambda shown: psnr(shown, other)),
        ("ssim", lambda shown: ssim(shown, other)),
        ("piqe", piqe),
        ("niqe", lambda shown: niqe(shown, params=pristine)),
        ("brisque", lambda shown: brisque(shown, params=regression)),
    ]
    for name, metric in rows:
        print(f"{name:8} {seconds(metric, image):.2f} s, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
