"""Loggers that need more than their constructor."""

from __future__ import annotations

import os

from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger


def wandb_logger(directory: str, project: str, group: str) -> WandbLogger:
    """A Weights & Biases logger that works offline without a key and sends neither code nor host details.

    Args:
        directory: where its files go, the run directory.
        project: the W&B project.
        group: runs of one experiment stand together.
    """
    import netrc

    import wandb

    try:
        known = netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        known = False
    offline = os.environ.get("WANDB_MODE") == "offline" or not (known or os.environ.get("WANDB_API_KEY"))
    os.environ.setdefault("WANDB_SILENT", "true")
    settings = wandb.Settings(console="off", disable_code=True, disable_git=True, x_disable_meta=True)
    return WandbLogger(project=project, group=str(group), save_dir=directory, offline=offline, settings=settings)


def tensorboard_logger(directory: str) -> TensorBoardLogger:
    """A TensorBoard logger whose event files lie in `<directory>/tensorboard`."""
    return TensorBoardLogger(save_dir=directory, name="", version="tensorboard")
