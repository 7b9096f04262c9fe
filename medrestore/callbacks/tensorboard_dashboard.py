"""TensorBoard: event files in the run directory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PILImage
from pytorch_lightning.utilities import rank_zero_only

from medrestore.callbacks.dashboard import PANELS, Dashboard, scores_by_name
from medrestore.evaluation.evaluate import Evaluation
from medrestore.evaluation.tables import markdown_table

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardDashboard(Dashboard):
    """Event files in `<directory>/tensorboard`: `tensorboard --logdir outputs`.

    Numbers stand over the generator's updates, pictures of validation images over epochs.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = Path(directory) / "tensorboard"
        self._writer: SummaryWriter | None = None

    @property
    def name(self) -> str:
        """Of the logger."""
        return "tensorboard"

    @rank_zero_only
    def start(self) -> None:
        """Open an event file: a new one where the training went back to a checkpoint."""
        self.close(failed=False)
        _ = self.writer

    @rank_zero_only
    def publish(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.flush()

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write numbers at the updates so far."""
        self._scalars(metrics)

    @rank_zero_only
    def show_samples(self, panels: Sequence[np.ndarray], epoch: int) -> None:
        """One picture an image, a slider over epochs."""
        for number, panel in enumerate(panels, start=1):
            self.writer.add_image(f"samples/image_{number}", panel, epoch, dataformats="HWC")

    @rank_zero_only
    def show_evaluation(self, evaluation: Evaluation) -> None:
        """The table as text and as numbers, the strips of the worst, the median and the best image."""
        updates = self.progressed.count()
        self._scalars(scores_by_name(evaluation))
        said = "\n".join(f"- {line}" for line in evaluation.verdict)
        self.writer.add_text("evaluation/table", f"{markdown_table(evaluation.table)}\n{said}", updates)
        for view in evaluation.views:
            if view.strip is not None:
                picture = np.asarray(PILImage.open(io.BytesIO(view.strip.data)).convert("RGB"))
                self.writer.add_image(f"evaluation/{view.rank}", picture, updates, dataformats="HWC")
        self.writer.flush()

    @rank_zero_only
    def close(self, failed: bool) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def writer(self) -> SummaryWriter:
        """The event file, opened when something is first written."""
        if self._writer is None:
            from omegaconf import OmegaConf
            from torch.utils.tensorboard import SummaryWriter

            resumed = any(self.directory.glob("events.out.tfevents.*"))
            # what a killed run wrote after the checkpoint from which this one goes on is hidden
            purge = self.progressed.start + 1 if resumed else None
            self._writer = SummaryWriter(str(self.directory), purge_step=purge)
            self._writer.add_text("config", f"```yaml\n{OmegaConf.to_yaml(dict(self.facts.config))}```")
            self._writer.add_text("samples/panels", PANELS)
        return self._writer

    def _scalars(self, metrics: Mapping[str, float]) -> None:
        updates = self.progressed.count()
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, updates)
