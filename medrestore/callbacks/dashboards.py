"""All dashboards of a run: what they are told about it, when they are shown something, that they are closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytorch_lightning as pl

from medrestore.callbacks.dashboard import Dashboard, Progressed, RunFacts
from medrestore.callbacks.private_paths import without_path, without_paths
from medrestore.config import build, key_of, plain
from medrestore.evaluation.evaluate import Evaluation
from medrestore.schemes import AbstractRestorer
from medrestore.sweeps.overrides import short, swept
from medrestore.sweeps.result import Pruned, read_result


class Dashboards(pl.Callback):
    """The loggers of `logger=`, beside `metrics.csv`; a context at whose end they are closed.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.loggers: list[Dashboard] = []

    def open(self, config: Any) -> list[Dashboard]:
        """The loggers that a configuration names; a training that starts over in this process keeps them."""
        if self.loggers:
            return self.loggers
        self.loggers = [build({**node, "directory": str(self.directory)}) for node in config.logger.values()]
        facts = run_facts(config, self.directory) if self.loggers else None
        for logger in self.loggers:
            assert facts is not None
            logger.describe(facts)
        return self.loggers

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the generator's updates on every x-axis; a judge has none, its optimiser's steps are counted."""
        restorer = pl_module if isinstance(pl_module, AbstractRestorer) else None

        def count() -> int:
            return trainer.global_step if restorer is None else int(restorer.generator_updates)

        axis = "optimizer_steps" if restorer is None else "generator_updates"
        for logger in self.loggers:
            logger.progressed = Progressed(axis, count)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, when a checkpoint to go on from is read."""
        for logger in self.loggers:
            logger.progressed = replace(logger.progressed, start=logger.progressed.count())
            logger.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch before this one is told completely."""
        for logger in self.loggers:
            logger.publish()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the last count: what is exported may be an earlier epoch, and what follows comes after the last."""
        for logger in self.loggers:
            logger.publish()
            last = logger.progressed.count()
            logger.progressed = replace(logger.progressed, count=lambda last=last: last)

    def show_evaluation(self, evaluation: Evaluation) -> Evaluation:
        """Show what the test split says."""
        for logger in self.loggers:
            logger.show_evaluation(evaluation)
        return evaluation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger in self.loggers:
            logger.close(failed=kind is not None and not issubclass(kind, Pruned))


def run_facts(config: Any, directory: Path) -> RunFacts:
    """What a run is called, from its configuration, and in a sweep from what the sweep varies."""
    about = config.about
    experiment = str(about.experiment or "medrestore")
    sweep = next((parent for parent in list(directory.parents)[:3] if (parent / "multirun.yaml").is_file()), None)
    name, group = directory.name, experiment
    result = read_result(directory)
    if sweep is not None and result is not None:
        pairs = [override.partition("=")[::2] for override in result.overrides]
        varied = _varied(sweep)
        told = [(key.lstrip("+"), short(value)) for key, value in pairs if key_of(key) in varied]
        name = " ".join(f"{key}={without_path(value, key)}" for key, value in told) or name
        group = f"{experiment}/{sweep.name}"
    tags = [str(tag) for tag in (about.experiment, about.budget, about.variant, about.debug) if tag]
    cleaned, paths = without_paths(plain(config))
    kind = "single" if sweep is None else "sweep"
    return RunFacts(name, group, kind, tags, cleaned, [str(directory), str(directory.resolve()), *paths])


def _varied(sweep: Path) -> set[str]:
    """The keys that a sweep varies."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.load(sweep / "multirun.yaml")
    return {override.key_or_group for override in swept(config.hydra)}
