"""From where a training goes on: its own checkpoints, another one's, or the last good one when it has diverged."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf
from torch import Tensor, nn

from medrestore.callbacks import LAST, PREVIOUS, Diverged, NanGuard
from medrestore.checkpoint import read_training_state, save_training_state
from medrestore.config import plain
from medrestore.errors import MedrestoreError
from medrestore.run_directory import flat, resolved

# What may differ when a training goes on: everything else moves its trajectory.
_FREE_KEYS = ("ckpt", "evaluation", "metrics", "logger", "callbacks", "hardware.workers", "about", "objective")


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint to go on from.

    Attributes:
        path: the file.
        state: what it holds.
    """

    path: Path
    state: dict[str, Any]


def resume_point(config: Any, directory: Path) -> ResumePoint | None:
    """The checkpoint to go on from, or None for a fresh start; refuses what would lose or mix trainings.

    Raises:
        MedrestoreError: there is a training and `ckpt=` does not ask for it, the configuration would change it, or no
            checkpoint of it can be read.
    """
    held = _held(directory)
    if config.ckpt is None:
        if held:
            raise MedrestoreError(
                f"{directory} holds a training already; type ckpt=last to go on, or another hydra.run.dir"
            )
        return None
    if config.ckpt != "last":
        return ResumePoint(Path(config.ckpt), read_training_state(Path(config.ckpt)))
    if not held:
        print(f"ckpt=last: nothing in {directory} yet, a fresh start", file=sys.stderr)
        return None
    saved, now = plain(OmegaConf.load(directory / "config.yaml")), plain(resolved(config))
    ours, theirs = flat(now, list(now)), flat(saved, list(saved))
    moved = sorted(
        key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and not key.startswith(_FREE_KEYS)
    )
    if moved:
        told = ", ".join(f"{key}={ours.get(key, '-')} (was {theirs.get(key, '-')})" for key in moved[:4])
        raise MedrestoreError(
            f"ckpt=last would change the training: {told}; type the old values or another hydra.run.dir"
        )
    point = newest(directory)
    print(f"going on from {point.path}", file=sys.stderr)
    return point


def newest(directory: Path) -> ResumePoint:
    """The newest checkpoint of a run that can be read; a damaged one is told of and set aside, not deleted.

    Raises:
        MedrestoreError: none can be read.
    """
    held, damaged = _held(directory), []
    for path in held:
        try:
            point = ResumePoint(path, read_training_state(path))
        except MedrestoreError as error:
            damaged.append((path, str(error)))
            continue
        for bad, why in damaged:  # the next save would make it the previous one, in the place of the good one
            aside = bad.with_suffix(".damaged")
            with contextlib.suppress(FileNotFoundError):  # another rank was faster
                bad.replace(aside)
            print(f"{why}; it is kept as {aside.name}, {path.name} is taken", file=sys.stderr)
        return point
    told = "; ".join(why for _, why in damaged)
    raise MedrestoreError(f"{told}; nothing was changed, type another hydra.run.dir to start anew")


def refuse_other(point: ResumePoint, module: pl.LightningModule) -> None:
    """Refuse a checkpoint of another scheme or of other networks, before anything is trained.

    Raises:
        MedrestoreError: with what both are.
    """
    theirs, ours = point.state.get("scheme"), type(module).__name__
    if theirs not in (None, ours):
        raise MedrestoreError(
            f"ckpt={point.path} is a training of {theirs}, this is one of {ours}; type the model= it was made with"
        )
    weights = point.state.get("state_dict", {})
    own = {name: value for name, value in module.state_dict().items() if _compared(name)}
    stored = {name: value for name, value in weights.items() if _compared(name)}
    for name in sorted(own.keys() | stored.keys()):
        shapes = [_shape(values, name) for values in (stored, own)]
        if shapes[0] != shapes[1]:
            part = name.partition(".")[0]
            network = getattr(module, part, None)
            kind = f" ({type(network).__name__})" if isinstance(network, nn.Module) else ""
            raise MedrestoreError(
                f"ckpt={point.path} is of another {part}: its {name} is {shapes[0]}, that of this training{kind} is "
                f"{shapes[1]}; type the model.{part} it was made with"
            )


def go_back(directory: Path, why: Diverged, trainer: pl.Trainer, settings: Mapping[str, Any]) -> ResumePoint | None:
    """What a training that has diverged goes on from: the newest checkpoint, with lower rates written into it.

    Args:
        directory: the run directory.
        why: how it has diverged.
        trainer: of the training that has; its `NanGuard` is changed.
        settings: `callbacks.nan_guard`.

    Returns:
        The point; None to begin anew, where nothing was saved yet.

    Raises:
        MedrestoreError: it has gone back as often as it may.
    """
    guard = guard_of(trainer)
    held = _held(directory)
    if guard.returns >= settings["returns"]:
        kept = f"; the last good checkpoint is {held[0]}" if held else ""
        raise MedrestoreError(
            f"{why}, after {guard.returns} returns with ever lower rates, now {guard.rate:.3g} of what was asked for"
            f"{kept}; type lower rates, model.*optimizer.lr=<a tenth>, and another hydra.run.dir"
        )
    guard.returns, guard.rate = guard.returns + 1, guard.rate * settings["rate_factor"]
    point = newest(directory) if held else None
    where = "the beginning" if point is None else f"step {point.state['global_step']} ({point.path.name})"
    if trainer.is_global_zero:
        print(f"{why}: back to {where}, rates times {guard.rate:.3g}", file=sys.stderr, flush=True)
    if point is not None:
        point.state["callbacks"][guard.state_key] = guard.state_dict()
        point = ResumePoint(directory / "checkpoints" / LAST, point.state)
        if trainer.is_global_zero:
            save_training_state(point.path, point.state)
    trainer.strategy.barrier("go_back")
    return point


def guard_of(trainer: pl.Trainer) -> NanGuard:
    """The guard of a training."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, NanGuard))


def _held(directory: Path) -> list[Path]:
    """The checkpoints of a run, the newest first; between two renames of a save there is only the previous one."""
    return [path for name in (LAST, PREVIOUS) if (path := directory / "checkpoints" / name).exists()]


def _compared(name: str) -> bool:
    """A history of images has any length."""
    return not name.endswith("_extra_state")


def _shape(values: Mapping[str, Tensor], name: str) -> str:
    return "x".join(map(str, values[name].shape)) or "a number" if name in values else "missing"
