"""Pictures of validation images while a training runs: degraded, restored, target, error."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image as PILImage
from torch import Tensor
from torch.nn.functional import interpolate, pad

from medrestore.callbacks.dashboard import Dashboard
from medrestore.evaluation.figures import error_panel
from medrestore.schemes import AbstractRestorer

_SIDE = 320  # a panel is a central crop of at most this side, pixel for pixel


class SampleImages(pl.Callback):
    """Writes `samples/epoch_<n>.png` after validations and shows the dashboards the same, a picture an image.

    They are the first validation images, the same ones in every epoch.

    Args:
        directory: the run's `samples` folder.
        images: how many validation images.
        seconds: least time between two pictures; the last epoch always has one.
    """

    def __init__(self, directory: Path, images: int, seconds: float) -> None:
        self.directory = directory
        self.images = images
        self.seconds = seconds
        self._last = -float("inf")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the module to keep what it restores, when a picture is due."""
        assert isinstance(pl_module, AbstractRestorer)
        final = trainer.current_epoch + 1 == trainer.max_epochs
        due = final or time.monotonic() - self._last >= self.seconds
        pl_module.keep_samples = self.images if due and trainer.is_global_zero else 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw and send the picture."""
        assert isinstance(pl_module, AbstractRestorer)
        if not pl_module.restored_samples:
            return
        self._last = time.monotonic()
        samples, epoch = pl_module.restored_samples, trainer.current_epoch + 1
        pl_module.restored_samples = []
        path = self.directory / f"epoch_{epoch:04d}.png"
        try:
            self.directory.mkdir(exist_ok=True)
            PILImage.fromarray(sample_grid(samples)).save(path)
        except OSError as error:  # a full disk costs the picture, not the training
            print(f"medrestore: {path} was not saved: {error.strerror or error}", file=sys.stderr)
        shown = [logger for logger in trainer.loggers if isinstance(logger, Dashboard)]
        panels = [sample_grid([sample]) for sample in samples] if shown else []
        for logger in shown:
            logger.show_samples(panels, epoch)


def sample_grid(samples: list[tuple[Tensor, Tensor, Tensor]]) -> np.ndarray:
    """One row an image: degraded, restored, target, error of the restored; `(H, W, 3)` bytes."""
    return panel_grid(
        [[degraded, restored, target, error_panel(restored, target)] for degraded, restored, target in samples]
    )


def panel_grid(rows: list[list[Tensor]]) -> np.ndarray:
    """Put images `(C, h, w)` in [0, 1] side by side, a row a list; smaller ones are enlarged by repeating pixels."""
    drawn = []
    for row in rows:
        size = max(tuple(image.shape[1:]) for image in row)
        alike = [image if image.shape[1:] == size else interpolate(image[None], size=size)[0] for image in row]
        drawn.append(torch.cat([_panel(image) for image in alike], dim=2))
    width = max(row.shape[2] for row in drawn)
    drawn = [pad(row, (0, width - row.shape[2])) for row in drawn]
    return (torch.cat(drawn, dim=1) * 255).round().byte().permute(1, 2, 0).numpy()


def _panel(image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
    return image[:, top : top + _SIDE, left : left + _SIDE].expand(3, -1, -1)
