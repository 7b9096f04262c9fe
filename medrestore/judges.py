"""Downstream judges of a run: found again or trained once, and never on what they are asked about."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import open_dict

from medrestore.config import compose, plain
from medrestore.data.catalogue import hashed_group
from medrestore.data.module import Part, RestorationData
from medrestore.data.screening_files import RECORD
from medrestore.errors import MedrestoreError
from medrestore.evaluation.rows import refuse_leak
from medrestore.processes import alone
from medrestore.run_directory import Run, in_turn, resolved
from medrestore.tasks import AbstractJudge, LesionDetector, load_judge, save_judge
from medrestore.tasks.export import FILE


def judge_finder(
    run: Run, config: Any, data: RestorationData, part: Part, train: Callable[[Any, Path], Any], device: torch.device
) -> Callable[[str], AbstractJudge] | None:
    """How an evaluation gets its judges; None with `judge=none`.

    A judge belongs to (its experiment, the run's data, the run's split). `judge=auto` looks for it below
    `evaluation.judges` and trains it where it is missing; `judge=<run>` takes one that is there.

    Args:
        run: the run that is judged; a judge is trained on the sharp images of its training part.
        config: the run's configuration with the overrides of this evaluation.
        data: the images that are judged.
        part: the part of them.
        train: `medrestore.run.train`.
        device: where the judge runs.
    """
    if config.judge in (None, "none"):
        return None

    def find(experiment: str) -> AbstractJudge:
        recipe = _config_of(experiment, run, list(config.evaluation.judge_overrides))
        directory = Path(config.judge) if config.judge != "auto" else _directory(experiment, recipe, run, config)
        if not (directory / FILE).exists():
            if config.judge != "auto":
                raise MedrestoreError(
                    f"judge={config.judge} holds no {FILE}; type judge=auto, or the run directory that "
                    f"`python -m medrestore.train experiment={experiment}` printed"
                )
            with in_turn(directory):
                if not (directory / FILE).exists():
                    print(f"training the judge {experiment} once for these data, into {directory}", file=sys.stderr)
                    with alone():  # the other processes of an evaluation wait
                        train(_ready(recipe, run, directory), directory)
        judge, _ = load_judge(directory / FILE)
        wanted = str(recipe.model._target_).rpartition(".")[2]
        if type(judge).__name__ != wanted:
            raise MedrestoreError(
                f"judge={directory} is a {type(judge).__name__}, {experiment} asks a {wanted}; type judge=auto, or the "
                f"run directory that `python -m medrestore.train experiment={experiment}` printed"
            )
        judged = {(item.key, hashed_group(item.group)) for item in data.items(part, None)}
        refuse_leak(directory, judged, f"judge={directory}")
        return judge.to(device).eval()

    return find


def proposing_detector(
    where: str | None, data: RestorationData, part: Part, device: torch.device
) -> LesionDetector | None:
    """The frozen detector that proposes the regions of lesion-focused rows; None where none is named.

    Args:
        where: its run directory (`evaluation.detector`).
        data: the images it will look at.
        part: the part of them.
        device: where it runs.

    Raises:
        MedrestoreError: no detector there, one that is not good enough or judges patches, or that has seen the images.
    """
    if where is None:
        return None
    if not (Path(where) / FILE).is_file():
        raise MedrestoreError(f"evaluation.detector={where} holds no {FILE}; type the run directory of a detector")
    detector, _ = load_judge(Path(where) / FILE)
    if not isinstance(detector, LesionDetector) or detector.patches != "none":
        what = "judges patches" if isinstance(detector, LesionDetector) else f"is a {type(detector).__name__}"
        raise MedrestoreError(f"evaluation.detector={where} {what} and finds no lesions; name a lesion detector")
    if not detector.usable:
        raise MedrestoreError(
            f"evaluation.detector={where} is not usable: AUC {float(detector.own_score):.3f}, floor {detector.floor}; "
            "type evaluation.detector=null for the regions that are marked"
        )
    judged = {(item.key, hashed_group(item.group)) for item in data.items(part, None)}
    refuse_leak(Path(where), judged, f"evaluation.detector={where}")
    return detector.to(device).eval()


def finish_judge(run: Run, judge: AbstractJudge, data: RestorationData, about: dict[str, Any]) -> None:
    """Fix the judge's threshold on sharp validation images, measure it on sharp test images, and write it."""
    judge.eval()
    judge.calibrate(data.cases("val"))
    data.prepare("test")
    judge.measure(data.cases("test", run.config.evaluation.test_images))
    path = save_judge(run.directory / FILE, judge, plain(run.config.model), about)
    state = "usable" if judge.usable else "NOT usable: evaluations will say so instead of printing its scores"
    own = f"{float(judge.own_score):.3f}" if judge.own_score.isfinite() else "not defined"
    score = f"{judge.score_name} {own} on sharp test images, floor {judge.floor}"
    print(f"{run.config.about.experiment}: {score}: {state}")
    print(f"judge: {path}")


def _config_of(experiment: str, run: Run, overrides: list[str]) -> Any:
    """The judge's own recipe, with what the user changes of it, on the data of the run."""
    ours = run.config
    smoke = ["debug=smoke"] if ours.about.get("debug") == "smoke" else []
    config = compose("train", [f"experiment={experiment}", *smoke, *overrides])
    with open_dict(config):
        config.dataset = ours.dataset
        config.data_seed = ours.data_seed
        config.hardware = {**ours.hardware, "devices": 1, "num_nodes": 1, "strategy": "auto"}
        config.sampling.window = ours.sampling.window
    return config


def _ready(config: Any, run: Run, directory: Path) -> Any:
    """The run's split and screening as the judge's own, and a judge that was interrupted goes on where it was."""
    directory.mkdir(parents=True, exist_ok=True)
    for record in (RECORD, "split.csv"):
        if (run.directory / record).exists():
            shutil.copyfile(run.directory / record, directory / record)
    if any((directory / "checkpoints").glob("*.ckpt")):
        with open_dict(config):
            config.ckpt = "last"
    return config


def _directory(experiment: str, recipe: Any, run: Run, config: Any) -> Path:
    """Named by what the judge depends on: its recipe, the data and who is in which part."""
    known = plain(resolved(recipe))
    depends = {key: known[key] for key in ("dataset", "model", "seed", "data_seed", "epochs", "trainer")}
    sampling = {key: value for key, value in known["sampling"].items() if key != "split"}
    split = (run.directory / "split.csv").read_text(encoding="utf-8")
    named = json.dumps([depends, sampling, split], sort_keys=True)
    return Path(config.evaluation.judges) / f"{experiment}-{hashlib.sha256(named.encode()).hexdigest()[:12]}"
