"""The engine: train a run, load it, evaluate it. Commands, tests and notebooks call this."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from torch import nn

from medrestore import interruption
from medrestore.callbacks import (
    Checkpoints,
    Dashboards,
    Diverged,
    History,
    NanGuard,
    Progress,
    Pruning,
    SampleImages,
    StepSeed,
)
from medrestore.checkpoint import load_into, read_training_state, save_generator
from medrestore.checks import check
from medrestore.config import build, overlay, plain
from medrestore.data.crop_settings import CropSettings
from medrestore.data.labelled import LabelledSettings
from medrestore.data.module import LoaderSettings, Part, RestorationData, Sample
from medrestore.data.samples import Pair
from medrestore.data.scale_crop import scale_crop_of
from medrestore.evaluation.evaluate import Evaluation, evaluate_methods, score_for_the_first, show
from medrestore.evaluation.rows import make_rows
from medrestore.evaluation.setting import make_setting, weights_said
from medrestore.evaluation.tables import save_text
from medrestore.hardware import Machine, check_share, choose, own_device
from medrestore.judges import finish_judge, judge_finder, proposing_detector
from medrestore.processes import alone, first_ahead, from_first, is_first, wait
from medrestore.progress import track
from medrestore.resume import ResumePoint, go_back, guard_of, refuse_other, resume_point
from medrestore.run_directory import Run, locked, resolved
from medrestore.schemes import AbstractRestorer
from medrestore.strategy import trainer_arguments
from medrestore.tasks import AbstractJudge


def train(config: DictConfig, directory: Path) -> Run:
    """Train as configured, export the selected generator, and evaluate it on the test split.

    Args:
        config: composed from `conf/train.yaml`.
        directory: the run directory.

    Returns:
        The finished run.

    Raises:
        MedrestoreError: the configuration, the data or the checkpoint are not usable, or the training diverged again
            and again.
        StartAgain: a signal asked the process to end (`interruption`); `ckpt=last` goes on.
    """
    notes = check(config)
    machine = choose(config.hardware, judge="generator" not in config.model)
    check_share(config.sampling.batch_size, machine.processes)
    # a job that is started again may meet the one before it, which saves and ends
    lock = locked(directory, patience=20.0 if config.ckpt == "last" else 0.0) if is_first() else nullcontext()
    with lock, Dashboards(directory) as dashboards:
        with first_ahead():
            resume = resume_point(config, directory)
        config = resolved(config)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        _quiet()
        module = _module(config)
        if resume is not None:
            refuse_other(resume, module)
        labelled = module.labelled if isinstance(module, AbstractJudge) else None
        with first_ahead():  # it makes the split and screens; the others read what it wrote
            data = make_data(config, directory / "split.csv", type(module).samples, labelled, machine=machine)
        data.prepare("train", "val")
        if is_first():
            save_text(directory / "config.yaml", OmegaConf.to_yaml(config))
        module = _fitted(config, directory, module, data, resume, machine, dashboards)
        run = Run(directory, config)
        if isinstance(module, AbstractJudge):
            if is_first():
                with alone():
                    finish_judge(run, module, data, _about(config, data))
            wait()
            return run
        if is_first():
            _export_selected(run, module, data)
        wait()
        if config.evaluation.run:
            dashboards.show_evaluation(evaluate(run, data=data))
    return run


def _module(config: Any) -> AbstractRestorer | AbstractJudge:
    """The scheme or judge as it is before its first step, and the random numbers that belong to it."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = build(config.model)
    assert isinstance(module, AbstractRestorer | AbstractJudge)
    if config.generator_weights and isinstance(module, AbstractRestorer):
        for network in (module.generator, module.averaged):
            if network is not None:
                load_into(network, config.generator_weights)
    return module


def _fitted(
    config: Any,
    directory: Path,
    module: AbstractRestorer | AbstractJudge,
    data: RestorationData,
    resume: ResumePoint | None,
    machine: Machine,
    dashboards: Dashboards,
) -> AbstractRestorer | AbstractJudge:
    """Train from `resume` on to the end; a training that diverges goes back to its last good checkpoint, as resumed."""
    trainer = _trainer(config, directory, data, machine, dashboards)
    _announce(config, data, trainer, machine)
    while True:
        if isinstance(module, AbstractRestorer):
            module.run_on(machine)
        if resume is not None:
            _forget_later(trainer, resume.state)
        try:
            with interruption.postponed():
                path = None if resume is None else str(resume.path)
                trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
        except Diverged as why:
            settings = config.callbacks.nan_guard
            resume = go_back(directory, why, trainer, settings)
            guard = guard_of(trainer)
            module = _module(config)
            trainer = _trainer(config, directory, data, machine, dashboards, guard.returns, guard.rate)
            continue
        if trainer.interrupted:
            raise KeyboardInterrupt
        return module


def make_data(
    config: Any,
    split_file: Path | None,
    samples: type[Sample] = Pair,
    labelled: LabelledSettings | None = None,
    screened_as: Path | None = None,
    machine: Machine | None = None,
) -> RestorationData:
    """The data of a run as its configuration says.

    Args:
        config: a run's configuration.
        split_file: where the split is recorded or read back; None to make it without a record.
        samples: the kind of sample the scheme or judge trains on.
        labelled: how a judge wants its images.
        screened_as: the `split.csv` of a run whose screening judges these images too; None to screen them anew.
        machine: what a training runs on; None where nothing is trained.
    """
    sampling = config.sampling
    crops = CropSettings(
        crop=sampling.crop,
        crops_per_image=sampling.crops_per_image,
        flips=sampling.flips,
        window=plain(config.sampling.window),
        fixed=config.degradation.fixed,
        scale_crop=scale_crop_of(plain(sampling.scale_crop)),
        shrink=float(sampling.shrink),
        synthetic_sources=float(sampling.synthetic_sources),
        focus=sampling.focus,
        focus_share=float(sampling.focus_share),
        seed=config.seed,
        data_seed=config.data_seed,
    )
    loading = LoaderSettings(
        batch_size=sampling.batch_size,
        workers=0 if machine is None else machine.workers,
        pin_memory=machine is not None and machine.pin_memory,
        val_images=sampling.val_images,
        train_images=sampling.train_images,
        cache_bytes=int(sampling.cache_gb * 1e9),
        split=plain(sampling.split),
        shards=sampling.shards,
        crops_per_epoch=sampling.crops_per_epoch,
        channels_last=machine is not None and machine.channels_last,
    )
    return RestorationData(
        source=build(config.dataset),
        degradation=build(config.degradation.operator),
        channels=_network_of(config).channels,
        crops=crops,
        loading=loading,
        samples=samples,
        split_file=split_file,
        progress=track,
        labelled=labelled,
        screened_as=screened_as,
    )


def evaluate(
    run: Run,
    overrides: Sequence[str] = (),
    split: Part = "test",
    output: Path | None = None,
    data: RestorationData | None = None,
    baselines: Sequence[str | Path] = (),
) -> Evaluation:
    """Judge a run's generator beside the classical rows; prints the table and writes the report.

    Args:
        run: the run.
        overrides: such as `dataset=cervix dataset.root=DIR`; sampling, degradation and window of the run stay.
        split: `test` is the run's saved split; `all` takes every image of the data set.
        output: where the files go; default `<run>/evaluation`.
        data: the run's data when they are loaded already.
        baselines: other finished runs, as rows of the same table.

    Raises:
        MedrestoreError: the run is not finished, or the data are not usable.
    """
    config = overlay(run.config, list(overrides)) if overrides else run.config
    check(config)
    _quiet()
    same_data = config.dataset == run.config.dataset and config.data_seed == run.config.data_seed
    if data is None:
        record = run.directory / "split.csv" if _same_images(config, run.config) else None
        data = make_data(config, record, screened_as=run.directory / "split.csv")
    data.prepare(split)
    directory = output or run.directory / ("evaluation" if same_data and split == "test" else f"evaluation_{split}")
    device = own_device(config.hardware.accelerator)
    detector = proposing_detector(config.evaluation.detector, data, split, device)
    with first_ahead():  # it tunes; the others read what it chose
        methods, interpolations = make_rows(run, config, data, split, baselines, detector, device, track)
    assessments = {name: build(node) for name, node in config.evaluation.assessments.items() if node is not None}
    judge = judge_finder(run, config, data, split, train, device)
    typed = [*overrides, *([f"'baselines=[{','.join(map(str, baselines))}]'"] if baselines else [])]
    setting = make_setting(run, config, split, data, assessments, judge, interpolations, typed)
    evaluation = None
    if is_first():
        evaluation = evaluate_methods(data, methods, setting, directory, track)
        show(evaluation, setting)
        print(f"report: {evaluation.report}")
    else:
        score_for_the_first(data, methods, setting)
    found = from_first(evaluation)
    assert found is not None
    return found


def _same_images(config: Any, other: Any) -> bool:
    """Whether a saved split can be read back: the same collection, cut by the same seed."""
    return all(config.dataset.get(key) == other.dataset.get(key) for key in ("_target_", "root", "data_seed", "target"))


def _network_of(config: Any) -> Any:
    """The node that says how many channels go in: the generator, or the judge itself."""
    return config.model.generator if "generator" in config.model else config.model


def _trainer(
    config: Any,
    directory: Path,
    data: RestorationData,
    machine: Machine,
    dashboards: Dashboards,
    returns: int = 0,
    rate: float = 1.0,
) -> pl.Trainer:
    def export_pretrained(generator: nn.Module, selected: str) -> None:
        about = {**_about(config, data), "selected": selected}
        save_generator(directory / "pretrained.safetensors", generator, plain(config.model.generator), about)

    loggers = [History(directory / "metrics.csv"), *dashboards.open(config)]
    callbacks: list[pl.Callback] = [
        StepSeed(config.seed),
        NanGuard(config.callbacks.nan_guard.in_a_row, returns, rate),
        dashboards,
        Progress(),
        Checkpoints(
            directory / "checkpoints",
            config.select,
            config.pretrain_select,
            config.callbacks.checkpoint_minutes,
            export_pretrained,
        ),
    ]
    if "generator" in config.model:
        samples = config.callbacks
        callbacks.append(SampleImages(directory / "samples", samples.sample_images, samples.sample_seconds))
    if config.callbacks.pruning:
        callbacks.append(Pruning(config.objective, **plain(config.callbacks.pruning)))
    return pl.Trainer(
        **trainer_arguments(machine, config.hardware.strategy, judge="generator" not in config.model),
        max_epochs=config.epochs,
        default_root_dir=directory,
        logger=loggers,
        callbacks=callbacks,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        **plain(config.trainer),
    )


def _about(config: Any, data: RestorationData) -> dict[str, Any]:
    return {
        "experiment": str(config.about.experiment),
        "window": plain(config.sampling.window),
        "scale": int(_network_of(config).get("scale", 1)),
        "field_of_view": bool(getattr(data.source, "field_of_view", False)),
        "training_data": data.source.name,
        "training_images": len(data.items("train", None)),
        "licence": sorted(data.catalogue.licences),
        "focus": config.sampling.focus,
        "weights": weights_said(config),
    }


def _export_selected(run: Run, module: AbstractRestorer, data: RestorationData) -> None:
    """Write `generator.safetensors` from the selected epoch."""
    selected = "last epoch"
    best = run.directory / "checkpoints" / "best.ckpt"
    if run.config.select != "last" and best.exists():
        state = read_training_state(best)
        module.load_state_dict(state["state_dict"])
        selected = f"epoch {state['epoch'] + 1} by {run.config.select}"
    network = plain(run.config.model.generator)
    about = {**_about(run.config, data), "selected": selected}
    save_generator(run.directory / "generator.safetensors", module.exported, network, about)


def _forget_later(trainer: pl.Trainer, state: dict[str, Any]) -> None:
    """Drop history rows that a killed run logged after its last checkpoint."""
    batches = state["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    for logger in trainer.loggers:
        if isinstance(logger, History):
            logger.forget_after(batches)


def _announce(config: Any, data: RestorationData, trainer: pl.Trainer, machine: Machine) -> None:
    """The first lines of a run: which experiment, on what, how much of it, and where it goes."""
    parts = ", ".join(f"{len(data.items(part, None))} {part}" for part in ("train", "val", "test"))
    groups = len({item.group for item in data.catalogue.items})
    batches = len(data.train_dataloader())
    limit = trainer.limit_train_batches
    steps = (min(batches, limit) if isinstance(limit, int) else int(batches * limit)) * config.epochs
    about = config.about
    print(f"{about.experiment or 'no experiment'}, {about.budget} budget, data {data.source.name}:")
    print(f"{parts} images of {groups} groups")
    size = config.sampling.batch_size
    shared = f" ({size // machine.processes} for each process)" if machine.processes > 1 else ""
    print(f"{config.epochs} epochs, {steps} steps of {size} crops{shared}")
    print(f"on {machine}" + (f" ({'; '.join(machine.reasons)})" if machine.reasons else ""))
    for entry in data.left_out[:5]:
        print(f"left out: {entry.path}: {entry.reason}", file=sys.stderr)
    if len(data.left_out) > 5:
        print(f"left out: {len(data.left_out) - 5} more, listed in the report", file=sys.stderr)
    for note in data.notes:
        print(f"note: {note}", file=sys.stderr)


def _quiet() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch 2.15 whether a tree is a leaf in a deprecated way: nothing a user could do.
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*", category=FutureWarning)
    # Loader processes would compete with the training for the same cores; the loader benchmark is the judge.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # A head node of a cluster has SLURM's commands; a run there is no mistake.
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    warnings.filterwarnings(
        "ignore", message=".*The number of training batches.*is smaller than the logging interval.*"
    )
    # What is logged once an epoch is the same in every process.
    warnings.filterwarnings("ignore", message=".*It is recommended to use `self.log.*sync_dist=True.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
