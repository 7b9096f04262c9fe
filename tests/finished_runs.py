"""Run directories as a training leaves them before its evaluation, with untrained weights: made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from medrestore.checkpoint import save_generator
from medrestore.checks import check
from medrestore.config import build, compose, plain
from medrestore.run import make_data
from medrestore.run_directory import Run, resolved
from medrestore.tasks import LesionDetector, SceneSegmenter, save_judge

CERVIX = ["dataset.patients=6", "dataset.images_per_patient=1", "dataset.size=64", "dataset.natural_patients=0"]
STREET = ["dataset.scenes=3", "dataset.images_per_scene=1", "dataset.height=64", "dataset.width=64"]
CT = ["dataset.patients=3", "dataset.slices_per_patient=1", "dataset.size=64"]
# What is asked of these runs is what they say, not how good they are.
_SMALL = [
    "network@model.generator=plain",
    "model.generator.width=4",
    "model.generator.depth=1",
    "sampling.crop=16",
    "sampling.batch_size=1",
    "sampling.crops_per_image=1",
    "evaluation.lpips=false",
    "hardware=cpu",
]
_JUDGES: dict[str, tuple[type[LesionDetector] | type[SceneSegmenter], dict[str, Any]]] = {
    "cervix_lesion_detector": (LesionDetector, {"labels": {"normal": "normal", "abnormal": "abnormal"}, "side": 64}),
    "street_segmenter": (SceneSegmenter, {"width": 8}),
}


def configured(experiment: str, *overrides: str) -> Any:
    """A small configuration of an experiment, composed and checked as the commands do it."""
    config = resolved(compose("train", [f"experiment={experiment}", *_SMALL, *overrides]))
    check(config)
    return config


def finished_run(directory: Path, experiment: str, *overrides: str) -> Run:
    """A run with its configuration, its split and a generator of random weights."""
    config = configured(experiment, *overrides)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    (directory / "tuned.yaml").write_text("{}\n", encoding="utf-8")  # the classical rows stay as they are
    make_data(config, directory / "split.csv")
    torch.manual_seed(0)
    generator, about = build(config.model.generator), {"window": plain(config.sampling.window), "scale": 1}
    save_generator(directory / "generator.safetensors", generator, plain(config.model.generator), about)
    return Run(directory, config)


def finished_judge(directory: Path, experiment: str, *overrides: str) -> Path:
    """A judge's run directory; that it is good enough is its own claim."""
    config = resolved(compose("train", [f"experiment={experiment}", *overrides]))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    make_data(config, directory / "split.csv")
    kind, arguments = _JUDGES[experiment]
    torch.manual_seed(0)
    judge = kind(**arguments)
    judge.calibrated.fill_(0.5)
    judge.own_score.fill_(0.95)
    described = {"_target_": f"medrestore.tasks.{kind.__name__}", **arguments}
    save_judge(directory / "judge.safetensors", judge, described, {"experiment": experiment})
    return directory
