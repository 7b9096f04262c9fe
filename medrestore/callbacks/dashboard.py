"""What a dashboard is told: numbers over generator steps, pictures over epochs, and the evaluation at the end."""

from __future__ import annotations

from abc import abstractmethod
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytorch_lightning.loggers.logger import Logger

from medrestore.evaluation.evaluate import Evaluation

PANELS = "degraded, restored, target, error x5"


@dataclass(frozen=True)
class RunFacts:
    """What a dashboard calls a run.

    Attributes:
        name: of the run; a job of a sweep says what was varied.
        group: runs that stand together: the experiment, or the sweep.
        kind: `single`, or `sweep` for a job of one.
        tags: experiment, budget, variant.
        config: the run's configuration, paths of this machine replaced.
        paths: these paths, to be replaced in other texts as well.
    """

    name: str
    group: str
    kind: str
    tags: Sequence[str]
    config: Mapping[str, Any]
    paths: Sequence[str]


@dataclass(frozen=True)
class Progressed:
    """How far a training is.

    Attributes:
        axis: what is counted, `generator_updates` or for a judge `optimizer_steps`.
        count: gives the number so far.
        start: the number when this process began to train; above 0 when it goes on from a checkpoint.
    """

    axis: str
    count: Callable[[], int]
    start: int = 0


class Dashboard(Logger):
    """A logger that shows pictures and an evaluation beside numbers; only rank 0 writes."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: RunFacts | None = None
        self.progressed = Progressed("generator_updates", int)

    def describe(self, facts: RunFacts) -> None:
        """Say what the run is; before anything is shown."""
        self._facts = facts

    @property
    def facts(self) -> RunFacts:
        """What the run is."""
        assert self._facts is not None, "a dashboard is described before it is used"
        return self._facts

    @abstractmethod
    def start(self) -> None:
        """Begin the run, or go on with it: before the first step, so that whoever watches sees it."""

    @abstractmethod
    def publish(self) -> None:
        """Send what is waiting: an epoch is over, or the training."""

    @abstractmethod
    def show_samples(self, panels: Sequence[np.ndarray], epoch: int) -> None:
        """Show validation images, always the same ones.

        Args:
            panels: `(H, W, 3)` bytes an image: degraded, restored, target and error side by side.
            epoch: counted from 1.
        """

    @abstractmethod
    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Show the table, the pictures and the report of the test split."""

    @abstractmethod
    def close(self, failed: bool) -> None:
        """End the run; a dashboard that was never used has nothing to end."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration comes with `describe`."""

    @property
    def version(self) -> str:
        """There is one dashboard of a kind a run."""
        return ""


def scores_by_name(evaluation: Evaluation) -> dict[str, float]:
    """The table as numbers by name: `test/<method>/<metric>`, and without a method those of the trained generator."""
    means = {(row.method, row.metric): row.mean for row in evaluation.summaries if row.mean is not None}
    named = {f"test/{method}/{metric}": mean for (method, metric), mean in means.items()}
    return named | {f"test/{metric}": mean for (method, metric), mean in means.items() if method == "restored"}
