"""Loggers beside metrics.csv: what they write, without any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_WGAN

from medrestore.callbacks.samples import error_panel, panel_grid, sample_grid
from medrestore.config import compose
from medrestore.run import train


@pytest.mark.filterwarnings("ignore")  # the loggers' own packages warn on import
@pytest.mark.parametrize(
    ("logger", "left"),
    [("tensorboard", "tensorboard/events.out.*"), ("wandb", "wandb/offline-run-*/files/media/images/samples_*.png")],
)
def test_a_run_logs_offline(logger: str, left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    tiny = [*TINY, *TINY_WGAN, "epochs=1", "pretrain_epochs=0", "evaluation.run=false"]
    train(compose("train", ["experiment=cervix_deblur", f"logger={logger}", *tiny]), tmp_path)
    written = list(tmp_path.glob(left))
    assert len(written) == 1 and written[0].stat().st_size > 5_000  # the picture
    assert (tmp_path / "metrics.csv").exists()
    if logger == "wandb":
        import wandb

        assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1
        assert wandb.run is None  # else the next job of a sweep would log into it


def test_sample_grid_shows_degraded_restored_target_error() -> None:
    degraded, restored, target = torch.zeros(3, 4, 5), torch.full((3, 4, 5), 0.5), torch.full((3, 4, 5), 0.6)
    grid = sample_grid([(degraded, restored, target)])
    assert grid.shape == (4, 20, 3) and grid.dtype == np.uint8
    assert [int(grid[0, column, 0]) for column in (0, 5, 10)] == [0, 128, 153]
    assert abs(int(grid[0, 15, 0]) - 128) <= 1  # five times 0.1


def test_a_smaller_image_is_enlarged_by_repeating_pixels() -> None:
    small = torch.tensor([[[0.0, 1.0]]])
    grid = panel_grid([[small, torch.zeros(3, 2, 4)]])
    assert grid[:, :4, 0].tolist() == [[0, 0, 255, 255]] * 2
    assert error_panel(torch.ones(3, 2, 2), torch.zeros(3, 2, 2)).max() == 1
