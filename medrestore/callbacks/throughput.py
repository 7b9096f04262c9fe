"""How fast a training goes, how long it waits for data, and how much memory it takes."""

from __future__ import annotations

import resource
import sys
import time

import torch


class Throughput:
    """Measures steps; validation and saving between them do not count.

    A step of ours ends with a look at its gradients, which waits for a GPU: the clock needs no synchronisation.

    Attributes:
        images: crops that all processes have trained on.
    """

    def __init__(self) -> None:
        self.images = 0
        self._waited = self._worked = 0.0
        self._mark: float | None = None

    @property
    def seconds(self) -> float:
        """Of steps and of waiting for their data."""
        return self._waited + self._worked

    def pause(self) -> None:
        """Something other than training begins."""
        self._mark = None

    def wait(self) -> None:
        """The next batch is asked for."""
        self._mark = time.perf_counter()

    def begin_step(self) -> None:
        """A batch is there."""
        now = time.perf_counter()
        if self._mark is not None:
            self._waited += now - self._mark
        self._mark = now

    def end_step(self, images: int) -> None:
        """A step is over, and the next batch is asked for.

        Args:
            images: of the whole batch.
        """
        now = time.perf_counter()
        if self._mark is not None:
            self._worked += now - self._mark
            self.images += images
        self._mark = now

    def measured(self) -> dict[str, float]:
        """Images a second, share of the time spent waiting for data, and peak memory in MB; empty before any step."""
        if not self.images or not self.seconds:
            return {}
        return {
            "images_per_second": self.images / self.seconds,
            "data_wait": self._waited / self.seconds,
            "peak_memory_mb": peak_memory_mb(),
        }


def peak_memory_mb() -> float:
    """Largest memory of this process so far: that of tensors on a GPU where it has used one, else of all of it."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def told(measured: dict[str, float]) -> str:
    """The measurements in a line."""
    return (
        f"{measured['images_per_second']:.3g} images/s, {measured['data_wait']:.0%} of the time waiting for data, "
        f"peak memory {measured['peak_memory_mb']:.0f} MB"
    )
