"""What happens around a training: seeds, checkpoints, progress, pictures, history."""

from medrestore.callbacks.checkpoints import Checkpoints
from medrestore.callbacks.dashboards import tensorboard_logger, wandb_logger
from medrestore.callbacks.history import History
from medrestore.callbacks.nan_guard import Diverged, NanGuard
from medrestore.callbacks.progress import Progress
from medrestore.callbacks.pruning import Pruning
from medrestore.callbacks.samples import SampleImages
from medrestore.callbacks.saving import LAST, PREVIOUS, BackgroundSaving
from medrestore.callbacks.step_seed import StepSeed

__all__ = [
    "LAST",
    "PREVIOUS",
    "BackgroundSaving",
    "Checkpoints",
    "Diverged",
    "History",
    "NanGuard",
    "Progress",
    "Pruning",
    "SampleImages",
    "StepSeed",
    "tensorboard_logger",
    "wandb_logger",
]
