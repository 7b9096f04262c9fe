"""Blur kernels drawn in a second on one thread: `python benchmarks/kernels.py`."""

from __future__ import annotations

import time

import torch

from medrestore.degradations import Degradation, FocalBlur, MotionBlur

_SECONDS = 2.0


def kernels_per_second(degradation: Degradation, seconds: float = _SECONDS) -> float:
    """Draws of `sample` in one second of wall time, measured over `seconds` after a warm-up."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        degradation.sample(generator)
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        degradation.sample(generator)
        count += 1
    return count / spent


def main() -> None:
    """Print one line a degradation."""
    torch.set_num_threads(1)
    rows: list[tuple[str, Degradation]] = [
        ("motion, small", MotionBlur("small")),
        ("motion, big", MotionBlur("big")),
        ("focal, 3 to 6", FocalBlur()),
    ]
    for name, degradation in rows:
        print(f"{name:14s} {kernels_per_second(degradation):8.0f} kernels/s on one thread")


if __name__ == "__main__":
    main()
