"""What happens around a training: seeds, checkpoints, progress, pictures, history, dashboards."""

from medrestore.callbacks.checkpoints import Checkpoints
from medrestore.callbacks.dashboards import Dashboards
from medrestore.callbacks.history import History
from medrestore.callbacks.nan_guard import Diverged, NanGuard
from medrestore.callbacks.progress import Progress
from medrestore.callbacks.pruning import Pruning
from medrestore.callbacks.samples import SampleImages
from medrestore.callbacks.saving import LAST, PREVIOUS, BackgroundSaving
from medrestore.callbacks.step_seed import StepSeed
from medrestore.callbacks.tensorboard_dashboard import TensorBoardDashboard
from medrestore.callbacks.wandb_dashboard import WandbDashboard

__all__ = [
    "LAST",
    "PREVIOUS",
    "BackgroundSaving",
    "Checkpoints",
    "Dashboards",
    "Diverged",
    "History",
    "NanGuard",
    "Progress",
    "Pruning",
    "SampleImages",
    "StepSeed",
    "TensorBoardDashboard",
    "WandbDashboard",
]
